import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import WebSocket from 'ws';
import { consoleProxy } from '@gatehouse/contracts/console-proxy';
import { ServiceError } from '@gatehouse/errors/service-error';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import type { Transport } from '@gatehouse/rpc/transport';
import type { App } from '@gatehouse/runtime/app';
import { noAudit } from '@gatehouse/runtime/audit';
import { systemClock } from '@gatehouse/runtime/clock';
import { createLogger } from '@gatehouse/runtime/logger';
import { createMetrics } from '@gatehouse/runtime/metrics';
import { Writable } from 'node:stream';
import { runFor } from '../../../test/servers/running-time.ts';
import { startConsoleProxy } from './app.module.ts';
import { consoleProxyConfig, type ConsoleProxyConfig } from './config.ts';
import { TestConsoleAuth } from './test-console-auth.ts';
import { echo, flood, startGuest, type TestGuest } from './test-guests.ts';
import { closeOf, type Closed } from './test-proxy.ts';

/** Never given out, and nobody serves it. */
const NOBODYS_PORT = 1;

interface Seen {
  readonly socket: WebSocket;
  readonly texts: { readonly type: string; readonly [key: string]: unknown }[];
  readonly data: Buffer[];
  readonly closed: Promise<Closed>;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; !condition(); i++) {
    assert.ok(i < 800, `waited 4 seconds in vain: ${what}`);
    await pause(5);
  }
}

