/** What happens to a console between its states: input behind which the client leaves, clients still being let in. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import WebSocket from 'ws';
import { serveConsoleStream } from '@gatehouse/console-stream/serve-console-stream';
import { ServiceError } from '@gatehouse/errors/service-error';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import type { Transport } from '@gatehouse/rpc/transport';
import type { App } from '@gatehouse/runtime/app';
import { noAudit } from '@gatehouse/runtime/audit';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { createMetrics, type Metrics } from '@gatehouse/runtime/metrics';
import { startConsoleProxy } from './app.module.ts';
import { consoleProxyConfig } from './config.ts';
import { dialTcp } from './dial/dial-tcp.ts';
import { TestConsoleAuth } from './test-console-auth.ts';
import { startGuest, type TestGuest } from './test-guests.ts';
import { closeOf } from './test-proxy.ts';

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; !condition(); i++) {
    assert.ok(i < 800, `waited 4 seconds in vain: ${what}`);
    await pause(5);
  }
}

describe('the console proxy, between the states of a console,', () => {
  let transport: Transport;
  let auth: TestConsoleAuth;
  let app: App;
  let metrics: Metrics;
  let guest: TestGuest;
  let heard: Buffer[];

  beforeEach(async () => {
    heard = [];
    transport = createMemoryTransport();
    auth = new TestConsoleAuth();
    await auth.serve(transport);
    guest = await startGuest((socket) => void socket.on('data', (bytes) => heard.push(bytes)));
    auth.consoles.set('good', { instanceName: 'demo-1', consoleType: 'serial', port: guest.port });
    metrics = createMetrics('console-proxy');
    const config = consoleProxyConfig.parse({ proxyPort: '0', proxyName: 'proxy-1', proxyDrain: '0' });
    app = await startConsoleProxy({ config, transport, audit: noAudit, log: silentLogger, metrics, clock: systemClock });
  });

  afterEach(async () => {
    await app.drain();
    await transport.close();
    await guest.close();
  });

  const open = (token = 'good'): WebSocket => new WebSocket(app.addresses[0]!.url.replace('http', 'ws'), ['gatehouse.v1', 'binary', `token.${token}`]);
  const closeCode = async (socket: WebSocket): Promise<number> => (await closeOf(socket.on('error', () => {}))).code;

  it('gives the guest what a client sent just before it left, through its host and by TCP', async () => {
    const host = await serveConsoleStream({ listen: '127.0.0.1:0', log: silentLogger, attach: async () => ({ stream: await dialTcp('127.0.0.1', guest.port, AbortSignal.timeout(5_000)), offset: 0 }) });
    for (const endpoint of [host.endpoint, undefined]) {
      heard = [];
      auth.consoles.set('good', { instanceName: 'demo-1', consoleType: 'serial', port: guest.port, ...(endpoint === undefined ? {} : { endpoint }) });
      const socket = open();
      await once(socket, 'message');
      socket.send(Buffer.alloc(100_000, 'q'));
      socket.send(Buffer.from('poweroff\n'));
      socket.close();
      await until(() => guest.sockets.size === 0 && heard.length > 0, 'the guest is let go');
      const text = Buffer.concat(heard).toString();
      assert.equal(text.length, 100_009);
      assert.ok(text.endsWith('poweroff\n'));
    }
    await host.drain(1_000);
  });

  it('lets go of a guest that does not take the last input within a second', async () => {
    const deaf = new Duplex({ read() {}, write() {} });
    const host = await serveConsoleStream({ listen: '127.0.0.1:0', log: silentLogger, attach: async () => ({ stream: deaf, offset: 0 }) });
    auth.consoles.set('good', { instanceName: 'demo-1', consoleType: 'serial', port: guest.port, endpoint: host.endpoint });
    const socket = open();
    await once(socket, 'message');
    socket.send(Buffer.alloc(200_000));
    socket.close();
    await until(() => auth.released.length === 1, 'the release');
    assert.equal(host.openAttaches, 1);
    await until(() => host.openAttaches === 0, 'the guest is let go');
    await host.drain(1_000);
  });

  it('counts who was let in, why each ended, and tells refusals apart', async () => {
    const socket = open();
    await once(socket, 'message');
    socket.close();
    await until(() => auth.released.length === 1, 'the release');
    assert.equal(await closeCode(open('bad')), 4401);
    const stranger = new WebSocket(app.addresses[0]!.url.replace('http', 'ws'), ['binary', 'token.good'], { headers: { origin: 'http://evil.example' } });
    assert.equal(await closeCode(stranger), 4403);
    const text = await metrics.registry.metrics();
    for (const line of ['opened_total{', 'ended_total{reason="client_closed",']) assert.ok(text.includes(`gatehouse_proxy_sessions_${line}`), text);
    for (const code of ['UNAUTHENTICATED', 'PERMISSION_DENIED']) assert.match(text, new RegExp(`^gatehouse_proxy_refusals_total{code="${code}",.*} 1$`, 'm'));
  });

  it('releases the session of a client whose grant it never heard', async () => {
    // The answer is lost with the connection; the request has run.
    const request = transport.request.bind(transport);
    transport.request = async (asked) => {
      const reply = await request(asked);
      if (asked.message.method === 'connect') throw new ServiceError('UNAVAILABLE', 'the connection was lost; it may have run');
      return reply;
    };
    assert.equal(await closeCode(open()), 4503);
    await until(() => auth.released.length === 1 && auth.open.size === 0, 'the release');
    assert.equal(auth.released[0]?.reason, 'lease_lost');
  });

  it('opens nothing once it drains, and has released by the end of the drain what was granted late', async () => {
    let letGo = (): void => {};
    auth.hold = new Promise((resolve) => (letGo = resolve));
    const socket = open();
    const messages: string[] = [];
    socket.on('message', (bytes: Buffer) => messages.push(bytes.toString()));
    const closed = closeCode(socket);
    await until(() => auth.connects === 1, 'consoleauth is asked');
    const drained = app.drain();
    setTimeout(letGo, 150);
    await drained;
    assert.equal(await closed, 1012);
    assert.deepEqual(auth.released.map(({ reason }) => reason), ['proxy_draining']);
    assert.ok(messages.every((text) => !text.includes('"session"')), messages.join());
    assert.equal(guest.sockets.size, 0);
  });
});
