/**
 * Two metadata services, and what they stand on is killed under them: the broker, then the database. Guests ask all the while.
 * Keys that are replaced are seen at both within a second; without the broker within one period of the cache; and without the
 * database guests read what was known.
 */
import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import { freePort } from '../servers/free-port.ts';
import { LostTime } from '../servers/lost-time.ts';
import { startOwnPostgresql } from '../servers/postgresql.ts';
import type { OwnPostgresql } from '../servers/postgresql.ts';
import { startOwnRabbitmq } from '../servers/rabbitmq.ts';
import type { OwnRabbitmq } from '../servers/rabbitmq.ts';
import { accepts, runCommand } from '../servers/server-process.ts';
import { buildBundles, bundleOf, FiveProcesses } from './five-processes.ts';

const SECRET = 'a-secret-of-the-test';
const [USER, PROJECT] = ['alice', 'demo'];
const TTL_SECONDS = 4;
const BROKER_AWAY_MS = 20_000;
const DATABASE_AWAY_MS = 12_000;
/** What a change may take to be seen: the promise, of a machine that has time. */
const SEEN_MS_MAX = 1_000;
/** One that is not seen by then is not seen. */
const LOOKED_FOR_MS_MAX = 30_000;
const PUBLIC_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC5/C1oWRCMrHmqwpgfl7jhJuhCHRhFQrvQd6FXg5+Sw';
const NAMES = ['red', 'green', 'blue'];