describe('the console proxy', () => {
  let transport: Transport;
  let auth: TestConsoleAuth;
  let app: App;
  let guest: TestGuest;
  let base = '';
  let logged = '';

  async function start(settings: Partial<ConsoleProxyConfig> = {}): Promise<void> {
    logged = '';
    const destination = new Writable({ write: (chunk: Buffer, _encoding, done) => ((logged += chunk.toString()), done()) });
    const config = { ...consoleProxyConfig.parse({ proxyPort: '0', proxyName: 'proxy-1', proxyDrain: '0' }), ...settings };
    const log = createLogger({ service: 'console-proxy', level: 'debug', destination });
    app = await startConsoleProxy({ config, transport, audit: noAudit, log, metrics: createMetrics('console-proxy'), clock: systemClock });
    base = app.addresses[0]!.url;
  }

  beforeEach(async () => {
    transport = createMemoryTransport();
    auth = new TestConsoleAuth();
    await auth.serve(transport);
    guest = await startGuest(echo);
    auth.consoles.set('good', { instanceName: 'demo-1', consoleType: 'serial', port: guest.port });
  });

  afterEach(async () => {
    await app.drain();
    await transport.close();
    await guest.close();
  });

  function open(protocols: string[], options: { path?: string; headers?: Record<string, string> } = {}): Seen {
    const url = `${base.replace('http', 'ws')}${options.path ?? '/websockify'}`;
    const socket = new WebSocket(url, protocols, { headers: options.headers ?? {} });
    const texts: Seen['texts'] = [];
    const data: Buffer[] = [];
    socket.on('message', (bytes: Buffer, binary: boolean) => {
      if (binary) data.push(bytes);
      else texts.push(JSON.parse(bytes.toString()) as Seen['texts'][number]);
    });
    socket.on('error', () => {});
    const closed = closeOf(socket);
    return { socket, texts, data, closed };
  }
  const openGood = (): Seen => open(['gatehouse.v1', 'binary', 'token.good']);

  describe('refuses after the upgrade, with a code and words', () => {
    const table: readonly (readonly [string, number, RegExp, string[], { path?: string; headers?: Record<string, string> }])[] = [
      ['a client without a token', 4401, /token/, ['binary'], {}],
      ['an unknown token', 4401, /unknown/, ['binary', 'token.bad'], {}],
      ['a token that is too long', 4401, /not known/, ['binary'], { path: `/?token=${'x'.repeat(600)}` }],
      ['a bad token though the cookie has a good one', 4401, /unknown/, ['binary'], { path: '/?token=bad', headers: { cookie: 'token=good' } }],
      ['a page of another host', 4403, /evil\.example/, ['binary', 'token.good'], { headers: { origin: 'http://evil.example' } }],
      ['the page null', 4403, /Origin/, ['binary', 'token.good'], { headers: { origin: 'null' } }],
      ['an instance that is gone', 4404, /gone/, ['binary', 'token.gone'], {}],
      ['a port in use', 4409, /since 12:00/, ['binary', 'token.busy'], {}],
      ['a host that is not there', 4503, /host/, ['binary', 'token.hostless'], {}],
      ['a host that refuses the connection', 4503, /host/, ['binary', 'token.refused'], {}],
    ];
    for (const [what, code, words, protocols, options] of table) {
      it(`${what}: ${code}`, async () => {
        await start();
        auth.refusals.set('gone', new ServiceError('NOT_FOUND', 'The instance is gone.'));
        auth.refusals.set('busy', new ServiceError('PORT_IN_USE', 'This port is in use since 12:00:00 UTC.'));
        auth.refusals.set('hostless', new ServiceError('UNAVAILABLE', 'The host of this console does not answer.'));
        auth.consoles.set('refused', { instanceName: 'demo-2', consoleType: 'novnc', port: NOBODYS_PORT });
        const end = await open(protocols, options).closed;
        assert.equal(end.code, code);
        assert.match(end.reason, words);
        await until(() => auth.open.size === 0, 'no session is left behind');
      });
    }

    it('everyone while consoleauth is away, but answers', async () => {
      await start();
      const lonely = createMemoryTransport();
      await app.drain();
      transport = lonely;
      await start();
      const end = await openGood().closed;
      assert.equal(end.code, 4503);
      assert.match(end.reason, /console service does not answer/);
    });

    it('tells why in full to a page that speaks gatehouse.v1, and text to nobody else', async () => {
      await start();
      const page = open(['gatehouse.v1', 'token.bad']);
      const end = await page.closed;
      assert.deepEqual(page.texts, [{ type: 'end', code: end.code, reason: end.reason }]);
      const plain = open(['binary', 'token.bad']);
      await plain.closed;
      assert.deepEqual(plain.texts, []);
    });

    it('more clients than it may carry, until one leaves', async () => {
      await start({ proxySessionsMax: 1 });
      const first = openGood();
      await until(() => first.texts.length === 1, 'the first is in');
      assert.equal((await openGood().closed).code, 4429);
      first.socket.close();
      await until(() => auth.open.size === 0, 'the first is gone');
      const third = openGood();
      await until(() => third.texts.length === 1, 'the third is in');
    });
  });

  describe('opens a console', () => {
    const ways: readonly (readonly [string, string[], { path?: string; headers?: Record<string, string> }, string])[] = [
      ['by the subprotocol', ['binary', 'token.good'], {}, 'binary'],
      ['by the query, at any path', ['binary'], { path: '/any/path?token=good' }, 'binary'],
      ['by a nested path', ['binary'], { path: '/?path=%3Ftoken%3Dgood' }, 'binary'],
      ['by a cookie', ['binary'], { headers: { cookie: 'token=good' } }, 'binary'],
      ['without any subprotocol', [], { path: '/?token=good' }, ''],
      ['for a page of its own host', ['binary', 'token.good'], { headers: { origin: 'http://localhost' } }, 'binary'],
    ];
    for (const [what, protocols, options, chosen] of ways) {
      it(`${what}, and sends no text where none was agreed`, async () => {
        await start();
        const seen = open(protocols, options);
        seen.socket.on('open', () => seen.socket.send(Buffer.from('hello')));
        await until(() => Buffer.concat(seen.data).toString() === 'hello', 'the echo');
        assert.equal(seen.socket.protocol, chosen);
        assert.deepEqual(seen.texts, []);
        seen.socket.close();
      });
    }

    it('and names the session to a page, releases it at the end with its bytes, and logs no token', async () => {
      await start();
      const seen = openGood();
      await until(() => seen.texts.length === 1, 'the session message');
      const [session] = seen.texts;
      assert.equal(session?.type, 'session');
      assert.equal((session?.['instance'] as { name: string }).name, 'demo-1');
      seen.socket.send(Buffer.alloc(1_000));
      await until(() => Buffer.concat(seen.data).length === 1_000, 'the echo');
      seen.socket.close(1000);
      await until(() => auth.released.length === 1, 'the release');
      assert.deepEqual(auth.released, [{ id: session?.['id'], reason: 'client_closed', bytesIn: 1_000, bytesOut: 1_000 }]);
      await until(() => guest.sockets.size === 0, 'the guest is let go');
      assert.match(logged, /console open/);
      assert.ok(!logged.includes('good'), 'the token is in the log');
    });

    it('and ends with 1000 when the guest closes, after all that it sent', async () => {
      const talker = await startGuest((socket) => void socket.end(Buffer.alloc(300_000, 'z')));
      auth.consoles.set('good', { instanceName: 'demo-1', consoleType: 'serial', port: talker.port });
      await start();
      const seen = openGood();
      assert.deepEqual(await seen.closed, { code: 1000, reason: 'The machine closed the console.' });
      assert.equal(Buffer.concat(seen.data).length, 300_000);
      await until(() => auth.released.length === 1, 'the release');
      assert.equal(auth.released[0]?.reason, 'guest_closed');
      await talker.close();
    });

    it('and ends with 1002 when the client breaks the protocol', async () => {
      await start();
      const seen = open(['binary', 'token.good']);
      await once(seen.socket, 'open');
      seen.socket.send('text');
      assert.equal((await seen.closed).code, 1003);
      await until(() => auth.released.length === 1, 'the release');
      assert.equal(auth.released[0]?.reason, 'protocol_error');
    });

    it('and frees the port when the client vanishes while it is being opened', async () => {
      await start();
      const url = new URL(base);
      const raw = connect(Number(url.port), '127.0.0.1');
      raw.write(
        'GET /?token=good HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      );
      await once(raw, 'data');
      raw.destroy();
      await until(() => auth.released.length === 1 && guest.sockets.size === 0, 'the release');
    });
  });

  describe('keeps its memory', () => {
    it('with a guest that floods a client that never reads', async () => {
      const flooder = await startGuest(flood);
      auth.consoles.set('good', { instanceName: 'demo-1', consoleType: 'serial', port: flooder.port });
      await start();
      const seen = open(['binary', 'token.good']);
      await once(seen.socket, 'open');
      seen.socket.pause();
      const sent = (): number => [...flooder.sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
      // What the kernel holds for a reader who does not read passes through first.
      for (let last = -1; sent() > last; await runFor(200)) last = sent();
      const [before, filled] = [process.memoryUsage().arrayBuffers, sent()];
      await runFor(700);
      const grown = process.memoryUsage().arrayBuffers - before;
      assert.ok(grown < 4 * 1024 * 1024, `grew by ${grown} bytes in 0.7 s`);
      assert.equal(sent(), filled, 'the guest is made to wait');
      seen.socket.terminate();
      await flooder.close();
    });

    it('with a client that floods a guest that never reads', async () => {
      const deaf = await startGuest((socket) => void socket.pause());
      auth.consoles.set('good', { instanceName: 'demo-1', consoleType: 'serial', port: deaf.port });
      await start();
      const seen = open(['binary', 'token.good']);
      await once(seen.socket, 'open');
      for (let i = 0; i < 40; i++) seen.socket.send(Buffer.alloc(1024 * 1024));
      let last = -1;
      while (seen.socket.bufferedAmount !== last) {
        last = seen.socket.bufferedAmount;
        await runFor(300);
      }
      assert.ok(last > 20 * 1024 * 1024, `the client is made to wait, with ${last} bytes that nobody takes`);
      seen.socket.terminate();
      await deaf.close();
    });
  });

  describe('ends sessions', () => {
    it('at once when consoleauth says so, with the reason', async () => {
      await start();
      const seen = openGood();
      await until(() => seen.texts.length === 1, 'the session message');
      const proxies = createClient(consoleProxy, transport);
      const id = seen.texts[0]?.['id'] as string;
      const unknown = '11111111-1111-4111-8111-111111111111';
      await proxies.endSessions({ sessions: { [id]: 'instance_deleted', [unknown]: 'instance_deleted' } }, newContext(), { server: 'proxy-1' });
      assert.deepEqual(await seen.closed, { code: 4020, reason: 'The instance was deleted.' });
      await until(() => auth.released.length === 1, 'the release');
      assert.equal(auth.released[0]?.reason, 'instance_deleted');
    });

    it('when a renewal names them, and renews the rest in one batch', async () => {
      auth.leaseSeconds = 1;
      await start();
      const [first, second] = [openGood(), openGood()];
      await until(() => first.texts.length + second.texts.length === 2, 'both are in');
      // Those before may have named the one that came first alone.
      const before = auth.renewals.length;
      auth.toEnd.set(first.texts[0]?.['id'] as string, 'superseded');
      assert.equal((await first.closed).code, 4023);
      assert.equal(second.socket.readyState, WebSocket.OPEN);
      assert.equal(auth.renewals[before], 2);
    });

    it('not while renewal is impossible', async () => {
      auth.leaseSeconds = 1;
      await start();
      const seen = openGood();
      await until(() => seen.texts.length === 1, 'the session message');
      Object.defineProperty(auth, 'toEnd', { get: () => assert.fail('consoleauth is broken') });
      const before = auth.renewals.length;
      await Promise.all([runFor(2_500), until(() => auth.renewals.length > before + 1, 'renewals in vain')]);
      seen.socket.send(Buffer.from('still here'));
      await until(() => Buffer.concat(seen.data).toString() === 'still here', 'the echo');
    });

    it('when it drains: it tells them first, takes no new ones, says why, and releases whoever cannot come back', async () => {
      // Time enough to come too late in.
      await start({ proxyDrain: 3 });
      const seen = openGood();
      const program = open(['binary', 'token.good']);
      await until(() => seen.texts.length === 1 && guest.sockets.size === 2, 'both are in');
      const drained = app.drain();
      await until(() => seen.texts.length === 2, 'the drain message');
      assert.equal(seen.texts[1]?.type, 'drain');
      const late = await openGood().closed;
      assert.equal(late.code, 1012);
      assert.equal((await seen.closed).code, 1012);
      assert.equal((await program.closed).code, 1012);
      await drained;
      assert.deepEqual(auth.released.map(({ reason }) => reason), ['proxy_draining']);
      await start();
    });
  });

  it('reports itself to consoleauth, and is ready when its own queue answers', async () => {
    await start();
    await app.checkReady();
    await until(() => auth.reports.includes('console-proxy proxy-1'), 'the report');
  });
});
