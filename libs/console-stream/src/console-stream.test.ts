import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { Duplex, PassThrough, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, credentials } from '@grpc/grpc-js';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import { attachConsole } from './attach-console.ts';
import type { AttachOptions, AttachedConsole } from './attach-console.ts';
import { ATTACH_PATH, encodeRequest } from './attach-messages.ts';
import type { AttachRequest } from './attach-messages.ts';
import { ConsoleEnded } from './console-ended.ts';
import { serveConsoleStream } from './serve-console-stream.ts';
import type { AttachOpen, ConsoleStreamLimits, GuestConsole } from './attach-call.ts';
import type { ConsoleStreamServer } from './serve-console-stream.ts';

const SECRET = 'the-attach-secret';
const log = { warn() {}, debug() {} };

describe('the console stream', () => {
  const servers: ConsoleStreamServer[] = [];
  const consoles: AttachedConsole[] = [];

  async function serve(attach: (open: AttachOpen) => Promise<GuestConsole>, limits: Partial<ConsoleStreamLimits> = {}) {
    const server = await serveConsoleStream({ listen: '127.0.0.1:0', attach, limits, log });
    servers.push(server);
    return server;
  }

  async function serveGuest(stream: Duplex, offset = 0, limits: Partial<ConsoleStreamLimits> = {}) {
    return serve(async ({ attachSecret }) => {
      if (attachSecret !== SECRET) throw new ServiceError('UNAUTHENTICATED', 'this attach secret is unknown or was used');
      return { stream, offset };
    }, limits);
  }

  async function attach(server: { endpoint: string }, more: Partial<AttachOptions> = {}): Promise<AttachedConsole> {
    const console = await attachConsole({ endpoint: server.endpoint, sessionId: 's-1', attachSecret: SECRET, ...more });
    console.on('error', () => {});
    consoles.push(console);
    return console;
  }

  afterEach(async () => {
    for (const console of consoles.splice(0)) console.destroy();
    await Promise.all(servers.splice(0).map((server) => server.drain(500)));
  });

  it('refuses to listen beyond loopback without TLS, and says what to do', async () => {
    const refused = serveConsoleStream({ listen: '0.0.0.0:0', attach: () => assert.fail('not reached'), log });
    await assert.rejects(refused, failsWith('INVALID_ARGUMENT', /TLS.*loopback/));
  });

  it('refuses to listen where something listens already', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const listen = `127.0.0.1:${(other.address() as AddressInfo).port}`;
    await assert.rejects(serveConsoleStream({ listen, attach: () => assert.fail('not reached'), log }), failsWith('FAILED_PRECONDITION', /cannot listen/));
    other.close();
  });

  it('will not send a secret in clear beyond this machine', async () => {
    await assert.rejects(attach({ endpoint: '192.0.2.1:9000' }), failsWith('FAILED_PRECONDITION', /TLS/));
  });

  it('answers a wrong secret with the refusal that the host gave', async () => {
    const server = await serveGuest(new PassThrough());
    const refused = attach(server, { attachSecret: 'another' });
    await assert.rejects(refused, failsWith('UNAUTHENTICATED', /unknown or was used/));
    assert.equal(server.openAttaches, 0);
  });

  it('keeps the exact code of a refusal where gRPC has one number for two', async () => {
    const server = await serve(() => Promise.reject(new ServiceError('PORT_IN_USE', 'in use since noon')));
    await assert.rejects(attach(server), failsWith('PORT_IN_USE', /since noon/));
  });

  it('hides the words of an unexpected failure', async () => {
    const server = await serve(() => Promise.reject(new Error('secret path /etc/x')));
    await assert.rejects(attach(server), (error: ServiceError) => error.code === 'INTERNAL' && !error.message.includes('/etc/x'));
  });

  it('is UNAVAILABLE where no agent listens', async () => {
    const gone = createServer().listen(0, '127.0.0.1');
    await once(gone, 'listening');
    const endpoint = `127.0.0.1:${(gone.address() as AddressInfo).port}`;
    gone.close();
    await assert.rejects(attach({ endpoint }), failsWith('UNAVAILABLE', /./));
  });

  it('is DEADLINE_EXCEEDED where something listens and never answers', async () => {
    const sockets: Socket[] = [];
    const mute = createServer((socket) => sockets.push(socket.on('error', () => {}))).listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const endpoint = `127.0.0.1:${(mute.address() as AddressInfo).port}`;
    await assert.rejects(attach({ endpoint }, { connectTimeoutMs: 200 }), failsWith('DEADLINE_EXCEEDED', /200 ms/));
    sockets.forEach((socket) => socket.destroy());
    mute.close();
  });

  it('reaches an agent again at once after it was away', async () => {
    const first = await serveGuest(new PassThrough());
    (await attach(first)).destroy();
    await first.drain(500);
    await assert.rejects(attach(first), failsWith('UNAVAILABLE', /./));
    const again = await serveConsoleStream({ listen: first.endpoint, attach: async () => ({ stream: new PassThrough(), offset: 0 }), log });
    servers.push(again);
    await attach(again);
  });

  it('gives up on a caller that never says what it wants', async () => {
    const server = await serveGuest(new PassThrough(), 0, { openTimeoutMs: 50 });
    const { status } = await rawCall(server, []);
    assert.equal(status.code, 4);
    assert.match(status.details, /no Open message within 50 ms/);
  });

  it('gives up on a console that does not open, and tells whoever opens it', async () => {
    let signal: AbortSignal | undefined;
    const server = await serve((open) => { signal = open.signal; return new Promise(() => {}); }, { attachTimeoutMs: 50 });
    await assert.rejects(attach(server), failsWith('DEADLINE_EXCEEDED', /did not open within 50 ms/));
    assert.equal(signal?.aborted, true);
  });

  it('refuses more consoles than its limit, and takes the next when one is gone', async () => {
    const server = await serve(async () => ({ stream: new PassThrough(), offset: 0 }), { attachesMax: 1 });
    const first = await attach(server);
    await assert.rejects(attach(server), failsWith('RESOURCE_EXHAUSTED', /at most 1 consoles/));
    first.destroy();
    await until(() => server.openAttaches === 0);
    await attach(server);
  });

  for (const [name, messages, words] of hostileConversations()) {
    it(`refuses ${name} and lives on`, async () => {
      const server = await serveGuest(new PassThrough());
      const { status } = await rawCall(server, messages);
      assert.equal(status.code, 3, status.details);
      assert.match(status.details, words);
      await attach(await serveGuest(new PassThrough()));
    });
  }

  it('refuses a message beyond its limit of size', async () => {
    const server = await serveGuest(new PassThrough());
    const { status } = await rawCall(server, [Buffer.alloc(1024 * 1024)]);
    assert.equal(status.code, 8);
  });

  it('ends a host that sends more than the window that was announced', async () => {
    const server = await serve(async () => ({ stream: new PassThrough(), offset: 0 }), { inputWindowBytes: 8192 });
    const data = (offset: number) => encodeRequest({ data: { offset, ack: 0, payload: Buffer.alloc(8192) } });
    const { status } = await rawCall(server, [openMessage()], [data(0), data(8192), data(16384), data(24576)].concat(Array.from({ length: 30 }, (_, i) => data(32768 + i * 8192))));
    assert.equal(status.code, 3);
    assert.match(status.details, /unacknowledged/);
  });

  it('carries megabytes both ways unchanged', async () => {
    const down = randomBytes(5_000_000);
    const up = randomBytes(3_000_000);
    const seen = hashing();
    const output = pieces(down);
    const guest = new Duplex({
      read() { if (output.length > 0) this.push(output.shift()); },
      write(chunk: Buffer, _encoding, done) { seen.add(chunk); setImmediate(done); },
    });
    const console = await attach(await serveGuest(guest));
    const read = collect(console, down.length);
    for (const piece of pieces(up)) if (!console.write(piece)) await once(console, 'drain');
    assert.equal(digest(await read), digest(down));
    await until(() => seen.bytes() === up.length);
    assert.equal(seen.digest(), digest(up));
  });

  it('has copied what was taken: the writer may use the memory again', async () => {
    const seen: Buffer[] = [];
    const guest = new Duplex({ read() {}, write(chunk: Buffer, _encoding, done) { seen.push(Buffer.from(chunk)); done(); } });
    const console = await attach(await serveGuest(guest));
    const memory = Buffer.alloc(4_096);
    const sent: Buffer[] = [];
    for (let i = 0; i < 40 && console.writableLength === 0; i += 1) {
      sent.push(Buffer.from(memory.fill(i + 1)));
      console.write(memory);
    }
    assert.ok(sent.length > 10);
    await until(() => Buffer.concat(seen).length === sent.length * memory.length);
    assert.equal(digest(Buffer.concat(seen)), digest(Buffer.concat(sent)));
  });

  it('stops the guest when nobody reads, without holding more than the windows', async () => {
    let produced = 0;
    const guest = new Duplex({
      read() {
        produced += 16384;
        setImmediate(() => this.push(Buffer.alloc(16384)));
      },
      write(_chunk, _encoding, done) { done(); },
    });
    const console = await attach(await serveGuest(guest), { windowBytes: 128 * 1024 });
    await sleep(300);
    const held = produced;
    assert.ok(held < 512 * 1024, `${held} bytes were taken from the guest`);
    await sleep(200);
    assert.equal(produced, held);
    console.resume();
    await until(() => produced > 4 * held);
  });

  it('stops the writer when the guest does not take its input', async () => {
    const guest = new Duplex({ read() {}, write() {} });
    const console = await attach(await serveGuest(guest, 0, { inputWindowBytes: 64 * 1024 }));
    let taken = 0;
    for (let i = 0; i < 100; i += 1) console.write(Buffer.alloc(16384), (error) => { if (!error) taken += 16384; });
    await sleep(300);
    assert.ok(taken <= 192 * 1024, `${taken} bytes were taken`);
  });

  it('lets a neighbour on the same connection run while one reader stands still', async () => {
    const flood = (): Duplex => new Duplex({ read() { this.push(Buffer.alloc(65536)); }, write(_c, _e, done) { done(); } });
    const server = await serve(async () => ({ stream: flood(), offset: 0 }));
    await attach(server);
    const lively = await attach(server);
    let bytes = 0;
    lively.on('data', (chunk: Buffer) => { bytes += chunk.length; });
    await until(() => bytes > 8 * 1024 * 1024);
  });

  it('passes the wanted offset on and says at which one the output begins', async () => {
    const asked: (number | null)[] = [];
    const server = await serve(async ({ offset }) => {
      asked.push(offset);
      return { stream: Duplex.from({ readable: Readable.from([Buffer.from('abc')]), writable: new PassThrough() }) as Duplex, offset: offset ?? 7 };
    });
    const first = await attach(server);
    assert.equal(first.outputOffset, 7);
    const large = 2 ** 50;
    const second = await attach(server, { offset: large });
    assert.equal(second.outputOffset, large);
    assert.equal((await collect(second, 3)).toString(), 'abc');
    await attach(server, { offset: 0 });
    assert.deepEqual(asked, [null, large, 0]);
  });

  it('brings what the guest said last, and then why it ended', async () => {
    const guest = new PassThrough();
    const console = await attach(await serveGuest(duplexOf(guest)));
    guest.write('bye');
    guest.end();
    assert.equal((await collect(console, 3)).toString(), 'bye');
    await once(console, 'end');
    assert.equal(console.ending?.reason, 'guest_closed');
  });

  it('brings the reason when the host ends a session', async () => {
    const guest = new PassThrough();
    const console = await attach(await serveGuest(guest));
    console.resume();
    guest.destroy(new ConsoleEnded('superseded'));
    await once(console, 'close');
    assert.equal(console.ending?.reason, 'superseded');
    assert.match(console.ending.words, /newer session/);
  });

  it('shows a guest that broke off as the guest\'s end, not as a fault', async () => {
    const guest = new PassThrough();
    const console = await attach(await serveGuest(guest));
    console.resume();
    guest.destroy(new Error('read ECONNRESET'));
    await once(console, 'close');
    assert.equal(console.ending?.reason, 'guest_closed');
  });

  it('fails with the error that a guest\'s stream failed with', async () => {
    const guest = new PassThrough();
    const console = await attach(await serveGuest(guest));
    guest.destroy(new ServiceError('RESOURCE_EXHAUSTED', 'this session read nothing'));
    const [error] = await once(console, 'error') as [ServiceError];
    assert.equal(error.code, 'RESOURCE_EXHAUSTED');
  });

  it('ends its sessions with host_draining when the host drains', async () => {
    const server = await serveGuest(new PassThrough());
    const console = await attach(server);
    console.resume();
    const started = Date.now();
    await server.drain(2000);
    assert.ok(Date.now() - started < 1500);
    await until(() => console.ending !== null);
    assert.equal(console.ending?.reason, 'host_draining');
  });

  it('delivers the last input and lets the guest go when the session ends', async () => {
    const guest = new PassThrough();
    const input: Buffer[] = [];
    const stream = new Duplex({ read() {}, write(chunk: Buffer, _e, done) { input.push(chunk); done(); } });
    guest.resume();
    const server = await serveGuest(stream);
    const console = await attach(server);
    console.resume();
    console.end('exit\n');
    await until(() => stream.destroyed && server.openAttaches === 0);
    assert.equal(Buffer.concat(input).toString(), 'exit\n');
  });

  it('lets the guest go when the proxy throws the session away', async () => {
    const guest = new PassThrough();
    const server = await serveGuest(guest);
    (await attach(server)).destroy();
    await until(() => guest.destroyed && server.openAttaches === 0);
  });
});

