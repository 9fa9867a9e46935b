import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAddress } from './address.ts';
import { PREFACE_BYTES, prefaceOf } from './byte-preface.ts';
import { serveConsoleStream } from './serve-console-stream.ts';
import type { ConsoleStreamServer } from './serve-console-stream.ts';
import { runningMsOf } from '../../../test/servers/running-time.ts';
import { TestStreams, closeOf, collect, until } from './test-streams.ts';

const HTTP2 = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]);
const SETTINGS_FRAME = 4;

describe('the port of a console stream', () => {
  const streams = new TestStreams({ byteConnection: true });
  const servers: ConsoleStreamServer[] = [];
  const sockets: Socket[] = [];
  const told: string[] = [];
  const log = { warn: (fields: object, words: string) => void told.push(`${JSON.stringify(fields)} ${words}`), debug() {} };

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await streams.close();
    await Promise.all(servers.splice(0).map((server) => server.drain(500)));
    told.length = 0;
  });

  async function serve(waitingMax = 1_000, waitingPerAddressMax = waitingMax): Promise<ConsoleStreamServer> {
    const attach = async () => ({ stream: new PassThrough(), offset: 0 });
    const server = await serveConsoleStream({ listen: '127.0.0.1:0', attach, limits: { waitingMax, waitingPerAddressMax }, log });
    servers.push(server);
    return server;
  }

  function dial({ endpoint }: ConsoleStreamServer, localAddress = '127.0.0.1'): Socket {
    const socket = connect({ ...parseAddress(endpoint), localAddress, noDelay: true }).on('error', () => {});
    sockets.push(socket);
    return socket;
  }

  it('lives through whatever strangers say, and however they leave', async () => {
    const server = await serve();
    for (let round = 0; round < 10; round += 1) {
      const strangers = Array.from({ length: 40 }, () => dial(server).resume());
      for (const socket of strangers) void misbehave(socket);
      await Promise.race([Promise.all(strangers.map(closeOf)), sleep(100)]);
    }
    const console = await streams.attach(server);
    console.write('hi');
    assert.equal((await collect(console, 2)).toString(), 'hi');
  });

  it('is one of HTTP/2 however that preface is cut', async () => {
    const socket = dial(await serve());
    for (const byte of HTTP2) {
      socket.write(Buffer.of(byte));
      await sleep(1);
    }
    assert.equal((await collect(socket, 9))[3], SETTINGS_FRAME);
  });

  it('serves a proxy while others hold more silent connections than may wait, and says so once', async () => {
    const server = await serve(20);
    const silent = Array.from({ length: 60 }, () => dial(server).resume());
    await until(() => silent.filter((socket) => socket.closed).length === 40);
    await streams.attach(server);
    assert.equal(told.length, 1);
    assert.match(told[0]!, /"waitingMax":20.*made room/);
  });

  it('closes of an address that holds too many its own, and nobody else\'s', async () => {
    const server = await serve(40, 20);
    const other = dial(server, '127.0.0.2').resume();
    await once(other, 'connect');
    const many = Array.from({ length: 200 }, () => dial(server, '127.0.0.3').resume());
    await until(() => many.filter((socket) => socket.closed).length === 180);
    assert.equal(other.closed, false);
    other.write(HTTP2);
    await until(() => other.bytesRead > 0);
  });

  it('says once a minute that tickets were not its own, and never what they were', async () => {
    const server = await serve();
    const ticket = Buffer.from('A'.repeat(32));
    for (let i = 0; i < 3; i += 1) {
      const socket = dial(server).resume();
      socket.write(prefaceOf(ticket));
      await closeOf(socket);
    }
    assert.equal(told.length, 1);
    assert.match(told[0]!, /^\{"times":1\} .*tickets/);
    assert.doesNotMatch(told[0]!, /AAA/);
  });

  it('closes those that wait when it closes', async () => {
    const server = await serve();
    const socket = dial(server).resume();
    await once(socket, 'connect');
    await sleep(20);
    const tookMs = await runningMsOf(() => Promise.all([closeOf(socket), server.drain(20_000)]));
    assert.ok(tookMs < 1_000, `${tookMs} ms`);
  });
});

/** A beginning of something, then noise, in two pieces; and then the end, a reset or silence. */
async function misbehave(socket: Socket): Promise<void> {
  const beginnings = [prefaceOf(randomBytes(32)), HTTP2, Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.from([22, 3, 1, 2, 0]), Buffer.alloc(0)];
  const beginning = beginnings[randomInt(beginnings.length)]!;
  const said = Buffer.concat([beginning.subarray(0, randomInt(PREFACE_BYTES + 1)), randomBytes(randomInt(200))]);
  const cut = randomInt(said.length + 1);
  socket.write(said.subarray(0, cut));
  await sleep(randomInt(20));
  if (socket.destroyed) return;
  socket.write(said.subarray(cut));
  const leave = [() => socket.end(), () => socket.resetAndDestroy(), () => socket.destroy(), () => {}];
  leave[randomInt(leave.length)]!();
}
