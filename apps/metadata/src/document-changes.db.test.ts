/** Tags and waits as clients see them, over HTTP, beside PostgreSQL. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Agent, request as httpRequest } from 'node:http';
import type { ClientRequest, IncomingHttpHeaders } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { metadata } from '@gatehouse/contracts/metadata';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import type { App } from '@gatehouse/runtime/app';
import { systemClock } from '@gatehouse/runtime/clock';
import { createLogger } from '@gatehouse/runtime/logger';
import { createMetrics } from '@gatehouse/runtime/metrics';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { runningMsOf } from '../../../test/servers/running-time.ts';
import { startMetadata } from './app.module.ts';
import { WAITING_PER_INSTANCE_MAX } from './changes.ts';
import { metadataConfig } from './config.ts';
import { sign } from './signature.ts';

const SECRET = 'secret-of-the-test';
const PROJECT = 'p-demo';
const META_DATA = '/openstack/latest/meta_data.json';
const HOSTNAME = '/latest/meta-data/hostname';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

describe('documents that change', function () {
  this.timeout(60_000);
  let postgresql: Postgresql;
  let cellDb: CellDb;
  let app: App;
  let uuid: string;
  const transport = createMemoryTransport();
  const metrics = createMetrics('test');
  const agent = new Agent({ keepAlive: true });
  const start = (): Promise<App> => {
    const config = { ...metadataConfig.parse({ metadataPort: '0', metadataCacheTtl: '1', metadataRate: '0' }), metadataSecrets: [SECRET] };
    const log = createLogger({ service: 'test', level: 'warn', destination: { write: () => {} } as unknown as NodeJS.WritableStream });
    return startMetadata({ config, transport, cellDb, log, metrics, clock: systemClock });
  };

  before(async () => {
    postgresql = await startPostgresql();
    cellDb = await openCellDb({ url: await postgresql.createDatabase() });
    await cellDb.migrate();
    app = await start();
  });
  after(async () => {
    agent.destroy();
    await app?.drain();
    await cellDb?.close();
    await postgresql?.stop();
  });
  beforeEach(async () => {
    uuid = randomUUID();
    await cellDb.instances.create({
      uuid, projectId: PROJECT, userId: 'u', displayName: 'first', hostname: 'first', host: 'h', vmState: 'active', taskState: null,
      keyName: null, keyData: null, userData: null, metadata: {}, createdAt: new Date(),
    });
  });

  const send = (path: string, headers: IncomingHttpHeaders = {}, method = 'GET'): { request: ClientRequest; answer: Promise<Answer> } => {
    const { hostname, port } = new URL(app.addresses[0]?.url ?? '');
    const proof = { 'X-Instance-ID': uuid, 'X-Instance-ID-Signature': sign(SECRET, uuid), 'X-Tenant-ID': PROJECT };
    const request = httpRequest({ hostname, port, path, method, headers: { ...proof, ...headers }, agent });
    const answer = new Promise<Answer>((resolve, reject) => {
      request.on('error', reject).on('response', (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      });
    });
    request.end();
    return { request, answer };
  };
  const ask = (path: string, headers?: IncomingHttpHeaders, method?: string): Promise<Answer> => send(path, headers, method).answer;
  const tagOf = async (path: string): Promise<string> => (await ask(path)).headers.etag ?? '';
  const wait = (path: string, seconds: number, last?: string): ReturnType<typeof send> =>
    send(`${path}?wait_for_change=true&timeout_sec=${seconds}${last === undefined ? '' : `&last_etag=${encodeURIComponent(last)}`}`);
  const change = (changes: { readonly hostname?: string; readonly taskState?: string }): Promise<unknown> => cellDb.instances.update(uuid, changes, new Date());
  const tell = async (): Promise<void> => void (await createClient(metadata, transport).instanceChanged({ instanceUuid: uuid }, newContext()));
  const waiting = async (): Promise<number> => (await metrics.gauge({ name: 'metadata_waiting', help: '' }).get()).values[0]?.value ?? 0;
  const untilWaiting = async (count: number): Promise<void> => {
    for (let tries = 0; (await waiting()) !== count; tries += 1) {
      assert.ok(tries < 1_000, `${await waiting()} wait, not ${count}`);
      await sleep(20);
    }
  };

  it('are refused with what a wait does not say right, and answered where nothing is', async () => {
    for (const query of ['timeout_sec=301', 'timeout_sec=x', 'last_etag=']) assert.equal((await ask(`${META_DATA}?wait_for_change=true&${query}`)).status, 400, query);
    assert.equal((await ask(`${META_DATA}?wait_for_change=yes`)).status, 400);
    assert.equal((await ask('/openstack/latest/nope?wait_for_change=true&timeout_sec=5')).status, 404);
    assert.equal((await ask(`${META_DATA}?wait_for_change=true&timeout_sec=5`, {}, 'DELETE')).status, 405);
    assert.equal(await waiting(), 0);
  });

  it('have a tag that stays while nothing in them changes, with a seed that does not', async () => {
    const [first, second] = [await ask(META_DATA), await ask(META_DATA)];
    assert.match(first.headers.etag ?? '', /^W\/"/);
    assert.equal(first.headers.etag, second.headers.etag);
    assert.notEqual(first.body, second.body);
    assert.match(await tagOf(HOSTNAME), /^"/);
    await change({ taskState: 'rebooting' });
    await tell();
    assert.equal(await tagOf(META_DATA), first.headers.etag, 'the instance has changed, and nothing that it is told');
    await change({ hostname: 'second' });
    await tell();
    assert.notEqual(await tagOf(META_DATA), first.headers.etag);
  });

  it('are not sent again to a client that has them', async () => {
    for (const path of [META_DATA, HOSTNAME, '/latest/meta-data/', '/openstack/latest/vendor_data.json']) {
      const tag = await tagOf(path);
      for (const method of ['GET', 'HEAD']) {
        const same = await ask(path, { 'if-none-match': `"other", ${tag}` }, method);
        assert.deepEqual([same.status, same.body, same.headers.etag], [304, '', tag], path);
      }
      assert.equal((await ask(path, { 'if-none-match': '"other"' })).status, 200);
    }
    assert.equal((await ask('/latest/meta-data/nope', { 'if-none-match': '*' })).status, 404);
  });

  it('are answered to who waits as soon as there are news of them', async () => {
    const waits = [wait(HOSTNAME, 30, await tagOf(HOSTNAME)), wait(META_DATA, 30)];
    await untilWaiting(2);
    await change({ taskState: 'rebooting' });
    await tell();
    await change({ hostname: 'second' });
    let heard: readonly Answer[] = [];
    const ms = await runningMsOf(async () => {
      await tell();
      heard = await Promise.all(waits.map(({ answer }) => answer));
    });
    assert.ok(ms < 1_000, `${ms} ms`);
    const [hostname, metaData] = heard;
    assert.equal(hostname?.body, 'second.novalocal');
    assert.match(metaData?.body ?? '', /second\.novalocal/);
    assert.equal(await waiting(), 0);
  });

  it('are answered at once to who has others, and at the time limit to who has these', async () => {
    const began = performance.now();
    const ms = await runningMsOf(async () => {
      assert.equal((await wait(HOSTNAME, 30, '0').answer).status, 200);
      assert.equal((await wait(HOSTNAME, 0, await tagOf(HOSTNAME)).answer).status, 200);
    });
    assert.ok(ms < 1_000, `${ms} ms`);
    const tag = await tagOf(HOSTNAME);
    const late = await wait(HOSTNAME, 1, tag).answer;
    assert.ok(performance.now() - began >= 990);
    assert.deepEqual([late.status, late.body, late.headers.etag], [200, 'first.novalocal', tag]);
  });

  it('are found changed by who waits when the news are lost', async () => {
    const { answer } = wait(HOSTNAME, 30);
    await untilWaiting(1);
    await change({ hostname: 'second' });
    const ms = await runningMsOf(async () => assert.equal((await answer).body, 'second.novalocal'));
    assert.ok(ms < 3_000, 'one period of the cache, and a look');
  });

  it('are not found any more, by who waits too, when the instance is deleted', async () => {
    const { answer } = wait(META_DATA, 30);
    await untilWaiting(1);
    await cellDb.transaction(({ instances }) => instances.softDelete(uuid, new Date()));
    await tell();
    assert.equal((await answer).status, 404);
  });

  it('free the place of a client that leaves, and refuse those for whom there is none', async () => {
    const waits = Array.from({ length: WAITING_PER_INSTANCE_MAX }, () => wait(HOSTNAME, 30));
    for (const { answer } of waits) answer.catch(() => {});
    await untilWaiting(WAITING_PER_INSTANCE_MAX);
    const refused = await wait(HOSTNAME, 30).answer;
    assert.deepEqual([refused.status, refused.headers['retry-after']], [429, '5']);
    assert.equal((await ask(HOSTNAME)).status, 200, 'who does not wait is answered');
    for (const { request } of waits) request.destroy();
    await untilWaiting(0);
    assert.equal((await wait(HOSTNAME, 0).answer).status, 200);
  });

  it('are answered to all who wait when the service stops', async () => {
    const waits = [wait(HOSTNAME, 60), wait(META_DATA, 60)];
    await untilWaiting(2);
    const ms = await runningMsOf(async () => {
      await app.drain();
      for (const { status } of await Promise.all(waits.map(({ answer }) => answer))) assert.equal(status, 200);
    });
    assert.ok(ms < 3_000, `${ms} ms`);
    app = await start();
  });
});