describe('two metadata services whose broker and database are killed', function () {
  this.timeout(120_000);
  // What came after a failure would say nothing.
  this.bail(true);
  let rabbitmq: OwnRabbitmq;
  let postgresql: OwnPostgresql;
  let stack: FiveProcesses;
  let urls: readonly string[];
  let lostTime: LostTime;
  const uuid = randomUUID();

  before(async () => {
    lostTime = new LostTime();
    [rabbitmq, postgresql] = await Promise.all([startOwnRabbitmq(), startOwnPostgresql(), buildBundles()]);
    const [apiDatabaseUrl, cellDatabaseUrl] = [await postgresql.createDatabase(), await postgresql.createDatabase()];
    await runCommand(process.execPath, [bundleOf('migrate')], { env: { GATEHOUSE_API_DATABASE_URL: apiDatabaseUrl, GATEHOUSE_CELL_DATABASE_URL: cellDatabaseUrl } });
    const env = { GATEHOUSE_METADATA_SECRETS: SECRET, GATEHOUSE_METADATA_CACHE_TTL: String(TTL_SECONDS), GATEHOUSE_METADATA_RATE: '0' };
    stack = await FiveProcesses.prepare({ transportUrl: rabbitmq.url, apiDatabaseUrl, cellDatabaseUrl }, env);
    const otherPort = await freePort();
    urls = [stack.metadataUrl, `http://127.0.0.1:${otherPort}`];
    await Promise.all([stack.start('api'), stack.start('metadata'), stack.startBeside('metadata-2', 'metadata', { GATEHOUSE_METADATA_PORT: String(otherPort) })]);
    await stack.awaitReady(['api', 'metadata', 'metadata-2']);
    const cellDb = await openCellDb({ url: cellDatabaseUrl });
    await cellDb.instances.create({
      uuid, projectId: PROJECT, userId: USER, displayName: 'web', hostname: 'web', host: 'compute-1', vmState: 'active', taskState: null,
      keyName: null, keyData: null, userData: null, metadata: {}, createdAt: new Date(),
    });
    await cellDb.close();
    for (const name of NAMES) await api('POST', '/v2.1/os-keypairs', { keypair: { name, public_key: `${PUBLIC_KEY} ${name}` } });
    await untilHeard();
  });

  after(async () => {
    await stack?.stopAll();
    await rabbitmq?.stop();
    await postgresql?.stop();
    await lostTime?.stop();
  });

  async function api(method: string, path: string, body: object): Promise<void> {
    const response = await fetch(stack.apiUrl + path, {
      method, body: JSON.stringify(body), signal: AbortSignal.timeout(15_000),
      headers: { 'x-auth-token': `${USER}:${PROJECT}`, 'content-type': 'application/json' },
    });
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.text()}`);
  }

  const replaceKeys = (...names: readonly string[]): Promise<void> => api('PUT', `/v1/instances/${uuid}/keypairs`, { keypairs: names });

  async function read(url: string, id = uuid, query = ''): Promise<{ status: number; retryAfter: string | null; etag: string; keys: readonly string[] }> {
    const headers = { 'x-instance-id': id, 'x-instance-id-signature': createHmac('sha256', SECRET).update(id).digest('hex'), 'x-tenant-id': PROJECT };
    const response = await fetch(`${url}/openstack/latest/meta_data.json${query}`, { headers, signal: AbortSignal.timeout(40_000) });
    const text = await response.text();
    const document = (response.status === 200 ? JSON.parse(text) : {}) as { readonly keys?: readonly { readonly name: string }[] };
    return { status: response.status, retryAfter: response.headers.get('retry-after'), etag: response.headers.get('etag') ?? '', keys: (document.keys ?? []).map(({ name }) => name) };
  }

  /** Milliseconds until both show these keys, without those that the machine took. */
  async function seenAfter(names: readonly string[]): Promise<number> {
    const stretch = lostTime.begin();
    const until = performance.now() + LOOKED_FOR_MS_MAX;
    await Promise.all(urls.map(async (url) => {
      for (;;) {
        const { status, keys } = await read(url);
        assert.equal(status, 200);
        if (keys.join() === names.join()) return;
        assert.ok(performance.now() < until, `${url} shows ${keys.join()} and not ${names.join()}`);
        await sleep(20);
      }
    }));
    return stretch.tookMs();
  }

  /** A process lives before its port is open. */
  async function untilItListens(url: string): Promise<void> {
    for (const deadline = Date.now() + LOOKED_FOR_MS_MAX; !(await accepts(Number(new URL(url).port))); await sleep(20)) assert.ok(Date.now() < deadline, `nobody listens at ${url}`);
  }

  /** Until news reach both again: their queues are declared when they have found the broker. One change may be seen early by chance. */
  async function untilHeard(): Promise<void> {
    const deadline = Date.now() + 45_000;
    for (let [turn, heard] = [0, 0]; heard < 4; turn += 1) {
      const names = [NAMES[turn % 2] ?? ''];
      await replaceKeys(...names);
      heard = (await seenAfter(names)) < SEEN_MS_MAX ? heard + 1 : 0;
      assert.ok(Date.now() < deadline, 'no news are heard');
    }
  }

  /** Guests that ask all the while; `stop` says what they were answered. */
  function guests(): { stop(): Promise<ReadonlyMap<number, number>> } {
    const answers = new Map<number, number>();
    let isStopped = false;
    const asking = Promise.all(urls.map(async (url) => {
      while (!isStopped) {
        const { status } = await read(url);
        answers.set(status, (answers.get(status) ?? 0) + 1);
        await sleep(50);
      }
    }));
    return {
      async stop() {
        isStopped = true;
        await asking;
        return answers;
      },
    };
  }

  it('show keys that are replaced within a second, and tell those who wait', async () => {
    // By its ETag, so that who comes to wait only after the change hears of it too.
    const waits = await Promise.all(urls.map(async (url) => [url, (await read(url)).etag] as const));
    const told = Promise.all(waits.map(([url, etag]) => read(url, uuid, `?wait_for_change=true&timeout_sec=30&last_etag=${encodeURIComponent(etag)}`)));
    async function replacedInTime(...names: readonly string[]): Promise<void> {
      await replaceKeys(...names);
      const tookMs = await seenAfter(names);
      assert.ok(tookMs < SEEN_MS_MAX, `${tookMs} ms`);
    }
    await replacedInTime('red', 'green');
    for (const { keys } of await told) assert.deepEqual(keys, ['red', 'green']);
    for (const names of [['blue'], [], ['green', 'blue', 'red']]) await replacedInTime(...names);
  });

  it('serve on while the broker is away, show a change within one period of the cache, and hear news again when it is back', async () => {
    const asking = guests();
    await rabbitmq.kill();
    await sleep(BROKER_AWAY_MS / 2);
    await replaceKeys('red');
    const tookMs = await seenAfter(['red']);
    assert.ok(tookMs < (TTL_SECONDS + 1) * 1_000, `${tookMs} ms`);
    await sleep(BROKER_AWAY_MS / 2);
    await rabbitmq.start();
    await untilHeard();
    await replaceKeys('blue', 'red');
    const newsMs = await seenAfter(['blue', 'red']);
    assert.ok(newsMs < SEEN_MS_MAX, `${newsMs} ms`);
    assert.deepEqual([...(await asking.stop()).keys()], [200]);
    console.log(`      without the broker the change was seen after ${Math.round(tookMs)} ms`);
  });

  it('give what they know while the database is away, say what they do not know, and stay in their place', async () => {
    const asking = guests();
    await seenAfter(['blue', 'red']);
    await postgresql.kill();
    await sleep(DATABASE_AWAY_MS);
    for (const url of urls) {
      const unknown = await read(url, randomUUID());
      assert.deepEqual([unknown.status, unknown.retryAfter], [503, '1']);
      assert.deepEqual((await read(url)).keys, ['blue', 'red']);
    }
    for (const name of ['metadata', 'metadata-2']) assert.ok(await stack.isReady(name), name);
    await postgresql.start();
    await stack.awaitReady(['api']);
    await untilHeard();
    const answers = await asking.stop();
    assert.deepEqual([...answers.keys()], [200], 'every guest was answered all the while');
    console.log(`      ${answers.get(200)} answers`);
  });

  it('know nothing when they begin while the database is away, and say so until it is back', async () => {
    await postgresql.kill();
    await stack.kill('metadata');
    await stack.start('metadata');
    const [url = ''] = urls;
    await untilItListens(url);
    assert.deepEqual((({ status, retryAfter }) => [status, retryAfter])(await read(url)), [503, '1']);
    assert.equal(await stack.isReady('metadata'), false);
    await postgresql.start();
    await stack.awaitReady(['api', 'metadata']);
    assert.equal((await read(url)).status, 200);
  });
});