function failsWith(code: ErrorCode, words: RegExp) {
  return (error: unknown) => error instanceof ServiceError && error.code === code && words.test(error.message);
}

async function until(condition: () => boolean, timeoutMs = 5000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) assert.fail(`not within ${timeoutMs} ms: ${condition.toString()}`);
    await sleep(5);
  }
}

function openMessage(change: object = {}): Buffer {
  return encodeRequest({ open: { sessionId: 's-1', attachSecret: SECRET, offset: null, windowBytes: 65536, ...change } });
}

function hostileConversations(): [string, Buffer[], RegExp][] {
  const data = (offset: number, ack: number): AttachRequest => ({ data: { offset, ack, payload: Buffer.from('x') } });
  return [
    ['bytes that are no message', [Buffer.from([0xff, 0xff, 0xff])], /not an Attach message|nothing this version/],
    ['an empty message', [Buffer.alloc(0)], /nothing this version knows/],
    ['data before Open', [encodeRequest(data(0, 0))], /must be Open/],
    ['two Opens', [openMessage(), openMessage()], /next must wait|second Open/],
    ['an Open without a session', [openMessage({ sessionId: '' })], /names a session/],
    ['an Open with an endless secret', [openMessage({ attachSecret: 'x'.repeat(2000) })], /names a session/],
    ['a window of nothing', [openMessage({ windowBytes: 0 })], /window of at least/],
  ];
}

