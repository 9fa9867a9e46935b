import assert from 'node:assert/strict';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
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
