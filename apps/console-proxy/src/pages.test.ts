import assert from 'node:assert/strict';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { Pages } from './pages.ts';

describe('the pages', () => {
  let server: Server;

  before(async () => {
    const pages = new Pages();
    server = createServer((incoming, response) => pages.answer(incoming, response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => void server.close());

  async function get(path: string, method = 'GET'): Promise<{ status: number; headers: IncomingMessage['headers']; body: string }> {
    const { port } = server.address() as AddressInfo;
    const asked = request({ port, path, method, agent: false }).end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    return { status: answer.statusCode ?? 0, headers: answer.headers, body: await text(answer) };
  }

  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    it(`refuse ${method} with 405`, async () => {
      const answer = await get('/vnc', method);
      assert.equal(answer.status, 405);
      assert.equal(answer.headers.allow, 'GET, HEAD');
    });
  }

  const nowhere = [
    '/nowhere', '/vnc/', '/vnc.html', '/constructor', '/__proto__', '/assets/', '/assets/0000/web/vnc.js', '//evil.example/%2F..', '///evil.example/',
    '/assets/../package.json', '/..%2f..%2fetc/passwd', '/%', '/assets/%00',
  ];
  for (const path of nowhere) {
    it(`answer ${path} with 404 and never a redirect`, async () => {
      const answer = await get(path);
      assert.equal(answer.status, 404);
      assert.equal(answer.headers.location, undefined);
      assert.match(answer.body, /No such page/);
    });
  }

  // As they stand on the wire, whatever a client library makes of them.
  for (const target of ['//evil.example', '//evil.example/', '/\\\\evil.example', '/\\evil.example/..', '/%2f/evil.example', '/%5cevil.example', '//evil.example/%2e%2e', '///', '/.//evil.example', 'http://evil.example/', 'evil.example', '/vnc//evil.example', '/vnc;//evil.example', '/\t/evil.example']) {
    it(`send nobody to another host for ${JSON.stringify(target)}`, async () => {
      const answer = await rawAnswer(target);
      assert.match(answer, /^HTTP\/1\.1 (?:400|404) /);
      assert.doesNotMatch(answer, /^(?:location|refresh):/im);
      assert.doesNotMatch(answer, /evil\.example/);
    });
  }

  async function rawAnswer(target: string): Promise<string> {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.write(`GET ${target} HTTP/1.1\r\nHost: console.example\r\nConnection: close\r\n\r\n`, 'latin1');
    return text(socket);
  }

  it('answer a plain request to the WebSocket address with 426', async () => assert.equal((await get('/websockify')).status, 426));

  for (const path of ['/', '/vnc', '/serial', '/spice', '/vnc?path=?token=x', '/vnc_auto.html?path=%3Ftoken%3Dx', '/spice_auto.html?token=x', '/nowhere']) {
    it(`send every protection with ${path}, and no token back`, async () => {
      const { headers, body } = await get(path);
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.equal(headers['referrer-policy'], 'no-referrer');
      assert.equal(headers['cache-control'], 'no-store');
      const policy = String(headers['content-security-policy']);
      assert.match(policy, /default-src 'none'; script-src 'self'; /);
      assert.match(policy, /frame-ancestors 'self'/);
      assert.equal(headers['x-frame-options'], 'SAMEORIGIN');
      assert.match(String(headers['permissions-policy']), /clipboard-read=\(self\).*camera=\(\)/);
      assert.doesNotMatch(policy, /unsafe-eval|script-src[^;]*unsafe/);
      assert.doesNotMatch(body, /\{\{|token=x|<script>|onclick|style="/);
    });
  }

  it('allow inline style on the serial page only, by a nonce that is new each time', async () => {
    const [vnc, serial, again] = [await get('/vnc'), await get('/serial'), await get('/serial')];
    assert.match(String(vnc.headers['content-security-policy']), /style-src 'self'$/);
    const nonce = /'nonce-([\w-]{22})'/.exec(String(serial.headers['content-security-policy']))?.[1];
    assert.ok(nonce !== undefined && serial.body.includes(`nonce="${nonce}"`));
    assert.ok(!again.body.includes(nonce));
  });

  it('allow sound from memory on the SPICE page only', async () => {
    const policyOf = async (path: string): Promise<string> => String((await get(path)).headers['content-security-policy']);
    assert.match(await policyOf('/spice'), /; style-src 'self'; media-src blob:$/);
    for (const path of ['/vnc', '/serial']) assert.doesNotMatch(await policyOf(path), /media-src/);
  });

  it('may be framed by whom the settings name, which X-Frame-Options cannot say', () => {
    const headers = headersOf(new Pages(['https://dashboard.example.org']));
    assert.match(headers['Content-Security-Policy'] ?? '', /frame-ancestors https:\/\/dashboard\.example\.org;/);
    assert.equal(headers['X-Frame-Options'], undefined);
    assert.equal(headersOf(new Pages(['none']))['X-Frame-Options'], 'DENY');
    assert.throws(() => new Pages(['https://a; script-src *']), /GATEHOUSE_FRAME_ANCESTORS/);
  });

  function headersOf(pages: Pages): Record<string, string> {
    let sent: Record<string, string> = {};
    const response = { writeHead: (_: number, headers: Record<string, string>) => (sent = headers), end() {} };
    pages.answer({ method: 'GET', url: '/vnc' }, response as unknown as ServerResponse);
    return sent;
  }

  it('have what loads them under an address of every version, never kept without asking', async () => {
    const { status, headers, body } = await get('/loading.js');
    assert.equal(status, 200);
    assert.equal(headers['cache-control'], 'no-cache');
    assert.match(body, /location\.reload/);
    for (const page of ['/vnc', '/serial', '/spice']) assert.match((await get(page)).body, /<script src="\.\/loading\.js"><\/script>/, page);
  });

  it('refuse files of another version, also to caches', async () => {
    const { status, headers } = await get('/assets/0123456789abcdef/web/vnc.js');
    assert.equal(status, 404);
    assert.equal(headers['cache-control'], 'no-store');
  });

  it('name only files that exist, which may be kept for ever', async () => {
    const queue = ['/', '/vnc', '/serial', '/spice'];
    const seen = new Set<string>();
    for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
      if (seen.has(path)) continue;
      seen.add(path);
      const { status, headers, body } = await get(path);
      assert.equal(status, 200, path);
      if (path.startsWith('/assets/')) assert.match(String(headers['cache-control']), /immutable/);
      const named = path.endsWith('s') ? /(?:from|import)\s*["'](\.{1,2}\/[^"']+)["']/g : /(?:src|href)="(\.\/assets[^"]+)"/g;
      for (const [, reference] of body.matchAll(named)) queue.push(new URL(reference!, `http://x${path}`).pathname);
    }
    assert.ok([...seen].some((path) => path.endsWith('/novnc/core/rfb.js')));
    assert.ok([...seen].some((path) => path.endsWith('/xterm/lib/xterm.mjs')));
    assert.ok([...seen].some((path) => path.endsWith('/spice/src/thirdparty/rsa.js')));
  });

  it('answer HEAD like GET, without the body', async () => {
    const [head, whole] = [await get('/vnc', 'HEAD'), await get('/vnc')];
    assert.equal(head.status, 200);
    assert.equal(head.body, '');
    assert.equal(head.headers['content-length'], whole.headers['content-length']);
  });
});
