import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@gatehouse/runtime/logger';
import { systemClock } from '@gatehouse/runtime/clock';
import { ComputeApi } from './compute-api.ts';
import { consoleLinks } from './console-links.ts';
import { DEMO_CALLER, makeDemoOnce } from './demo.ts';

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** An api made of one function, on a real port. */
async function apiOf(answer: (request: IncomingMessage, path: string) => Answer): Promise<{ api: ComputeApi; server: Server }> {
  const server = createServer((request, response) => {
    const { status, body } = answer(request, `${request.method} ${(request.url ?? '').split('?')[0]}`);
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { api: new ComputeApi(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), server };
}

const serverOf = (name: string, status: string) => ({ id: `id-${name}`, name, status, user_id: 'demo', tenant_id: 'demo' });

describe('the api as standalone uses it', () => {
  let folder = '';
  let server: Server | null = null;
  const use = async (answer: (request: IncomingMessage, path: string) => Answer): Promise<ComputeApi> => {
    const made = await apiOf(answer);
    server = made.server;
    return made.api;
  };
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'gatehouse-demo-'))));
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const [what, answer, message] of [
    ['a refusal', { status: 409, body: { conflictingRequest: { code: 409, message: 'not now' } } }, /^ServiceError: not now$/],
    ['an answer that is no JSON', { status: 200, body: '<html>' }, /no list servers/],
    ['an answer of another shape', { status: 200, body: { servers: [{ id: 7 }] } }, /no text id/],
    ['a failure without words', { status: 502, body: '' }, /answered 502: no explanation/],
  ] as const) {
    it(`tells of ${what}`, async () => {
      const api = await use(() => answer);
      await assert.rejects(api.listServers(DEMO_CALLER), message);
    });
  }

  it('prints why an instance has no console, nothing of SPICE where there is none, and goes on with the others', async () => {
    const api = await use((_request, path) => {
      if (path === 'GET /v2.1/servers/detail') return { status: 200, body: { servers: [serverOf('b', 'ACTIVE'), serverOf('a', 'BUILD'), serverOf('c', 'ACTIVE')] } };
      if (path.includes('id-b')) return { status: 409, body: { conflictingRequest: { message: 'the host is not there' } } };
      return { status: 200, body: { remote_console: { url: 'http://proxy/vnc#token=x' } } };
    });
    const lines = (await consoleLinks(api)).map((line) => line.replace(/\s+/g, ' '));
    assert.deepEqual(lines.map((line) => line.slice(0, 10)), [' a vnc (th', ' a serial ', ' b vnc (th', ' b serial ', ' c vnc htt', ' c spice h', ' c serial ']);
    assert.match(lines[0] ?? '', /the instance is build/);
    assert.match(lines[2] ?? '', /the host is not there/);
  });

  it('says that a demo instance could not be built, having made anew one that an earlier start could not build', async () => {
    const requests: string[] = [];
    const api = await use((_request, path) => {
      requests.push(path);
      if (path === 'POST /v2.1/servers') return { status: 202, body: { server: { id: 'id-demo-1' } } };
      if (path === 'GET /v2.1/os-keypairs') return { status: 200, body: { keypairs: [{ keypair: { name: 'demo-key' } }] } };
      return { status: 200, body: { servers: [serverOf('demo-1', 'ERROR'), serverOf('demo-2', 'ACTIVE')] } };
    });
    await assert.rejects(makeDemoOnce({ api, dataDir: folder, clock: systemClock, log: silentLogger }), /demo-1 could not be built/);
    assert.ok(!existsSync(join(folder, 'demo-made')));
    assert.deepEqual(requests.slice(2, 4), ['DELETE /v2.1/servers/id-demo-1', 'POST /v2.1/servers']);
  });

  it('waits for a host, makes what is missing once, and never again', async () => {
    const requests: string[] = [];
    const made: string[] = ['demo-1'];
    let refusals = 2;
    const api = await use((_request, path) => {
      requests.push(path);
      if (path === 'GET /v2.1/os-keypairs') return { status: 200, body: { keypairs: [] } };
      if (path === 'POST /v2.1/os-keypairs') return { status: 201, body: { keypair: { private_key: 'KEY' } } };
      if (path === 'POST /v2.1/servers') {
        refusals -= 1;
        if (refusals >= 0) return { status: 503, body: { unavailable: { message: 'no host' } } };
        made.push('demo-2');
        return { status: 202, body: { server: { id: 'id-demo-2' } } };
      }
      return { status: 200, body: { servers: made.map((name) => serverOf(name, 'ACTIVE')) } };
    });
    const demo = { api, dataDir: folder, clock: systemClock, log: silentLogger };
    await makeDemoOnce(demo);
    assert.equal(requests.filter((path) => path === 'POST /v2.1/servers').length, 3);
    assert.equal(readFileSync(join(folder, 'demo-key.pem'), 'utf8'), 'KEY');
    requests.splice(0);
    await makeDemoOnce(demo);
    assert.deepEqual(requests, []);
  });
});
