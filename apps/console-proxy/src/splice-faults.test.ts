import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { handleOf, readBytes, readEvents } from '@gatehouse/console-stream/byte-reader';
import { flood, startGuest, type TestGuest } from './test-guests.ts';
import { TestProxies, until } from './test-proxy.ts';
import { clientFrame } from './websocket/client-frame.ts';

const HANDSHAKE =
  'GET /?token=t HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: binary\r\n\r\n';
const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** The payloads of a server's frames, as far as they are whole, and the code of its close frame. */
function unframe(bytes: Buffer): { data: Buffer; close: number | null } {
  const pieces: Buffer[] = [];
  let close: number | null = null;
  for (let at = 0; at + 2 <= bytes.length; ) {
    const short = bytes[at + 1]! & 0x7f;
    const head = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (at + head > bytes.length) break;
    const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
    if (at + head + length > bytes.length) break;
    const payload = bytes.subarray(at + head, at + head + length);
    if (bytes[at] === 0x88) close = payload.readUInt16BE(0);
    else if (bytes[at] === 0x82) pieces.push(payload);
    at += head + length;
  }
  return { data: Buffer.concat(pieces), close };
}

describe('a console whose bytes come in bad ways', () => {
  let proxies: TestProxies;
  let guest: TestGuest;
  const clients: Socket[] = [];

  beforeEach(async () => {
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    await proxies.start('p');
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await guest.close();
    await proxies.close();
  });

  /** A client of raw bytes whose console is open, with a guest as given. */
  async function open(serveGuest: (socket: Socket) => void): Promise<{ client: Socket; heard: () => Buffer }> {
    guest = await startGuest(serveGuest);
    proxies.auth.consoles.set('t', { instanceName: 'm', consoleType: 'serial', port: guest.port });
    const client = connect({ port: Number(new URL(proxies.urlOf('p')).port), host: '127.0.0.1', noDelay: true });
    clients.push(client.on('error', () => {}));
    client.write(HANDSHAKE);
    const pieces: Buffer[] = [];
    client.on('data', (bytes: Buffer) => void pieces.push(bytes));
    const heard = (): Buffer => {
      const all = Buffer.concat(pieces);
      const head = all.indexOf('\r\n\r\n');
      return head < 0 ? Buffer.alloc(0) : all.subarray(head + 4);
    };
    await until(() => guest.sockets.size === 1, 'the guest is reached');
    return { client, heard };
  }

  /** consoleauth is told a moment after the client, or the guest, has noticed. */
  async function released(): Promise<string | undefined> {
    await until(() => proxies.auth.released.length > 0, 'the release');
    return proxies.auth.released[0]?.reason;
  }

  it('brings a guest\'s output one byte at a time', async () => {
    const words = randomBytes(300);
    const { heard } = await open((socket) => {
      socket.setNoDelay(true);
      void (async () => {
        for (const byte of words) socket.write(Buffer.of(byte)), await pause(0);
      })();
    });
    await until(() => unframe(heard()).data.length === words.length, 'all bytes');
    assert.deepEqual(unframe(heard()).data, words);
  });

  it('brings a client\'s frames one byte at a time', async () => {
    const words = randomBytes(300);
    const pieces: Buffer[] = [];
    const { client } = await open((socket) => void socket.on('data', (bytes) => void pieces.push(bytes)));
    const wire = Buffer.concat([clientFrame({ opcode: 2, payload: words.subarray(0, 130) }), clientFrame({ opcode: 9 }), clientFrame({ opcode: 2, payload: words.subarray(130) })]);
    for (const byte of wire) client.write(Buffer.of(byte)), await pause(0);
    await until(() => Buffer.concat(pieces).length === words.length, 'all bytes');
    assert.deepEqual(Buffer.concat(pieces), words);
  });

  it('brings megabytes both ways unchanged, past readers that stop and start, in pieces of every size', async () => {
    const up = randomBytes(3_000_000);
    const down = randomBytes(6_000_000);
    const pieces: Buffer[] = [];
    const { client, heard } = await open((socket) => {
      socket.on('data', (bytes) => {
        pieces.push(bytes);
        if (pieces.length % 5 === 0) socket.pause(), setTimeout(() => socket.resume(), 2);
      });
      for (let at = 0, size = 1; at < down.length; at += size, size = (size * 3) % 100_003) socket.write(down.subarray(at, at + size));
    });
    const slow = setInterval(() => (client.isPaused() ? client.resume() : client.pause()), 3);
    for (let at = 0, size = 1; at < up.length; at += size, size = (size * 7) % 70_001) client.write(clientFrame({ opcode: 2, payload: up.subarray(at, Math.min(up.length, at + size)) }));
    await until(() => pieces.reduce((sum, each) => sum + each.length, 0) === up.length, 'all input');
    clearInterval(slow);
    client.resume();
    await until(() => unframe(heard()).data.length === down.length, 'all output');
    assert.equal(digest(Buffer.concat(pieces)), digest(up));
    assert.equal(digest(unframe(heard()).data), digest(down));
  }).timeout(60_000);

  it('waits for a guest that says nothing, and is told when it goes', async () => {
    const { heard } = await open(() => {});
    await pause(100);
    assert.equal(heard().length, 0);
    for (const socket of guest.sockets) socket.end();
    await until(() => unframe(heard()).close === 1000, 'the goodbye');
    assert.equal(await released(), 'guest_closed');
  });

  it('brings exactly as much as a small buffer holds, at once and also as a guest\'s last words', async () => {
    const words = randomBytes(2_048);
    const { heard } = await open((socket) => void socket.write(words));
    await until(() => unframe(heard()).data.length === words.length, 'the words');
    for (const socket of guest.sockets) socket.end(words);
    await until(() => unframe(heard()).close === 1000, 'the goodbye');
    assert.deepEqual(unframe(heard()).data, Buffer.concat([words, words]));
  });

  it('ends when its guest resets the connection', async () => {
    const { heard } = await open(() => {});
    for (const socket of guest.sockets) socket.resetAndDestroy();
    await until(() => unframe(heard()).close !== null, 'the goodbye');
    assert.equal(await released(), 'host_unreachable');
  });

  it('ends when its client half-closes without a close frame, and lets the guest go', async () => {
    const { client } = await open((socket) => void socket.resume());
    client.end();
    await until(() => guest.sockets.size === 0, 'the guest is let go');
    assert.equal(await released(), 'client_lost');
  });

  it('ends when its client is reset in the middle of a frame', async () => {
    const { client } = await open((socket) => void socket.resume());
    client.write(clientFrame({ opcode: 2, payload: 'half', announced: 1_000 }));
    await pause(20);
    client.resetAndDestroy();
    await until(() => guest.sockets.size === 0, 'the guest is let go');
    assert.equal(await released(), 'client_lost');
  });

  const garbage: readonly (readonly [string, Buffer])[] = [
    ['after the handshake', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['after a whole frame', Buffer.concat([clientFrame({ opcode: 2, payload: 'x' }), Buffer.alloc(50, 0xff)])],
    ['within a fragmented message', Buffer.concat([clientFrame({ opcode: 2, payload: 'x', final: false }), Buffer.alloc(50, 0xff)])],
    ['after a ping', Buffer.concat([clientFrame({ opcode: 9 }), Buffer.alloc(50, 0x33)])],
  ];
  for (const [where, bytes] of garbage) {
    it(`ends with 1002 at garbage ${where}`, async () => {
      const { client, heard } = await open((socket) => void socket.resume());
      client.write(bytes);
      await until(() => unframe(heard().subarray(heard().indexOf(0x88))).close === 1002, 'the goodbye');
      await until(() => guest.sockets.size === 0, 'the guest is let go');
      assert.equal(await released(), 'protocol_error');
    });
  }

  it('passes over garbage after the client\'s close frame', async () => {
    const { client, heard } = await open((socket) => void socket.resume());
    client.write(Buffer.concat([clientFrame({ opcode: 8, payload: Buffer.from([3, 232]) }), Buffer.alloc(500, 0xff)]));
    await until(() => unframe(heard()).close === 1000, 'the goodbye');
    assert.equal(await released(), 'client_closed');
  });

  it('holds less than a megabyte for each client that never reads while its guest floods', async () => {
    const count = 30;
    guest = await startGuest(flood);
    proxies.auth.consoles.set('t', { instanceName: 'm', consoleType: 'serial', port: guest.port });
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < count; i++) {
      const client = connect({ port: Number(new URL(proxies.urlOf('p')).port), host: '127.0.0.1' }).pause();
      clients.push(client.on('error', () => {}));
      client.write(HANDSHAKE);
    }
    await until(() => guest.sockets.size === count, 'the guests are reached');
    const filled = (): number => [...guest.sockets].reduce((sum, socket) => sum + socket.bytesWritten, 0);
    for (let last = -1; filled() > last; await pause(200)) last = filled();
    // Every guest is stopped; what each has written beyond the kernel's buffers is held here.
    const grown = process.memoryUsage().arrayBuffers - before;
    assert.ok(grown < count * 1024 * 1024, `${grown} bytes for ${count}`);
    assert.ok(filled() / count < 32 * 1024 * 1024, `${filled()} bytes were taken from ${count} guests`);
  }).timeout(30_000);
});

describe('reading a socket', () => {
  it('goes into memory of ours on this Node: else the relay would cost twice as much', async () => {
    const guest = await startGuest(() => {});
    const socket = connect(guest.port, '127.0.0.1');
    await once(socket, 'connect');
    assert.notEqual(handleOf(socket), null);
    socket.destroy();
    await guest.close();
  });

  for (const [name, read] of [['with memory of ours', readBytes], ['with documented means alone', readEvents]] as const) {
    it(`keeps what was not taken untouched, ${name}`, async () => {
      const words = randomBytes(2_000_000);
      const guest = await startGuest((socket) => void socket.end(words));
      const socket = connect(guest.port, '127.0.0.1');
      await once(socket, 'connect');
      const pieces: Buffer[] = [];
      const reader = read(socket, (whole, start) => {
        // Copied only when it is said not to be needed any more.
        setTimeout(() => {
          pieces.push(Buffer.from(whole.subarray(start)));
          reader.resume();
        }, 1);
        return false;
      });
      await until(() => pieces.reduce((sum, each) => sum + each.length, 0) === words.length, 'all bytes');
      assert.equal(digest(Buffer.concat(pieces)), digest(words));
      socket.destroy();
      await guest.close();
    }).timeout(20_000);
  }
});
