import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import WebSocket from 'ws';
import { clientFrame } from './client-frame.ts';
import { readHandshake } from './handshake.ts';
import { WebSocketConnection, type WebSocketEnd } from './web-socket-connection.ts';

/** A server that keeps what it hears; `ws` and raw sockets are its peers. */
interface Heard {
  readonly connection: WebSocketConnection;
  readonly data: Buffer[];
  readonly texts: string[];
  readonly ended: Promise<WebSocketEnd>;
  drains: number;
  /** Answer that the next bytes are still needed. */
  isFull: boolean;
}

const received = (heard: Heard): number => heard.data.reduce((sum, each) => sum + each.length, 0);

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    assert.ok(i < 1_000, 'waited 5 seconds in vain');
    await pause(5);
  }
}

describe('a WebSocket connection', () => {
  let server: Server;
  let port = 0;
  let accepted: Promise<Heard>;
  let clock = 0;
  const peers: Socket[] = [];

  beforeEach(async () => {
    clock = 0;
    server = createServer();
    accepted = new Promise((resolve) => {
      server.on('upgrade', (request, socket, head) => {
        const handshake = readHandshake(request);
        socket.write(handshake.answer);
        if (!handshake.ok) return void socket.end();
        let end: (value: WebSocketEnd) => void;
        const ended = new Promise<WebSocketEnd>((done) => (end = done));
        const data: Buffer[] = [];
        const texts: string[] = [];
        const events = {
          data: (bytes: Buffer) => {
            data.push(Buffer.from(bytes));
            return !heard.isFull;
          },
          text: (message: string) => void texts.push(message),
          drained: () => void heard.drains++,
          closed: (why: WebSocketEnd) => end(why),
        };
        const options = { textAllowed: handshake.protocol === 'gatehouse.v1', now: () => clock };
        const heard: Heard = { connection: new WebSocketConnection(socket, head, events, options), data, texts, ended, drains: 0, isFull: false };
        resolve(heard);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  });

  afterEach(() => {
    for (const peer of peers.splice(0)) peer.destroy();
    server.close();
  });

  async function dial(protocols: string[] = ['gatehouse.v1', 'binary']): Promise<{ peer: WebSocket; heard: Heard }> {
    const peer = new WebSocket(`ws://127.0.0.1:${port}/anything`, protocols);
    await once(peer, 'open');
    return { peer, heard: await accepted };
  }

  async function raw(): Promise<{ peer: Socket; heard: Heard }> {
    const peer = connect(port, '127.0.0.1');
    peers.push(peer);
    peer.write(
      'GET /websockify HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    const [answer] = (await once(peer, 'data')) as [Buffer];
    assert.match(answer.toString(), /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/);
    return { peer, heard: await accepted };
  }

  it('closes with 1002 and says why when a peer does not mask', async () => {
    const { peer, heard } = await raw();
    peer.write(clientFrame({ opcode: 2, payload: 'x', masked: false }));
    const [bytes] = (await once(peer, 'data')) as [Buffer];
    assert.equal(bytes[0], 0x88);
    assert.equal(bytes.readUInt16BE(2), 1002);
    assert.match(bytes.subarray(4).toString(), /mask/);
    assert.equal((await heard.ended).code, 1002);
    peer.destroy();
  });

  it('cuts off a peer that never answers its close frame', async () => {
    const { peer, heard } = await raw();
    heard.connection.close(1000, 'bye');
    const started = performance.now();
    await once(peer, 'data');
    peer.resume();
    await once(peer, 'close');
    // It is given two seconds.
    assert.ok(performance.now() - started < 8_000);
  });

  it('ends when the peer half-closes or resets without a word', async () => {
    const { peer, heard } = await raw();
    peer.end();
    assert.equal((await heard.ended).by, 'lost');
  });

  it('gives up a peer that is silent for 60 seconds, and pings it before', async () => {
    const { peer, heard } = await raw();
    clock = 20_000;
    heard.connection.beat();
    const [bytes] = (await once(peer, 'data')) as [Buffer];
    assert.deepEqual([...bytes], [0x89, 0]);
    clock = 60_001;
    heard.connection.beat();
    const end = await heard.ended;
    assert.equal(end.by, 'lost');
    assert.match(end.reason, /60 seconds/);
  });

  it('keeps a peer that answers its pings', async () => {
    const { peer, heard } = await dial();
    for (clock = 20_000; clock <= 200_000; clock += 20_000) {
      heard.connection.beat();
      await once(peer, 'ping');
      await pause(5);
    }
    assert.ok(heard.connection.open);
    peer.terminate();
  });

  it('refuses text from a peer that agreed on binary only', async () => {
    const { peer } = await dial(['binary']);
    peer.send('hello');
    const [code, reason] = (await once(peer, 'close')) as [number, Buffer];
    assert.equal(code, 1003);
    assert.match(reason.toString(), /text/);
  });

  it('carries every size of message both ways', async () => {
    const { peer, heard } = await dial();
    for (const size of [0, 1, 125, 126, 127, 8_192, 8_193, 65_535, 65_536, 300_000]) {
      const message = Buffer.alloc(size, size & 0xff);
      heard.connection.send(message);
      const [echo] = (await once(peer, 'message')) as [Buffer];
      assert.deepEqual(echo, message);
      heard.data.length = 0;
      peer.send(message);
      await until(() => received(heard) >= size);
      assert.deepEqual(Buffer.concat(heard.data), message);
    }
    peer.close(4001, 'done');
    assert.deepEqual(await heard.ended, { by: 'peer', code: 4001, reason: 'done' });
  });

  it('closes with a code and a reason that the peer sees, cut to what fits', async () => {
    const { peer, heard } = await dial();
    heard.connection.close(4409, 'ü'.repeat(100));
    const [code, reason] = (await once(peer, 'close')) as [number, Buffer];
    assert.equal(code, 4409);
    assert.equal(reason.toString(), 'ü'.repeat(61));
  });

  it('sends nothing more than the pieces it was given to a peer that never reads, and says when to go on', async () => {
    const { peer, heard } = await raw();
    peer.pause();
    const piece = Buffer.alloc(64 * 1024);
    let sent = 0;
    while (heard.connection.send(Buffer.from(piece))) {
      sent += piece.length;
      await pause(0);
    }
    assert.ok(sent < 64 * 1024 * 1024, `${sent} bytes fit into kernel buffers`);
    assert.ok(heard.connection.queuedBytes < 128 * 1024);
    peer.resume();
    await until(() => heard.drains > 0);
    peer.destroy();
  });

  it('stops reading while bytes are not taken, so that the peer must wait', async () => {
    const { peer, heard } = await dial();
    heard.isFull = true;
    for (let i = 0; i < 30; i++) peer.send(Buffer.alloc(1024 * 1024));
    await pause(150);
    const before = received(heard);
    assert.ok(before < 1024 * 1024, `${before} bytes were read meanwhile`);
    assert.ok(peer.bufferedAmount > 0);
    heard.isFull = false;
    heard.connection.resume();
    await until(() => received(heard) >= 30 * 1024 * 1024);
    peer.terminate();
  });
});
