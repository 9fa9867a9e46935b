import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { ServiceError } from '@gatehouse/errors/service-error';
import { freePort } from '../../../test/servers/free-port.ts';
import { encodeRequest } from './attach-messages.ts';
import type { AttachRequest } from './attach-messages.ts';
import { serveConsoleStream } from './serve-console-stream.ts';
import { rawCall } from './test-raw-calls.ts';
import { OWN_CALL, SHARED, TestStreams, failsWith, openMessage, silent, until } from './test-streams.ts';

for (const [words, way] of [['its calls on one stream', SHARED], ['each call on its own', OWN_CALL]] as const) {
  describe(`the console stream, ${words}`, () => {
    const streams = new TestStreams(way);
    const isShared = way === SHARED;

    afterEach(() => streams.close());

    it('refuses to listen beyond loopback without TLS, and says what to do', async () => {
      const refused = serveConsoleStream({ listen: '0.0.0.0:0', attach: () => assert.fail('not reached'), log: silent });
      await assert.rejects(refused, failsWith('INVALID_ARGUMENT', /TLS.*loopback/));
    });

    it('refuses to listen where something listens already', async () => {
      const other = createServer().listen(0, '127.0.0.1');
      await once(other, 'listening');
      const listen = `127.0.0.1:${(other.address() as AddressInfo).port}`;
      await assert.rejects(serveConsoleStream({ listen, attach: () => assert.fail('not reached'), log: silent }), failsWith('FAILED_PRECONDITION', /cannot listen/));
      other.close();
    });

    it('will not send a secret in clear beyond this machine', async () => {
      await assert.rejects(streams.attach({ endpoint: '192.0.2.1:9000' }), failsWith('FAILED_PRECONDITION', /TLS/));
    });

    it('answers a wrong secret with the refusal that the host gave', async () => {
      const server = await streams.serveGuest(new PassThrough());
      const refused = streams.attach(server, { attachSecret: 'another' });
      await assert.rejects(refused, failsWith('UNAUTHENTICATED', /unknown or was used/));
      assert.equal(server.openAttaches, 0);
    });

    it('keeps the exact code of a refusal where gRPC has one number for two', async () => {
      const server = await streams.serve(() => Promise.reject(new ServiceError('PORT_IN_USE', 'in use since noon')));
      await assert.rejects(streams.attach(server), failsWith('PORT_IN_USE', /since noon/));
    });

    it('hides the words of an unexpected failure', async () => {
      const server = await streams.serve(() => Promise.reject(new Error('secret path /etc/x')));
      await assert.rejects(streams.attach(server), (error: ServiceError) => error.code === 'INTERNAL' && !error.message.includes('/etc/x'));
    });

    it('is UNAVAILABLE where no agent listens', async () => {
      // A port that is never given out.
      await assert.rejects(streams.attach({ endpoint: '127.0.0.1:1' }), failsWith('UNAVAILABLE', /./));
    });

    it('is DEADLINE_EXCEEDED where something listens and never answers', async () => {
      const sockets: Socket[] = [];
      const mute = createServer((socket) => sockets.push(socket.on('error', () => {}))).listen(0, '127.0.0.1');
      await once(mute, 'listening');
      const endpoint = `127.0.0.1:${(mute.address() as AddressInfo).port}`;
      await assert.rejects(streams.attach({ endpoint }, { connectTimeoutMs: 200 }), failsWith('DEADLINE_EXCEEDED', /200 ms/));
      sockets.forEach((socket) => socket.destroy());
      mute.close();
    });

    it('reaches an agent again at once after it was away', async () => {
      const first = await streams.serve(async () => ({ stream: new PassThrough(), offset: 0 }), {}, `127.0.0.1:${await freePort()}`);
      (await streams.attach(first)).destroy();
      await first.drain(500);
      await assert.rejects(streams.attach(first), failsWith('UNAVAILABLE', /./));
      const again = await streams.serve(async () => ({ stream: new PassThrough(), offset: 0 }), {}, first.endpoint);
      await streams.attach(again);
    });

    it('gives up on a caller that never says what it wants', async () => {
      const server = await streams.serveGuest(new PassThrough(), 0, { openTimeoutMs: 50, idleStreamTimeoutMs: 50 });
      const { status } = await rawCall(server, isShared, []);
      assert.equal(status.code, 4);
      assert.match(status.details, isShared ? /no call within 50 ms/ : /no Open message within 50 ms/);
    });

    it('gives up on a console that does not open, and tells whoever opens it', async () => {
      let signal: AbortSignal | undefined;
      const server = await streams.serve((open) => { signal = open.signal; return new Promise(() => {}); }, { attachTimeoutMs: 50 });
      await assert.rejects(streams.attach(server), failsWith('DEADLINE_EXCEEDED', /did not open within 50 ms/));
      assert.equal(signal?.aborted, true);
    });

    it('refuses more consoles than its limit, and takes the next when one is gone', async () => {
      const server = await streams.serve(async () => ({ stream: new PassThrough(), offset: 0 }), { attachesMax: 1 });
      const first = await streams.attach(server);
      await assert.rejects(streams.attach(server), failsWith('RESOURCE_EXHAUSTED', /at most 1 consoles/));
      first.destroy();
      await until(() => server.openAttaches === 0);
      await streams.attach(server);
    });

    for (const [name, messages, words] of hostileConversations(isShared)) {
      it(`refuses ${name} and lives on`, async () => {
        const server = await streams.serveGuest(new PassThrough());
        const { status } = await rawCall(server, isShared, messages);
        assert.equal(status.code, 3, status.details);
        assert.match(status.details, words);
        await streams.attach(await streams.serveGuest(new PassThrough()));
      });
    }

    it('refuses a message beyond its limit of size', async () => {
      const server = await streams.serveGuest(new PassThrough());
      const { status } = await rawCall(server, isShared, [Buffer.alloc(1024 * 1024)]);
      assert.equal(status.code, 8);
    });

    if (!isShared) it('ends a host that sends more than the window that was announced', async () => {
      const server = await streams.serve(async () => ({ stream: new PassThrough(), offset: 0 }), { inputWindowBytes: 8192 });
      const data = (offset: number) => encodeRequest({ data: { offset, ack: 0, payload: Buffer.alloc(8192) } });
      const { status } = await rawCall(server, isShared, [openMessage()], [data(0), data(8192), data(16384), data(24576)].concat(Array.from({ length: 30 }, (_, i) => data(32768 + i * 8192))));
      assert.equal(status.code, 3);
      assert.match(status.details, /unacknowledged/);
    });
  });
}

function hostileConversations(byteConnection: boolean): [string, Buffer[], RegExp][] {
  const open = (change: object = {}): Buffer => openMessage({ byteConnection, ...change });
  const data = (offset: number, ack: number): AttachRequest => ({ data: { offset, ack, payload: Buffer.from('x') } });
  return [
    ['bytes that are no message', [Buffer.from([0xff, 0xff, 0xff])], /not an Attach message|nothing this version/],
    ['an empty message', [Buffer.alloc(0)], /nothing this version knows/],
    ['data before Open', [encodeRequest(data(0, 0))], /must be Open/],
    ['two Opens', [open(), open()], /next must wait|second Open|connection of their own/],
    ['an Open without a session', [open({ sessionId: '' })], /names a session/],
    ['an Open with an endless secret', [open({ attachSecret: 'x'.repeat(2000) })], /names a session/],
    ['a window of nothing', [open({ windowBytes: 0 })], /window of at least/],
  ];
}
