/** An api that is killed in the midst of its work on instances, and another over the same databases that finds their rows. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type { RpcServer } from '@gatehouse/rpc/server';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { startServer } from '../../../test/servers/server-process.ts';
import { ABANDONED_AFTER_MS, AbandonedTasks } from './abandoned-tasks.ts';
import { askHttp, reportAgent, serveAgent, serveRevocation, startTestApi } from './test-api.ts';
import type { Answer, TestApi } from './test-api.ts';

const ALICE = 'alice:proj';

describe('tasks of an api that was killed', function () {
  this.timeout(120_000);
  let api: TestApi;
  let servers: RpcServer[] = [];
  const urls: string[] = [];

  before(async () => {
    const postgresql = await startPostgresql();
    const createDatabase = async (): Promise<string> => {
      const url = await postgresql.createDatabase();
      urls.push(url);
      return url;
    };
    api = await startTestApi({ createDatabase, stop: () => postgresql.stop() });
    servers = [await serveAgent(api, 'host-a', {
      async stopInstance({ instanceUuid }) {
        await api.cellDb.instances.update(instanceUuid, { vmState: 'stopped', taskState: null }, new Date(), 'host-a');
      },
    }), await serveRevocation(api, [])];
  });
  after(async () => {
    await Promise.all(servers.map((server) => server.drain()));
    await api?.stop();
  });

  const add = async (state: { readonly vmState: string; readonly taskState?: string | null; readonly host?: string | null }): Promise<string> => {
    const uuid = randomUUID();
    const what = { projectId: 'proj', userId: 'alice', displayName: 'x', hostname: 'x', keyName: null, keyData: null, userData: null, metadata: {} };
    await api.cellDb.instances.create({ uuid, ...what, host: 'host-a', taskState: null, ...state, createdAt: new Date() });
    return uuid;
  };
  /** The instance as if nothing had been written of it for so long. */
  const age = async (uuid: string, ms: number): Promise<void> => {
    await api.cellDb.instances.update(uuid, {}, new Date(Date.now() - ms));
  };
  const old = (uuid: string): Promise<void> => age(uuid, ABANDONED_AFTER_MS + 1_000);
  const stateOf = async (uuid: string): Promise<readonly unknown[]> => {
    const found = await api.cellDb.instances.find(uuid);
    return [found?.vmState, found?.taskState];
  };
  const act = async (url: string, id: string, body: object): Promise<Answer> => {
    // Hosts that have been silent for long are not asked.
    await reportAgent(api, 'host-a', new Date());
    return askHttp(url, 'POST', `/v2.1/servers/${id}/action`, { token: ALICE, body });
  };

  it('stand in their rows for as long as it could be at them, and then nobody sees them any more', async () => {
    const [stopped, deleted] = [await add({ vmState: 'active' }), await add({ vmState: 'active' })];
    let url = '';
    const script = fileURLToPath(new URL('test-killed-api.ts', import.meta.url));
    const killed = await startServer({
      name: 'killed-api', command: process.execPath, args: ['--import', 'tsx', script, ...urls], readyTimeoutMs: 60_000,
      isReady: async (server) => (url = /listens on (\S+)/.exec(server.output())?.[1] ?? '') !== '',
    });
    try {
      assert.equal((await act(url, stopped, { 'os-stop': null })).status, 202);
      // Answered when its host has done it, which it never does.
      const deletion = askHttp(url, 'DELETE', `/v2.1/servers/${deleted}`, { token: ALICE }).catch(() => null);
      for (let tries = 0; (await stateOf(deleted))[1] !== 'deleting'; tries += 1) {
        assert.ok(tries < 200, 'the deletion did not begin');
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      await killed.kill();
      assert.equal(await deletion, null);
    } finally {
      await killed.kill();
    }
    assert.deepEqual([await stateOf(stopped), await stateOf(deleted)], [['active', 'powering-off'], ['active', 'deleting']]);
    const refused = await act(api.url, stopped, { 'os-stop': null });
    assert.deepEqual([refused.status, /task_state powering-off/.test(refused.text)], [409, true], refused.text);

    await Promise.all([stopped, deleted].map(old));
    assert.equal((await act(api.url, stopped, { 'os-stop': null })).status, 202);
    assert.deepEqual(await stateOf(stopped), ['stopped', null]);
    await api.ask('GET', `/v2.1/servers/${deleted}`, { token: ALICE });
    for (let tries = 0; (await api.ask('GET', `/v2.1/servers/${deleted}`, { token: ALICE })).status !== 404; tries += 1) {
      assert.ok(tries < 200, 'the deletion was not gone on with');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });

  const ends: readonly (readonly [vmState: string, taskState: string, after: string])[] = [
    ['building', 'spawning', 'error'], ['active', 'powering-off', 'active'], ['stopped', 'powering-on', 'stopped'], ['active', 'rebuilding', 'active'],
    ['active', 'resize_prep', 'active'], ['active', 'resize_finish', 'resized'], ['resized', 'resize_reverting', 'resized'], ['active', 'migrating', 'active'],
    ['shelved', 'shelving_offloading', 'shelved'], ['shelved_offloaded', 'spawning', 'active'], ['error', 'rebuild_spawning', 'active'], ['stopped', 'rebuild_spawning', 'stopped'],
    ['stopped', 'resize_prep', 'stopped'], ['stopped', 'resize_finish', 'resized'], ['active', 'resize_reverting', 'active'], ['stopped', 'resize_reverting', 'stopped'],
    ['resized', 'resize_confirming', 'resized'], ['shelved', 'unshelving', 'shelved'], ['active', 'shelving', 'active'],
  ];
  for (const [vmState, taskState, after] of ends) {
    it(`leave an instance that was ${vmState} in ${taskState} ${after}`, async () => {
      const uuid = await add({ vmState, taskState });
      await old(uuid);
      const { server } = (await api.ask('GET', `/v2.1/servers/${uuid}`, { token: ALICE })).json as { server: Readonly<Record<string, unknown>> };
      assert.deepEqual([server['OS-EXT-STS:vm_state'], server['OS-EXT-STS:task_state']], [after, null]);
      assert.deepEqual(await stateOf(uuid), [after, null]);
    });
  }

  it('are taken out of all that a list shows, and of an instance without a host', async () => {
    const uuids = [await add({ vmState: 'shelved_offloaded', taskState: 'unshelving', host: null }), await add({ vmState: 'active', taskState: 'rebooting' })];
    await Promise.all(uuids.map(old));
    const { servers: listed } = (await api.ask('GET', '/v2.1/servers/detail', { token: ALICE })).json as { servers: readonly Readonly<Record<string, unknown>>[] };
    for (const uuid of uuids) assert.equal(listed.find(({ id }) => id === uuid)?.['OS-EXT-STS:task_state'], null);
    assert.deepEqual([await stateOf(uuids[0] ?? ''), await stateOf(uuids[1] ?? '')], [['shelved_offloaded', null], ['active', null]]);
  });

  it('are taken out by a list of the first sixteen that it comes to, and by the next of those that are left', async () => {
    const uuids = await Promise.all(Array.from({ length: 18 }, () => add({ vmState: 'active', taskState: 'rebooting' })));
    await Promise.all(uuids.map(old));
    const leftAfterList = async (): Promise<number> => {
      const { servers: listed } = (await api.ask('GET', '/v2.1/servers/detail?limit=18', { token: ALICE })).json as { servers: readonly Readonly<Record<string, unknown>>[] };
      assert.equal(listed.length, 18);
      return listed.filter((server) => server['OS-EXT-STS:task_state'] !== null).length;
    };
    // A database that is busy may refuse some of them, which the next list comes to.
    const first = await leftAfterList();
    assert.ok(first >= 2 && first < 18, String(first));
    for (let tries = 0; (await leftAfterList()) > 0; tries += 1) assert.ok(tries < 20, 'some are never taken out');
  });

  it('hide no page from a list whose instance is deleted while its task is taken out', async () => {
    const [gone, other] = [await add({ vmState: 'active', taskState: 'rebooting' }), await add({ vmState: 'active' })];
    await old(gone);
    const pool = new pg.Pool({ connectionString: urls[1] ?? '', max: 1 });
    try {
      const { list } = await api.cellDb.transaction(async ({ instances }) => {
        await instances.softDelete(gone, new Date());
        const asked = api.ask('GET', '/v2.1/servers?limit=2', { token: ALICE });
        for (let tries = 0; (await pool.query('SELECT 1 FROM pg_locks WHERE NOT granted')).rowCount === 0; tries += 1) {
          assert.ok(tries < 400, 'the list does not wait for the row');
          await new Promise((resolve) => setTimeout(resolve, 25));
        }
        return { list: asked };
      });
      const { servers: shown, servers_links: links } = (await list).json as { servers: readonly { readonly id: string }[]; servers_links?: readonly unknown[] };
      assert.deepEqual([shown.map(({ id }) => id), links?.length], [[other, gone], 1]);
    } finally {
      await pool.end();
    }
  });

  it('are left alone before their time, and where somebody has written meanwhile', async () => {
    const uuid = await add({ vmState: 'active', taskState: 'migrating' });
    await age(uuid, ABANDONED_AFTER_MS - 30_000);
    await api.ask('GET', `/v2.1/servers/${uuid}`, { token: ALICE });
    assert.deepEqual(await stateOf(uuid), ['active', 'migrating']);
    await old(uuid);
    const answers = await Promise.all(Array.from({ length: 8 }, () => act(api.url, uuid, { 'os-stop': null })));
    assert.equal(answers.filter(({ status }) => status === 202).length >= 1, true);
    for (const { status, text } of answers) assert.ok([202, 409].includes(status), text);
    assert.deepEqual(await stateOf(uuid), ['stopped', null]);
  });

  it('are not ended by an api whose own clock is ten minutes ahead of the database', async () => {
    const uuid = await add({ vmState: 'active', taskState: 'migrating' });
    const ahead = { ...systemClock, now: () => new Date(Date.now() + 600_000) };
    const abandoned = new AbandonedTasks(api.cellDb, ahead, silentLogger);
    const seen = await api.cellDb.instances.get(uuid);
    assert.deepEqual([abandoned.has(seen), (await abandoned.end(seen))?.taskState, await stateOf(uuid)], [true, 'migrating', ['active', 'migrating']]);
    await old(uuid);
    assert.equal((await abandoned.end(await api.cellDb.instances.get(uuid)))?.taskState, null);
  });
});
