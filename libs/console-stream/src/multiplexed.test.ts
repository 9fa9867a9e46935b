/** The stream that the calls of many consoles share, as its host serves it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import { runningMsOf } from '../../../test/servers/running-time.ts';
import type { AttachedConsole } from './attach-console.ts';
import type { GuestConsole } from './open-console.ts';
import type { MultiplexedRequest } from './multiplexed-messages.ts';
import type { ConsoleStreamServer } from './serve-console-stream.ts';
import { startRawStream } from './test-raw-calls.ts';
import type { RawStream } from './test-raw-calls.ts';
import { OWN_CALL, SHARED, TestStreams, collect, failsWith, openMessage, until } from './test-streams.ts';

const open = (change: object = {}): Buffer => openMessage({ byteConnection: true, ...change });
const anyGuest = async (): Promise<GuestConsole> => ({ stream: new PassThrough(), offset: 0 });

const HOSTILE: readonly (readonly [string, readonly MultiplexedRequest[], RegExp])[] = [
  ['a first call that is not 1', [{ call: 2, what: open() }], /call 2 where 1 was next/],
  ['a number far away', [{ call: 1, what: open() }, { call: 2 ** 32 - 1, what: open() }], /where 2 was next/],
  ['the end of a call that was not opened', [{ call: 1, what: 'half-close' }], /half-close of call 1, which was not opened/],
  ['a call that was left before it was opened', [{ call: 1, what: open() }, { call: 2, what: 'cancel' }], /cancel of call 2, which was not opened/],
];

describe('a stream of many calls', () => {
  const streams = new TestStreams(SHARED);
  const older = new TestStreams(OWN_CALL);
  const raws: RawStream[] = [];
  afterEach(async () => {
    for (const raw of raws.splice(0)) raw.close();
    await Promise.all([streams.close(), older.close()]);
  });
  function raw(server: ConsoleStreamServer): RawStream {
    const stream = startRawStream(server);
    raws.push(stream);
    return stream;
  }
  const echoes = async (console: AttachedConsole): Promise<void> => {
    console.write('hi');
    assert.equal((await collect(console, 2)).toString(), 'hi');
  };

  it('carries consoles side by side', async () => {
    const server = await streams.serve(anyGuest);
    const consoles = await Promise.all(Array.from({ length: 20 }, () => streams.attach(server)));
    await Promise.all(consoles.map(echoes));
    consoles[7]!.destroy();
    await until(() => server.openAttaches === 19);
    await echoes(consoles[8]!);
  });

  it('is done without at a host that knows of none: no console is lost by that, at first or later', async () => {
    const server = await older.serve(anyGuest);
    const consoles = await Promise.all(Array.from({ length: 20 }, () => older.attach(server)));
    await Promise.all(consoles.map(echoes));
    await echoes(await older.attach(server));
    assert.equal(server.openAttaches, 21);
  });

  it('outlasts any number of consoles that are thrown away, and so do the others on its connection', async () => {
    const server = await streams.serve(anyGuest);
    const stays = await streams.attach(server);
    let left = 1_200;
    await Promise.all(Array.from({ length: 32 }, async () => {
      while (left-- > 0) (await streams.attach(server)).destroy();
    }));
    await until(() => server.openAttaches === 1);
    await echoes(stays);
  });

  for (const [name, requests, words] of HOSTILE) {
    it(`is ended, with all calls on it, by ${name}`, async () => {
      const server = await streams.serve(anyGuest);
      const stream = raw(server);
      requests.forEach((request) => stream.send(request));
      const status = await stream.status;
      assert.equal(status.code, 3, status.details);
      assert.match(status.details, words);
      await until(() => server.openAttaches === 0);
      await streams.attach(server);
    });
  }

  it('is ended by bytes that are no message', async () => {
    const stream = raw(await streams.serve(anyGuest));
    stream.sendBytes(Buffer.from([0xff]));
    assert.equal((await stream.status).code, 3);
  });

  it('goes on where one call is at fault, and where a message crossed its end', async () => {
    const server = await streams.serve(anyGuest);
    const stream = raw(server);
    stream.send({ call: 1, what: open() });
    stream.send({ call: 2, what: Buffer.from([0xff]) });
    await until(() => stream.said.length === 2);
    const over = stream.said.find(({ call }) => call === 2)!;
    assert.ok(!Buffer.isBuffer(over.what) && over.what.errorCode === 'INVALID_ARGUMENT', JSON.stringify(over));
    stream.send({ call: 2, what: open() });
    stream.send({ call: 2, what: 'cancel' });
    stream.send({ call: 3, what: open() });
    await until(() => server.openAttaches === 2);
    assert.deepEqual(stream.said.filter(({ what }) => Buffer.isBuffer(what)).map(({ call }) => call), [1, 3]);
  });

  it('carries no console whose bytes would go in it', async () => {
    const stream = raw(await streams.serve(anyGuest));
    stream.send({ call: 1, what: open({ byteConnection: false }) });
    await until(() => stream.said.length === 1);
    assert.match(JSON.stringify(stream.said[0]), /INVALID_ARGUMENT/);
  });

  it('has its calls counted with those of other streams, and with those that have one of their own', async () => {
    const server = await streams.serve(anyGuest, { attachesMax: 3 });
    const stream = raw(server);
    stream.send({ call: 1, what: open() });
    await until(() => server.openAttaches === 1);
    await streams.attach(server);
    const last = await streams.attach(server, { byteConnection: false });
    for (const byteConnection of [true, false]) {
      await assert.rejects(streams.attach(server, { byteConnection }), failsWith('RESOURCE_EXHAUSTED', /at most 3 consoles/));
    }
    last.destroy();
    await until(() => server.openAttaches === 2);
    await streams.attach(server);
  });

  it('is one of so many, and is ended where nobody calls', async () => {
    const server = await streams.serve(anyGuest, { streamsMax: 1, idleStreamTimeoutMs: 1_000 });
    const first = raw(server);
    first.send({ call: 1, what: open() });
    await until(() => server.openAttaches === 1);
    const second = await raw(server).status;
    assert.deepEqual([second.code, second.details], [8, 'this host serves at most 1 streams of consoles at once']);
    first.send({ call: 1, what: 'cancel' });
    const { code, details } = await first.status;
    assert.deepEqual([code, details], [4, 'no call within 1000 ms']);
    await streams.attach(server);
  });

  it('is not read while its proxy does not read, so that little waits for it', async () => {
    let asked = 0;
    const server = await streams.serve(() => {
      asked += 1;
      return Promise.reject(new ServiceError('NOT_FOUND', 'x'.repeat(400)));
    });
    const stream = raw(server);
    stream.pause();
    const count = 5_000;
    for (let call = 1; call <= count; call += 1) stream.send({ call, what: open() });
    await until(() => asked > 0);
    for (let last = -1; last !== asked; await sleep(300)) last = asked;
    assert.ok(asked < count / 2, `${asked} were served`);
    stream.resume();
    await until(() => stream.said.length === count, 20_000);
    assert.equal(asked, count);
  });

  it('does not keep its proxy\'s process, whose consoles are over', async () => {
    const server = await streams.serve(anyGuest);
    const attached = `attachConsole({ endpoint: '${server.endpoint}', sessionId: 's', attachSecret: 's' })`;
    const program = `import { attachConsole } from ${JSON.stringify(new URL('./attach-console.ts', import.meta.url).href)}; (await ${attached}).destroy();`;
    let exit: unknown;
    const tookMs = await runningMsOf(async () => {
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], { cwd: import.meta.dirname, stdio: 'inherit' });
      [exit] = await once(child, 'exit') as [unknown];
    });
    assert.equal(exit, 0);
    // A connection that is idle would be closed after 30 s; a process takes its time to start on a machine with much to do.
    assert.ok(tookMs < 25_000, `${tookMs} ms`);
  });

  it('tells each of its consoles that the host stops, and does not hold it up', async () => {
    const server = await streams.serve(({ sessionId }) => (sessionId === 'slow' ? new Promise(() => {}) : anyGuest()));
    const consoles = await Promise.all(Array.from({ length: 5 }, () => streams.attach(server)));
    const closed = consoles.map((console) => once(console.resume(), 'close'));
    const slow = assert.rejects(streams.attach(server, { sessionId: 'slow' }), failsWith('UNAVAILABLE', /shutting down/));
    await until(() => server.openAttaches === 6);
    const idle = raw(server);
    idle.send({ call: 1, what: Buffer.alloc(0) });
    await until(() => idle.said.length === 1);
    const tookMs = await runningMsOf(() => server.drain(20_000));
    assert.ok(tookMs < 1_500, `${tookMs} ms`);
    await Promise.all([slow, ...closed]);
    assert.deepEqual(consoles.map(({ ending }) => ending?.reason), consoles.map(() => 'host_draining'));
    assert.equal((await idle.status).code, 0);
  });
});
