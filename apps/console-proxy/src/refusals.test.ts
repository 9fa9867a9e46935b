/** Whom the proxy turns away by itself: what it audits of them, and who is too slow to be anybody. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { WebSocket } from 'ws';
import { ServiceError } from '@gatehouse/errors/service-error';
import { echo, startGuest, type TestGuest } from './test-guests.ts';
import { TestProxies, until } from './test-proxy.ts';

describe('the console proxy turns away', () => {
  let proxies: TestProxies;
  let guest: TestGuest;
  beforeEach(async () => {
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    guest = await startGuest(echo);
    proxies.auth.consoles.set('good', { instanceName: 'demo-1', consoleType: 'serial', port: guest.port });
  });
  afterEach(async () => {
    await proxies.close();
    await guest.close();
  });

  const refused = (): unknown[] => proxies.audited.map(({ event, reason, proxy, clientAddress, problem }) => [event, reason, proxy, clientAddress, typeof problem]);

  it('whoever shows nothing, comes from a foreign page, or finds it full or its host gone, and audits each', async () => {
    await proxies.start('proxy-1', { proxySessionsMax: 1 });
    const stranger = new WebSocket(proxies.urlOf('proxy-1').replace('http', 'ws'), ['binary', 'token.good'], { headers: { origin: 'http://evil.example' } });
    stranger.on('error', () => {});
    await until(() => proxies.audited.length === 1, 'the foreign page');
    await proxies.openProgram('proxy-1', '').closed;
    // A port that is never given out.
    proxies.auth.consoles.set('gone', { instanceName: 'demo-2', consoleType: 'serial', port: 1 });
    await proxies.open('proxy-1', 'gone').closed;
    const hostGone = proxies.audited.at(-1);
    await proxies.open('proxy-1', 'good').session();
    await proxies.open('proxy-1', 'good').closed;
    assert.deepEqual(
      refused(),
      ['PERMISSION_DENIED', 'UNAUTHENTICATED', 'UNAVAILABLE', 'RESOURCE_EXHAUSTED'].map((code) => ['refused', code, 'proxy-1', '127.0.0.1', 'string']),
    );
    const { sessionId, consoleType, host, port } = hostGone ?? {};
    assert.deepEqual([typeof sessionId, consoleType, host, port], ['string', 'serial', 'localhost', 1]);
  });

  it('whomever consoleauth refuses too, and leaves it to consoleauth to audit that', async () => {
    await proxies.start('proxy-1');
    proxies.auth.refusals.set('busy', new ServiceError('PORT_IN_USE', 'This port is in use since 12:00:00 UTC.'));
    assert.equal((await proxies.open('proxy-1', 'busy').closed).code, 4409);
    assert.equal((await proxies.open('proxy-1', 'unknown').closed).code, 4401);
    assert.deepEqual(proxies.audited, []);
  });

  it('nobody who left before their console was open: that is audited as the end of a session', async () => {
    await proxies.start('proxy-1');
    let letGo = (): void => {};
    proxies.auth.hold = new Promise((resolve) => (letGo = resolve));
    const page = proxies.open('proxy-1', 'good');
    await until(() => page.socket.readyState === WebSocket.OPEN, 'the upgrade');
    await until(() => proxies.auth.connects === 1, 'consoleauth is asked');
    page.socket.terminate();
    await page.closed;
    letGo();
    await until(() => proxies.auth.released.length === 1, 'the release');
    assert.deepEqual(proxies.audited, []);
  });

  it('every secret from the audit and the log', async () => {
    await proxies.start('proxy-1');
    const secret = 'S3cr3t-S3cr3t-S3cr3t-S3cr3t-S3cr3t-S3cr3t-0';
    await proxies.open('proxy-1', secret, `grant-${secret}`).closed;
    await proxies.openProgram('proxy-1', secret.repeat(20)).closed;
    assert.equal(proxies.audited.length, 1);
    assert.ok(!JSON.stringify(proxies.audited).includes(secret) && !proxies.logged.includes(secret));
  });

  for (const [what, said] of [
    ['says nothing', ''],
    ['drips its request', 'GET /vnc HTTP/1.1\r\nHost: x\r\nX-Drip: '],
  ]) {
    it(`a connection that ${what}: 408 with words, in time`, async () => {
      await proxies.start('proxy-1', { proxyHeaderTimeout: 1 });
      const at = Date.now();
      const socket = connect(Number(new URL(proxies.urlOf('proxy-1')).port), '127.0.0.1');
      socket.write(said!);
      const answer = await text(socket);
      if (said !== '') assert.match(answer, /^HTTP\/1\.1 408 [^]*\r\n\r\nThe request did not arrive in time\.\n$/);
      assert.ok(Date.now() - at < 8_000, `${Date.now() - at} ms`);
    });
  }

  it('what is no HTTP request, and a head that is too large, with words', async () => {
    await proxies.start('proxy-1');
    const say = async (words: string): Promise<string> => {
      const socket = connect(Number(new URL(proxies.urlOf('proxy-1')).port), '127.0.0.1');
      socket.write(words);
      return text(socket);
    };
    assert.match(await say('hello\r\n\r\n'), /^HTTP\/1\.1 400 [^]*no HTTP request\.\n$/);
    assert.match(await say(`GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431 [^]*at most 16384 bytes\.\n$/);
  });

  it('a client that answers no ping, and parks its session', async function () {
    this.timeout(20_000);
    await proxies.start('proxy-1', { proxyPing: 2 });
    const page = proxies.open('proxy-1', 'good');
    await page.session();
    const alive = proxies.open('proxy-1', 'good');
    await alive.session();
    // It neither reads nor answers, as when the network swallows everything.
    page.socket.pause();
    await until(() => guest.sockets.size === 1, 'its console is let go', 15_000);
    assert.equal(proxies.auth.released.length, 0);
    assert.equal(alive.socket.readyState, WebSocket.OPEN);
    page.socket.terminate();
  });
});
