/** A client that lost its console, and how it goes on: at the same proxy, at another, in time or too late. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import WebSocket from 'ws';
import { ServiceError } from '@gatehouse/errors/service-error';
import { runningMsOf } from '../../../test/servers/running-time.ts';
import { echo, startGuest, type TestGuest } from './test-guests.ts';
import { TestProxies, until, type TestClient } from './test-proxy.ts';

describe('a console session whose client is lost', () => {
  let proxies: TestProxies;
  let guest: TestGuest;

  beforeEach(async () => {
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    guest = await startGuest(echo);
    proxies.auth.consoles.set('good', { instanceName: 'demo-1', consoleType: 'serial', port: guest.port, exclusive: true });
  });
  afterEach(async () => {
    await proxies.close();
    await guest.close();
  });

  /** A page with its console open, and what it keeps. */
  async function openPage(name = 'proxy-1', resume?: unknown): Promise<{ page: TestClient; id: string; resume: unknown }> {
    const page = proxies.open(name, 'good', resume);
    const session = await page.session();
    return { page, id: session['id'] as string, resume: session['resume'] ?? resume };
  }
  const say = async (page: TestClient, words: string): Promise<void> => {
    page.socket.send(Buffer.from(words));
    await until(() => page.text.includes(words), `the echo of ${words}`);
  };
  const endSessions = (sessions: Record<string, string>, name = 'proxy-1'): Promise<void> => proxies.endSessions(name, sessions);

  it('is refused to whoever shows no grant, and to whoever shows a wrong one, while it waits', async () => {
    await proxies.start('proxy-1');
    const { page } = await openPage();
    page.socket.terminate();
    await until(() => guest.sockets.size === 0, 'the console is let go');
    for (const resume of [undefined, 'wrong', 'x'.repeat(200)]) assert.equal((await proxies.open('proxy-1', 'good', resume).closed).code, 4409);
    assert.equal(proxies.auth.open.size, 1);
  });

  it('is released when its client does not come back in time', async () => {
    const metrics = await proxies.start('proxy-1', { proxyResumeWait: 3 });
    const { page, id } = await openPage();
    await say(page, 'hello');
    page.socket.terminate();
    await until(() => guest.sockets.size === 0, 'the console is let go');
    assert.match(await metrics.registry.metrics(), /^gatehouse_proxy_sessions_parked\{.*\} 1$/m);
    assert.deepEqual(proxies.auth.released, []);
    await until(() => proxies.auth.released.length === 1, 'the release');
    assert.deepEqual(proxies.auth.released, [{ id, reason: 'client_lost', bytesIn: 5, bytesOut: 5 }]);
    assert.match(await metrics.registry.metrics(), /^gatehouse_proxy_sessions_parked\{.*\} 0$/m);
  });

  it('is released at once when its user closed it, when its client holds no grant, and when nobody is waited for', async () => {
    await proxies.start('proxy-1');
    const { page } = await openPage();
    page.socket.close(1000);
    await until(() => proxies.auth.released.length === 1, 'the release of a closed one');
    const program = proxies.openProgram('proxy-1', 'good');
    await until(() => proxies.auth.open.size === 1 && guest.sockets.size === 1, 'the program is in');
    program.socket.terminate();
    await until(() => proxies.auth.released.length === 2, "the release of the program's");
    await proxies.start('proxy-2', { proxyResumeWait: 0 });
    const { page: other } = await openPage('proxy-2');
    other.socket.terminate();
    await until(() => proxies.auth.released.length === 3, 'the release of one that is not waited for');
    assert.deepEqual(proxies.auth.released.map(({ reason }) => reason), ['client_closed', 'client_lost', 'client_lost']);
  });

  it('is renewed while it waits, so that its port stays taken', async () => {
    proxies.auth.leaseSeconds = 1;
    await proxies.start('proxy-1', { proxyResumeWait: 30 });
    const { page } = await openPage();
    page.socket.terminate();
    await until(() => guest.sockets.size === 0, 'the console is let go');
    const before = proxies.auth.renewals.length;
    await until(() => proxies.auth.renewals.length > before + 2, 'renewals');
  });

  for (const [what, leave] of [
    ['loads its page anew', (page: TestClient) => page.socket.close(1001)],
    ['vanishes', (page: TestClient) => page.socket.terminate()],
    ['comes back before its loss was noticed', (page: TestClient) => page.socket.pause()],
  ] as const) {
    it(`goes on at the same proxy when its client ${what}: same id, bytes counted on, nothing released`, async () => {
      await proxies.start('proxy-1');
      const first = await openPage();
      await say(first.page, 'hello');
      leave(first.page);
      const second = await openPage('proxy-1', first.resume);
      assert.equal(second.id, first.id);
      assert.equal('resume' in (await second.page.session()), false, 'the grant is told once');
      await say(second.page, 'world!');
      await until(() => guest.sockets.size === 1, 'the guest has one client');
      second.page.socket.close(1000);
      await until(() => proxies.auth.released.length === 1, 'the release');
      assert.deepEqual(proxies.auth.released, [{ id: first.id, reason: 'client_closed', bytesIn: 11, bytesOut: 11 }]);
      assert.deepEqual(proxies.auth.passedOver, []);
      first.page.socket.terminate();
    });
  }

  it('tells the older of two clients that it was taken over', async () => {
    await proxies.start('proxy-1');
    const first = await openPage();
    const second = await openPage('proxy-1', first.resume);
    assert.deepEqual(await first.page.closed, { code: 4023, reason: 'A newer session took over this port.' });
    assert.equal(second.id, first.id);
    await say(second.page, 'still here');
    assert.deepEqual([proxies.auth.released, proxies.auth.passedOver], [[], []]);
  });

  it('is taken over by another proxy, whether its client is parked or not: byte counts go on, and the former lets go', async () => {
    await proxies.start('proxy-1');
    await proxies.start('proxy-2');
    const first = await openPage();
    await say(first.page, 'hello');
    first.page.socket.terminate();
    await until(() => (proxies.auth.open.get(first.id)?.bytesIn ?? 0) === 5, 'what was parked was told');
    const second = await openPage('proxy-2', first.resume);
    await endSessions({ [first.id]: 'superseded' });
    const third = await openPage('proxy-1', first.resume);
    assert.deepEqual([second.id, third.id], [first.id, first.id]);
    await endSessions({ [first.id]: 'superseded' }, 'proxy-2');
    assert.equal((await second.page.closed).code, 4023);
    await say(third.page, 'back');
    third.page.socket.close(1000);
    await until(() => proxies.auth.released.length === 1, 'the release');
    assert.equal(proxies.auth.released[0]?.bytesIn, 9);
  });

  it('is not ended by a late word about its former claim', async () => {
    await proxies.start('proxy-1');
    const { page, id } = await openPage();
    await endSessions({ [id]: 'superseded' });
    await pause(200);
    await say(page, 'still here');
  });

  it('ends while it waits when consoleauth says so, and is released at once', async () => {
    await proxies.start('proxy-1');
    const { page, id } = await openPage();
    page.socket.terminate();
    await until(() => guest.sockets.size === 0, 'the console is let go');
    const tookMs = await runningMsOf(async () => {
      await endSessions({ [id]: 'instance_deleted' });
      await until(() => proxies.auth.released.length === 1, 'the release');
    });
    assert.ok(tookMs < 1_000, `${tookMs} ms`);
    assert.equal(proxies.auth.released[0]?.reason, 'instance_deleted');
  });

  it('ends though its client does not read, and is released at once', async () => {
    await proxies.start('proxy-1');
    const { page, id } = await openPage();
    page.socket.pause();
    const tookMs = await runningMsOf(async () => {
      await endSessions({ [id]: 'ended_by_operator' });
      await until(() => proxies.auth.released.length === 1, 'the release');
    });
    assert.ok(tookMs < 1_000, `${tookMs} ms`);
    page.socket.terminate();
  });

  it('ends while its console is still being opened, and is released at once', async () => {
    // It accepts, and says nothing.
    const deaf = await startGuest(() => {});
    proxies.auth.consoles.set('good', { instanceName: 'demo-1', consoleType: 'serial', port: 1, endpoint: `127.0.0.1:${deaf.port}` });
    await proxies.start('proxy-1', { proxyConnectTimeout: 60 });
    const page = proxies.open('proxy-1', 'good');
    await until(() => proxies.auth.open.size === 1, 'the session');
    const tookMs = await runningMsOf(async () => {
      await endSessions({ [[...proxies.auth.open.keys()][0]!]: 'instance_stopped' });
      assert.equal((await page.closed).code, 4021);
      await until(() => proxies.auth.released.length === 1, 'the release');
    });
    assert.ok(tookMs < 1_000, `${tookMs} ms`);
    assert.equal(proxies.auth.released[0]?.reason, 'instance_stopped');
    await deaf.close();
  });

  it('is left to its lease by a proxy that stops, for it goes on elsewhere', async () => {
    await proxies.start('proxy-1');
    await proxies.start('proxy-2');
    const first = await openPage();
    await say(first.page, 'hello');
    await proxies.drain('proxy-1');
    assert.equal((await first.page.closed).code, 1012);
    assert.equal(proxies.auth.released.length, 0);
    const second = await openPage('proxy-2', first.resume);
    assert.equal(second.id, first.id);
    second.page.socket.close(1000);
    await until(() => proxies.auth.released.length === 1, 'the release');
    assert.equal(proxies.auth.released[0]?.bytesIn, 5);
  });

  it('goes on when its host was away for a moment', async () => {
    await proxies.start('proxy-1');
    const first = await openPage();
    for (const socket of guest.sockets) socket.resetAndDestroy();
    assert.equal((await first.page.closed).code, 4503);
    const second = await openPage('proxy-1', first.resume);
    assert.equal(second.id, first.id);
    await say(second.page, 'again');
  });

  it('opens anew with its token where consoleauth is older than the grant', async () => {
    await proxies.start('proxy-1', { rpcPinConsoleauth: 'auto' });
    const { page } = await openPage();
    page.socket.close(1000);
    await until(() => proxies.auth.open.size === 0, 'the first is over');
    const request = proxies.transport.request.bind(proxies.transport);
    let refused = 0;
    proxies.transport.request = async (asked) => {
      if (asked.message.method === 'connect' && 'resume_grant' in (asked.message.args as object)) {
        refused += 1;
        throw new ServiceError('UNIMPLEMENTED', 'connect has no such argument', { details: { remoteClass: 'UnsupportedVersion' } });
      }
      return request(asked);
    };
    await openPage('proxy-1', 'of-another-time');
    assert.equal(refused, 1);
  });

  it('gets its grant also in the first minute of a proxy, before the level of the fleet is known', async () => {
    await proxies.start('proxy-1', { rpcPinConsoleauth: 'auto' });
    const first = await openPage();
    assert.match(String(first.resume), /^[\w-]{43}$/);
    first.page.socket.terminate();
    assert.equal((await openPage('proxy-1', first.resume)).id, first.id);
  });

  it('is not shown in the answer to the handshake, nor in the log', async () => {
    await proxies.start('proxy-1');
    const { page, resume } = await openPage();
    page.socket.close(1001);
    const url = new URL(proxies.urlOf('proxy-1'));
    const raw: Socket = connect(Number(url.port), url.hostname);
    let answer = '';
    raw.on('data', (bytes: Buffer) => (answer += bytes.toString('latin1')));
    raw.write(
      `GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n` +
        `Sec-WebSocket-Protocol: gatehouse.v1, token.good, resume.${String(resume)}\r\n\r\n`,
    );
    await until(() => answer.includes('"session"'), 'the session');
    assert.match(answer, /Sec-WebSocket-Protocol: gatehouse\.v1\r\n/);
    assert.ok(!answer.includes(String(resume)) && !proxies.logged.includes(String(resume)));
    raw.destroy();
    assert.equal(page.socket.readyState === WebSocket.OPEN, false);
  });
});