/** A caller that follows no rules: sends the first messages at once, the rest after the host has answered. */
async function rawCall(server: ConsoleStreamServer, first: Buffer[], rest: Buffer[] = []) {
  const client = new Client(server.endpoint, credentials.createInsecure());
  const same = (bytes: Buffer): Buffer => bytes;
  const call = client.makeBidiStreamRequest(ATTACH_PATH, same, same);
  call.on('error', () => {});
  call.once('data', () => rest.forEach((message) => call.write(message)));
  first.forEach((message) => call.write(message));
  const status = await new Promise<{ code: number; details: string }>((resolve) => call.once('status', resolve));
  client.close();
  return { status };
}

function pieces(bytes: Buffer): Buffer[] {
  const sizes = [1, 70_000, 3, 65_536, 200_000, 999];
  const all: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i += 1) {
    const size = sizes[i % sizes.length]!;
    all.push(bytes.subarray(at, at + size));
    at += size;
  }
  return all;
}

async function collect(stream: Duplex, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return new Promise((resolve, reject) => {
    stream.on('error', reject);
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= length) resolve(Buffer.concat(chunks));
    });
  });
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function hashing() {
  const hash = createHash('sha256');
  let bytes = 0;
  const add = (chunk: Buffer): void => { hash.update(chunk); bytes += chunk.length; };
  return { add, bytes: () => bytes, digest: () => hash.digest('hex') };
}

/** Output as given, input nowhere. */
function duplexOf(readable: Readable): Duplex {
  const sink = new PassThrough();
  sink.resume();
  return Duplex.from({ readable, writable: sink }) as Duplex;
}
