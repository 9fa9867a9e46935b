import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Body, Controller, Get, Inject, Module, Param, Post } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ERRORS } from '@gatehouse/errors/error-table';
import { ServiceError } from '@gatehouse/errors/service-error';
import { runningMsOf } from '../../../test/servers/running-time.ts';
import { captureLog } from './fixtures/capture-log.ts';
import { createMetrics } from './metrics.ts';
import { createContextApp, createHttpApp, listenHttp } from './nest-app.ts';

const GREETING = Symbol('greeting');

@Controller()
class TestController {
  readonly #greeting: string;

  constructor(@Inject(GREETING) greeting: string) {
    this.#greeting = greeting;
  }

  @Get('hello')
  hello(): object {
    return { greeting: this.#greeting };
  }

  @Get('refuse')
  refuse(): never {
    throw new ServiceError('PORT_IN_USE', 'the port is in use; close the other console');
  }

  @Get('break')
  break(): never {
    throw new TypeError('an inner secret');
  }

  @Get('names/:name')
  named(@Param('name') name: string): object {
    return { name };
  }

  @Get('links/:token')
  link(): object {
    return {};
  }

  @Post('echo')
  echo(@Body() body: object): object {
    return body;
  }
}

@Module({ controllers: [TestController], providers: [{ provide: GREETING, useValue: 'good day' }] })
class TestModule {}

describe('Nest at the edge', () => {
  const log = captureLog();
  const metrics = createMetrics('gatehouse-test');
  let app: NestFastifyApplication;
  let base = '';
  before(async () => {
    app = await createHttpApp({
      module: TestModule, log: log.logger, metrics, bodyBytesMax: 100,
      renderError: (error, { id, url }) => ({ status: ERRORS[error.code].http, headers: { 'x-test': 'yes' }, body: { code: error.code, message: error.message, requestId: id, url } }),
    });
    base = await listenHttp(app, 0, '127.0.0.1');
  });
  after(() => app.close());

  const answer = async (path: string, init?: RequestInit): Promise<{ status: number; body: Record<string, unknown>; headers: Headers }> => {
    const response = await fetch(`${base}${path}`, init);
    return { status: response.status, body: (await response.json()) as Record<string, unknown>, headers: response.headers };
  };

  /** A request is logged, and then counted, a moment after its answer. */
  async function lineOf(requestId: string): Promise<Record<string, unknown>> {
    const find = (): Record<string, unknown> | undefined => log.lines().find((entry) => entry['request_id'] === requestId && entry['msg'] === 'request');
    await until(() => find() !== undefined, `the line of ${requestId}`);
    return find() ?? {};
  }

  async function until(condition: () => boolean, what: string): Promise<void> {
    for (const lastMs = Date.now() + 8_000; !condition(); await new Promise((resolve) => setTimeout(resolve, 5))) assert.ok(Date.now() < lastMs, `waited in vain for ${what}`);
  }

  it('renders refusals of ours in the app\'s own words', async () => {
    const { status, body, headers } = await answer('/refuse');
    assert.equal(status, 409);
    assert.equal(headers.get('x-test'), 'yes');
    assert.equal(body['message'], 'the port is in use; close the other console');
    assert.equal(body['requestId'], headers.get('x-openstack-request-id'));
    assert.equal(body['url'], '/refuse');
  });

  it('shows nothing of an inner error, and logs it', async () => {
    const { status, body } = await answer('/break');
    assert.equal(status, 500);
    assert.ok(!JSON.stringify(body).includes('inner secret'));
    await until(() => /"level":"error".*"request_id":"req-[0-9a-f-]{36}".*an inner secret/.test(log.text()), 'the line of the error');
  });

  const json = { 'content-type': 'application/json' };
  const refused: readonly (readonly [string, string, RequestInit, number, string])[] = [
    ['an unknown path', '/nowhere', {}, 404, 'NOT_FOUND'],
    ['broken JSON', '/echo', { method: 'POST', headers: json, body: '{"a":' }, 400, 'INVALID_ARGUMENT'],
    ['an empty JSON body', '/echo', { method: 'POST', headers: json }, 400, 'INVALID_ARGUMENT'],
    ['prototype poisoning', '/echo', { method: 'POST', headers: json, body: '{"__proto__":{"a":1}}' }, 400, 'INVALID_ARGUMENT'],
    ['another content type', '/echo', { method: 'POST', headers: { 'content-type': 'text/xml' }, body: '<a/>' }, 400, 'INVALID_ARGUMENT'],
    ['a malformed path', '/%zz', {}, 400, 'INVALID_ARGUMENT'],
  ];
  for (const [what, path, init, status, code] of refused) {
    it(`refuses ${what} with ${status} in the same shape`, async () => {
      const result = await answer(path, init);
      assert.deepEqual([result.status, result.body['code']], [status, code], JSON.stringify(result.body));
    });
  }

  it('takes a name of 255 characters in a path, whatever they are, and refuses a path without end', async () => {
    for (const name of ['k'.repeat(255), '😀'.repeat(255)]) {
      assert.deepEqual((await answer(`/names/${encodeURIComponent(name)}`)).body, { name });
    }
    assert.equal((await answer(`/names/${'k'.repeat(1_000)}`)).body['code'], 'INVALID_ARGUMENT');
  });

  it('refuses a body above the limit', async () => {
    const { status, body } = await answer('/echo', { method: 'POST', headers: json, body: JSON.stringify({ a: 'x'.repeat(200) }) });
    assert.equal(body['code'], 'RESOURCE_EXHAUSTED');
    assert.ok(status >= 400);
  });

  it('logs the pattern of a route that has a secret in its path', async () => {
    const told = (): number => log.lines().filter(({ path }) => path === '/links/:token').length;
    const before = told();
    for (const path of ['/links/pLaNtEd-1', '/li%6Eks/pLaNtEd-2?x=1', '/links/pLaNtEd-3']) await answer(path);
    await until(() => told() === before + 3, 'the three lines');
    assert.ok(!log.text().includes('pLaNtEd'));
  });

  it('answers with a fresh request id and logs one line without the query', async () => {
    const { status, body, headers } = await answer('/hello?token=planted-secret');
    assert.deepEqual([status, body], [200, { greeting: 'good day' }]);
    const id = headers.get('x-openstack-request-id') ?? '';
    assert.match(id, /^req-[0-9a-f-]{36}$/);
    const line = await lineOf(id);
    assert.deepEqual([line?.['path'], line?.['status'], line?.['msg']], ['/hello', 200, 'request']);
    assert.ok(!log.text().includes('planted-secret'));
  });

  it('logs no more of a path than its beginning', async () => {
    const { headers } = await answer(`/${'a-'.repeat(3_000)}`);
    const line = await lineOf(headers.get('x-openstack-request-id') ?? '');
    assert.equal(String(line?.['path']).length, 256);
  });

  it('times requests by route, not by path', async () => {
    const { headers } = await answer('/nowhere/at/all');
    await lineOf(headers.get('x-openstack-request-id') ?? '');
    const text = await metrics.registry.metrics();
    assert.match(text, /^gatehouse_http_request_seconds_count\{.*method="GET",route="\/hello",status="200"\} 1$/m);
    assert.match(text, /route="none",status="404"/);
    assert.ok(!text.includes('/nowhere'));
  });

  it('cuts off a client that does not finish the head of its request, and lets in only so many', async function () {
    this.timeout(20_000);
    const server = app.getHttpServer();
    assert.deepEqual([server.headersTimeout, server.requestTimeout, server.maxConnections], [5_000, 30_000, 1_024]);
    const slow = connect(Number(new URL(base).port), '127.0.0.1');
    slow.on('error', () => {});
    await once(slow, 'connect');
    slow.write('GET /hello HTTP/1.1\r\n');
    const tookMs = await runningMsOf(() => new Promise((resolve) => slow.resume().once('close', resolve)));
    assert.ok(tookMs < 8_000, `${tookMs} ms`);
  });

  it('closes soon although a client does not finish its request', async () => {
    const own = await createHttpApp({ module: TestModule, log: log.logger, metrics: createMetrics('gatehouse-test'), renderError: () => ({ status: 500, body: {} }) });
    const url = new URL(await listenHttp(own, 0, '127.0.0.1'));
    const slow = connect(Number(url.port), '127.0.0.1');
    slow.on('error', () => {});
    await once(slow, 'connect');
    slow.write('POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{');
    await new Promise((resolve) => setTimeout(resolve, 100));
    const tookMs = await runningMsOf(() => own.close());
    assert.ok(tookMs < 2_500, `${tookMs} ms`);
    slow.destroy();
  });

  it('makes an app without HTTP too, and keeps Nest\'s chatter at debug', async () => {
    const context = await createContextApp(TestModule, log.logger);
    assert.equal(context.get(GREETING), 'good day');
    await context.close();
    assert.ok(log.lines().every((line) => line['nest'] === undefined || line['level'] === 'debug'));
  });
});
