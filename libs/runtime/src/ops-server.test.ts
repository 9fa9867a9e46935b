import assert from 'node:assert/strict';
import type { App } from './app.ts';
import { silentLogger } from './logger.ts';
import { createMetrics } from './metrics.ts';
import { startOpsServer, type OpsServer } from './ops-server.ts';

const app = (checkReady: () => Promise<void>): App => ({ name: 'api', addresses: [], checkReady, drain: async () => {} });

describe("the operator's door", () => {
  const metrics = createMetrics('gatehouse-test');
  const open = (port: number): Promise<OpsServer> =>
    startOpsServer({ port, bindAddress: '127.0.0.1', service: 'gatehouse-test', version: '9.9.9', metrics, log: silentLogger, readyTimeoutMs: 50 });
  const get = async (path: string, init: RequestInit = {}): Promise<{ status: number; text: string }> => {
    const response = await fetch(`${ops.url}${path}`, { ...init, headers: { connection: 'close' } });
    return { status: response.status, text: await response.text() };
  };
  let ops: OpsServer;
  beforeEach(async () => void (ops = await open(0)));
  afterEach(() => ops.close());

  it('rejects with EADDRINUSE when its port is taken', async () => {
    await assert.rejects(open(Number(new URL(ops.url).port)), { code: 'EADDRINUSE' });
  });

  it('refuses other methods and other paths', async () => {
    assert.equal((await get('/healthz', { method: 'POST', body: 'x' })).status, 405);
    assert.equal((await get('/')).status, 404);
    assert.equal((await get('/readyz/..%2f')).status, 404);
  });

  it('is alive but not ready while the app starts', async () => {
    assert.equal((await get('/healthz')).status, 200);
    assert.deepEqual(await get('/readyz'), { status: 503, text: 'not ready: starting\n' });
  });

  it('says why the app is not ready', async () => {
    ops.serve(app(() => Promise.reject(new Error('the cell database does not answer'))));
    assert.deepEqual(await get('/readyz'), { status: 503, text: 'not ready: the cell database does not answer\n' });
  });

  it('does not wait longer than its limit for an app that hangs', async () => {
    ops.serve(app(() => new Promise(() => {})));
    assert.deepEqual(await get('/readyz'), { status: 503, text: 'not ready: no answer within 50 ms\n' });
  });

  it('is ready when the app is, and not while it drains', async () => {
    ops.serve(app(async () => {}));
    assert.deepEqual(await get('/readyz?verbose'), { status: 200, text: 'ready\n' });
    ops.draining();
    assert.deepEqual(await get('/readyz'), { status: 503, text: 'not ready: draining\n' });
    assert.equal((await get('/healthz')).status, 200);
  });

  it('shows metrics of its own registry, and the version', async () => {
    metrics.counter({ name: 'test_total', help: 'Counts.', labels: ['kind'] }).inc({ kind: 'a' });
    metrics.counter({ name: 'test_total', help: 'Counts.', labels: ['kind'] }).inc({ kind: 'a' });
    const { text } = await get('/metrics');
    assert.match(text, /^gatehouse_test_total\{kind="a",service="gatehouse-test"\} 2$/m);
    assert.match(text, /^process_resident_memory_bytes\{/m);
    assert.throws(() => metrics.gauge({ name: 'test_total', help: 'x' }), /another kind/);
    assert.deepEqual(JSON.parse((await get('/version')).text),
      { service: 'gatehouse-test', version: '9.9.9', node: process.version });
  });
});
