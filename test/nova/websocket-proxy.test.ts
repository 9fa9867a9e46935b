/**
 * Replays nova/tests/unit/console/test_websocketproxy.py from the outside: a real proxy, asked with the headers of Nova's
 * tests, a guest behind it. What is about RFB and hosts: rfb-security.test.ts; about tokens and servers: nova-links.db.test.ts.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { echo, startGuest, type TestGuest } from '@gatehouse/console-proxy/test-guests';
import { TestProxies, until } from '@gatehouse/console-proxy/test-proxy';
import { hello, Incoming, RawWebSocket, say, type Headers, type Seen } from './proxy-visitor.ts';

const TOKEN = '123-456-789';
const OPENED = { code: null, reason: '', text: 'hello' };
/** NovaProxyRequestHandlerTestCase.fake_header; each test replaces what it is about. */
const FAKE_HEADER: Headers = { cookie: `token="${TOKEN}"`, origin: 'https://example.net:6080', host: 'example.net:6080' };

describe("Nova's tests of its WebSocket proxy", function () {
  this.timeout(30_000);
  let proxies: TestProxies;
  let guest: TestGuest;
  let url = '';

  before(async () => {
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    guest = await startGuest(echo);
    proxies.auth.consoles.set(TOKEN, { instanceName: 'vm', consoleType: 'serial', port: guest.port });
    await proxies.start('proxy', { allowedOrigins: ['allowed-origin-example-1.net', 'allowed-origin-example-2.net'] });
    url = proxies.urlOf('proxy');
  });
  beforeEach(() => void proxies.audited.splice(0));
  after(async () => {
    await proxies.close();
    await guest.close();
  });

  /** Turned away before consoleauth was asked, with words; and the guest never heard of it. */
  async function assertRefused(seen: Promise<Seen>, reason: RegExp): Promise<void> {
    const asked = proxies.auth.open.size + proxies.auth.released.length;
    const { code, reason: words, text } = await seen;
    assert.deepEqual([code, text], [4403, '']);
    assert.match(words, reason);
    assert.equal(proxies.auth.open.size + proxies.auth.released.length, asked, 'a session was made');
  }

  describe('tokens', () => {
    it('test_new_websocket_client (cookie and query): the query counts, and no line of the log has either', async () => {
      const cookie = { ...FAKE_HEADER, cookie: 'token="XXX-cookie"' };
      assert.deepEqual(await hello(url, `/?token=${TOKEN}`, cookie), OPENED);
      assert.deepEqual(await hello(url, '/', FAKE_HEADER), OPENED);
      assert.equal((await hello(url, '/?token=XXX-query', FAKE_HEADER)).code, 4401, 'a query that is no good falls back to the cookie');
      await until(() => proxies.logged.includes('console closed') && proxies.logged.includes('console refused'), 'the log');
      for (const secret of [TOKEN, 'XXX-']) assert.ok(!proxies.logged.includes(secret), `${secret} is in the log`);
    });

    it('test_new_websocket_client_token_invalid (cookie): closed with a code and words, and no byte before', async () => {
      const { code, reason, text } = await hello(url, '/', { ...FAKE_HEADER, cookie: 'token="XXX"' });
      assert.deepEqual([code, text], [4401, '']);
      assert.match(reason, /unknown or has expired/);
    });

    it('test_malformed_cookie: what is no cookie is passed over, and the token beside it counts', async () => {
      assert.deepEqual(await hello(url, '/', { ...FAKE_HEADER, cookie: `?=!; token="${TOKEN}"` }), OPENED);
    });

    it('test_address_string_doesnt_do_reverse_dns_lookup: a client is named by its address, whatever names it has', async () => {
      await hello(url, '/', { host: 'example.net' });
      assert.deepEqual(proxies.audited.map(({ clientAddress }) => clientAddress), ['127.0.0.1']);
    });
  });

  describe('origins', () => {
    it('test_new_websocket_client_ipv6_url: an address in brackets is the same in Origin and Host', async () => {
      assert.deepEqual(await hello(url, `/?token=${TOKEN}`, { origin: 'https://[2001:db8::1]:6080', host: '[2001:db8::1]:6080' }), OPENED);
    });

    it("test_new_websocket_client_novnc_bad_origin_header: 4403 names the page's origin, and consoleauth is not asked", async () => {
      const refused = hello(url, '/', { ...FAKE_HEADER, origin: 'https://bad-origin-example.net:6080' });
      await assertRefused(refused, /Origin https:\/\/bad-origin-example\.net:6080 is not allowed here/);
      assert.deepEqual(proxies.audited.map(({ event, reason }) => [event, reason]), [['refused', 'PERMISSION_DENIED']]);
    });

    it('test_new_websocket_client_novnc_allowed_origin_header: a host among the allowed ones may, at any port', async () => {
      assert.deepEqual(await hello(url, '/', { ...FAKE_HEADER, origin: 'https://allowed-origin-example-2.net:6080' }), OPENED);
    });

    it('test_new_websocket_client_novnc_blank_origin_header: no origin is not an empty one', async () => {
      await assertRefused(hello(url, '/', { ...FAKE_HEADER, origin: '' }), /Origin of this page is not valid/);
      await assertRefused(hello(url, '/', { ...FAKE_HEADER, origin: 'null' }), /Origin of this page is not valid/);
    });

    it('test_new_websocket_client_novnc_no_origin_header: who is no browser says none, and may', async () => {
      assert.deepEqual(await hello(url, '/', { cookie: FAKE_HEADER['cookie']!, host: FAKE_HEADER['host']! }), OPENED);
    });

    it('test_new_websocket_client_novnc_https_origin_proto_http: a page that came by TLS may open a console here, unless told', async () => {
      assert.deepEqual(await hello(url, '/', FAKE_HEADER), OPENED);
      await proxies.start('clear', { originSchemes: ['http'] });
      await assertRefused(hello(proxies.urlOf('clear'), '/', FAKE_HEADER), /served by https may not/);
    });

    it('test_new_websocket_client_novnc_https_origin_proto_ws: whatever scheme a program would dial', async () => {
      await proxies.start('tls', { originSchemes: ['https'] });
      assert.deepEqual(await hello(proxies.urlOf('tls'), '/', FAKE_HEADER), OPENED);
      await assertRefused(hello(proxies.urlOf('tls'), '/', { ...FAKE_HEADER, origin: 'http://example.net:6080' }), /served by http may not/);
    });

    it('test_new_websocket_client_http_forwarded_proto_https: a page in clear behind a balancer that speaks TLS; who it is for counts if the balancer is trusted', async () => {
      const forwarded = { ...FAKE_HEADER, origin: 'http://example.net:6080', 'x-forwarded-proto': 'https', 'x-forwarded-for': '192.0.2.7' };
      await proxies.start('behind', { trustedProxies: ['127.0.0.0/8'] });
      for (const proxy of [url, proxies.urlOf('behind')]) {
        assert.deepEqual(await hello(proxy, '/', forwarded), OPENED);
        await assertRefused(hello(proxy, '/', { ...forwarded, host: 'other.example' }), /not allowed here/);
      }
      assert.deepEqual(proxies.audited.map(({ clientAddress }) => clientAddress), ['127.0.0.1', '192.0.2.7']);
    });

    it('names are compared without case, which Nova does not', async () => {
      assert.deepEqual(await hello(url, '/', { ...FAKE_HEADER, origin: 'http://localhost', host: 'LOCALHOST' }), OPENED);
    });

    it('a name that the request was not addressed to is not admitted by another port, a longer name or a user part', async () => {
      for (const origin of ['https://example.net.evil.org', 'https://notexample.net', 'https://example.net@evil.org', 'https://evil.org#example.net', 'https://evil.org/example.net']) {
        await assertRefused(hello(url, '/', { ...FAKE_HEADER, origin }), /Origin/);
      }
    });

    it("a page's request without a Host, which crashes Nova's handler, reads why it is refused; a program's may", async () => {
      const page = await RawWebSocket.open(url, `/?token=${TOKEN}`, { Host: null, Origin: 'https://example.net' });
      assert.equal((await page.raw.goodbye()).code, 4403);
      const program = await RawWebSocket.open(url, `/?token=${TOKEN}`, { Host: null });
      program.raw.say('hello');
      assert.equal((await program.raw.bytes(5)).toString(), 'hello');
      for (const { raw } of [page, program]) raw.destroy();
    });

    it("test_host_header_does_not_poison_allowed_origins: what a request calls the proxy is that request's alone", async () => {
      const allowed = ['allowed.example'];
      await proxies.start('listed', { allowedOrigins: allowed });
      await hello(proxies.urlOf('listed'), `/?token=${TOKEN}`, FAKE_HEADER);
      assert.deepEqual(allowed, ['allowed.example']);
      await assertRefused(hello(proxies.urlOf('listed'), '/', { ...FAKE_HEADER, host: 'other.example' }), /not allowed here/);
    });

    it('test_previous_host_does_not_bypass_origin_check: a Host of before admits no Origin after it', async () => {
      const evil = { ...FAKE_HEADER, origin: 'https://evil.com:6080' };
      // A page that the proxy is addressed by: it shows a token, and that decides.
      assert.deepEqual(await hello(url, `/?token=${TOKEN}`, { ...evil, host: 'evil.com:6080' }), OPENED);
      await assertRefused(hello(url, `/?token=${TOKEN}`, evil), /evil\.com:6080 is not allowed here/);
    });
  });

  describe('pages', () => {
    /** Whatever is answered, nobody is sent anywhere. */
    async function assertStays(target: string): Promise<void> {
      const answer = await say(url, `GET ${target} HTTP/1.1\r\nHost: example.net\r\nConnection: close\r\n\r\n`);
      assert.match(answer, /^HTTP\/1\.1 404 /);
      assert.doesNotMatch(answer, /^location:/im);
      assert.doesNotMatch(answer, /href="?\/\//);
    }

    it('test_reject_open_redirect: nothing redirects; 404', () => assertStays('//example.com/%2F..'));

    it('test_reject_open_redirect_3_slashes: nor with three', () => assertStays('///example.com/%2F..'));
  });

  describe('access paths', () => {
    /** A console behind the access path `vmid`, on a host that answers CONNECT so; what it was asked. */
    async function behindPath(consoleType: 'serial' | 'novnc', answer: string, played: (heard: Incoming, socket: Socket) => Promise<void>): Promise<{ host: TestGuest; asked: string[] }> {
      const asked: string[] = [];
      const host = await startGuest((socket) => {
        const heard = new Incoming(socket);
        void heard.through('\r\n\r\n').then((head) => {
          asked.push(head.toString());
          socket.write(answer);
          return played(heard, socket);
        });
      });
      proxies.auth.consoles.set('path', { instanceName: 'vm', consoleType, port: host.port, options: { internal_access_path: 'vmid' } });
      return { host, asked };
    }

    it('test_new_websocket_client_internal_access_path: the host is asked by CONNECT, and then it is the console', async () => {
      const { host, asked } = await behindPath('serial', 'HTTP/1.1 200 OK\r\n\r\n', async (heard, socket) => void socket.write(await heard.take(5)));
      assert.deepEqual(await hello(url, '/?token=path'), OPENED);
      assert.deepEqual(asked, [`CONNECT vmid HTTP/1.1\r\nHost: 127.0.0.1:${host.port}\r\n\r\n`]);
      await host.close();
    });

    it('test_new_websocket_client_internal_access_path_err: a host that answers 500 does not let us through, and the log has its answer', async () => {
      const { host } = await behindPath('serial', 'HTTP/1.1 500 Internal Server Error\r\n\r\n', async () => {});
      assert.deepEqual(await hello(url, '/?token=path'), { code: 4503, reason: "The console's host does not let this proxy through.", text: '' });
      await until(() => proxies.logged.includes('HTTP/1.1 500 Internal Server Error'), 'the log');
      assert.ok(!proxies.logged.includes('vmid'), 'the path may be a secret');
      await host.close();
    });

    it('test_new_websocket_client_internal_access_path_rfb: what a VNC server says behind the answer is not lost', async () => {
      const { host } = await behindPath('novnc', 'HTTP/1.1 200 OK\r\n\r\nRFB 003.003\n', async (heard, socket) => {
        assert.equal((await heard.take(12)).toString(), 'RFB 003.003\n');
        socket.write(Buffer.of(0, 0, 0, 1));
        assert.deepEqual([...(await heard.take(1))], [1], 'ClientInit');
        socket.write('a ServerInit');
      });
      const { raw } = await RawWebSocket.open(url, '/?token=path');
      assert.equal((await raw.bytes(12)).toString(), 'RFB 003.008\n');
      for (const said of ['RFB 003.008\n', '\x01', '\x01']) raw.say(said);
      assert.equal((await raw.bytes(6 + 12)).toString('latin1'), '\x01\x01\0\0\0\0a ServerInit');
      raw.destroy();
      await host.close();
    });

    it('a host that closes, or never ends its answer, is given up, where Nova waits for ever', async () => {
      for (const answer of ['HTTP/1.1 200 OK\r\n', `HTTP/1.1 200 OK\r\n${'X: x\r\n'.repeat(4_000)}`]) {
        const { host } = await behindPath('serial', answer, async (_heard, socket) => void socket.end());
        assert.equal((await hello(url, '/?token=path')).code, 4503);
        await host.close();
      }
    });
  });

  describe('ends of sessions (Nova 34)', () => {
    /** A session of a minute and forty seconds ago, at a proxy whose sessions last so long and a few seconds more, which it needs to be opened. */
    async function openOld(name: string, proxyLifetimeMax: number): Promise<RawWebSocket> {
      await proxies.start(name, { proxyLifetimeMax });
      proxies.auth.ageSeconds = 100;
      const { raw } = await RawWebSocket.open(proxies.urlOf(name), `/?token=${TOKEN}`);
      await echoed(raw);
      proxies.auth.ageSeconds = 0;
      return raw;
    }

    async function echoed(raw: RawWebSocket): Promise<void> {
      raw.say('hello');
      assert.equal((await raw.bytes(5)).toString(), 'hello');
    }

    it('test_enforce_session_timeout_timer_called: a session ends at its age, and its user reads why', async () => {
      const raw = await openOld('timed', 104);
      assert.deepEqual(await raw.goodbye(), { code: 4026, reason: 'The session has lasted as long as sessions may.', before: '' });
      raw.destroy();
    });

    it('test_enforce_session_timeout_timer_not_called: where no limit is set none ends', async () => {
      const [unlimited, timed] = [await openOld('unlimited', 0), await openOld('timed-2', 104)];
      await timed.goodbye();
      await echoed(unlimited);
      for (const raw of [unlimited, timed]) raw.destroy();
    });

    it('test__close_connection: the guest is let go, and a line of the log says which and why', async () => {
      const raw = await openOld('closing', 0);
      const [session] = [...proxies.auth.open].find(([, { proxy }]) => proxy === 'closing') ?? [];
      const before = guest.sockets.size;
      await proxies.endSessions('closing', { [session ?? '']: 'ended_by_operator' });
      assert.equal((await raw.goodbye()).code, 4022);
      await until(() => guest.sockets.size < before, 'the guest is let go');
      const lineOf = (): string => proxies.logged.split('\n').find((each) => each.includes('console closed') && each.includes(session ?? '-')) ?? '';
      await until(() => lineOf() !== '', 'the line of the log');
      const line = lineOf();
      for (const said of ['ended_by_operator', '"localhost"', String(guest.port)]) assert.ok(line.includes(said), `${said} is not in: ${line}`);
      raw.destroy();
    });

    it('test__close_connection_raise_OSError: a guest that is gone already harms nobody', async () => {
      const raw = await openOld('reset', 0);
      for (const socket of guest.sockets) socket.resetAndDestroy();
      assert.equal((await raw.goodbye()).code, 4503);
      assert.deepEqual(await hello(proxies.urlOf('reset'), `/?token=${TOKEN}`), OPENED);
      raw.destroy();
    });
  });
});
