/** Console sessions over REST, five processes apart: what is listed and watched while one of them is killed and comes back. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventReader } from '../../apps/api/src/test-sessions.ts';
import { LostTime } from '../servers/lost-time.ts';
import { startPostgresql } from '../servers/postgresql.ts';
import type { Postgresql } from '../servers/postgresql.ts';
import { startOwnRabbitmq } from '../servers/rabbitmq.ts';
import type { OwnRabbitmq } from '../servers/rabbitmq.ts';
import { runCommand } from '../servers/server-process.ts';
import { ComputeClient } from './compute-client.ts';
import { ConsoleSocket, RFB_GREETING } from './console-socket.ts';
import { buildBundles, bundleOf, FiveProcesses } from './five-processes.ts';
import type { ServiceName } from './five-processes.ts';
import { SessionsClient, storyOf } from './sessions-client.ts';

const NEEDED: readonly ServiceName[] = ['api', 'consoleauth', 'compute-agent', 'console-proxy'];
/** Long enough that what is asked of a proxy that has just died is answered before its lease is over. */
const LEASE_SECONDS = 10;

describe('console sessions over REST, five processes apart', function () {
  this.timeout(120_000);
  this.bail(true);
  let rabbitmq: OwnRabbitmq;
  let postgresql: Postgresql;
  let stack: FiveProcesses;
  let compute: ComputeClient;
  let sessions: SessionsClient;
  let lostTime: LostTime;
  let server = '';

  before(async () => {
    lostTime = new LostTime();
    [rabbitmq, postgresql] = await Promise.all([startOwnRabbitmq(), startPostgresql(), buildBundles()]);
    const [apiDatabaseUrl, cellDatabaseUrl] = [await postgresql.createDatabase(), await postgresql.createDatabase()];
    await runCommand(process.execPath, [bundleOf('migrate')], { env: { GATEHOUSE_API_DATABASE_URL: apiDatabaseUrl, GATEHOUSE_CELL_DATABASE_URL: cellDatabaseUrl } });
    stack = await FiveProcesses.prepare({ transportUrl: rabbitmq.url, apiDatabaseUrl, cellDatabaseUrl }, { GATEHOUSE_CONSOLE_LEASE: String(LEASE_SECONDS) });
    for (const name of NEEDED) await stack.start(name);
    await stack.awaitReady(NEEDED);
    compute = new ComputeClient(stack.apiUrl);
    sessions = new SessionsClient(stack.apiUrl, 'admin:demo');
    server = await compute.createServerOnceHostIsKnown('web-1');
    await compute.awaitActive(server);
  });
  after(async () => {
    await stack?.stopAll();
    await rabbitmq?.stop();
    await postgresql?.stop();
    await lostTime?.stop();
  });

  async function open(protocol: 'vnc' | 'serial'): Promise<{ socket: ConsoleSocket; id: string }> {
    const known = new Set((await sessions.list('?state=all')).map(({ id }) => id));
    const socket = await ConsoleSocket.open(await compute.consoleUrl(server, protocol));
    await socket.awaitText(protocol === 'vnc' ? RFB_GREETING : /\$ /);
    const session = (await sessions.list()).find(({ id }) => !known.has(id)) ?? assert.fail('no session');
    return { socket, id: session.id };
  }

  async function awaitStory(readers: readonly EventReader[], id: string, length: number, timeoutMs = 30_000): Promise<readonly string[]> {
    for (const until = Date.now() + timeoutMs; storyOf(readers, id).length < length; await sleep(20)) {
      assert.ok(Date.now() < until, `${JSON.stringify(storyOf(readers, id))}\n${stack.logs.slice(-3_000)}`);
    }
    return storyOf(readers, id);
  }

  it('are listed as they are opened, and one that is ended closes within a second', async () => {
    const [vnc, serial] = [await open('vnc'), await open('serial')];
    const shown = (await sessions.list()).map(({ id, console_type: type, state, host, proxy }) => [id, type, state, host, proxy]);
    assert.deepEqual(shown, [[serial.id, 'serial', 'open', 'compute-1', 'proxy-1'], [vnc.id, 'novnc', 'open', 'compute-1', 'proxy-1']]);
    const stretch = lostTime.begin();
    const ending = sessions.request('DELETE', `/${serial.id}`);
    const closed = await serial.socket.closed;
    const tookMs = await stretch.tookMs();
    assert.ok(tookMs < 1_000, `${tookMs} ms`);
    assert.equal((await ending).status, 204);
    assert.deepEqual(closed, { code: 4022, reason: 'An operator ended this session.' });
    assert.equal((await sessions.show(serial.id)).state, 'ended');
    assert.deepEqual((await sessions.endAll(`?instance_id=${server}`)).map(({ id, state }) => [id, state]), [[vnc.id, 'ended']]);
  });

  it('are watched past an api that was killed: what happened meanwhile is told by the next', async () => {
    const first = await sessions.watch();
    const { socket, id } = await open('vnc');
    await awaitStory([first], id, 1);
    await stack.kill('api');
    await first.ended;
    socket.close();
    await stack.start('api');
    await stack.awaitReady(['api']);
    const second = await sessions.watch(first.lastId);
    assert.deepEqual(await awaitStory([first, second], id, 2), ['connected', 'ended client_closed']);
    second.close();
  });

  it('are watched past a consoleauth that was killed, on the same stream', async () => {
    const reader = await sessions.watch();
    const before = await open('vnc');
    await awaitStory([reader], before.id, 1);
    await stack.kill('consoleauth');
    let refused = await sessions.request('GET');
    // The broker hears of it a moment later: who asks before that waits for an answer, in vain.
    if (refused.body['code'] === 'DEADLINE_EXCEEDED') refused = await sessions.request('GET');
    assert.deepEqual([refused.status, refused.body['code']], [503, 'UNAVAILABLE']);
    before.socket.close();
    await stack.start('consoleauth');
    await stack.awaitReady(['consoleauth']);
    const after = await open('vnc');
    await awaitStory([reader], after.id, 1);
    assert.deepEqual(await awaitStory([reader], before.id, 2), ['connected', 'ended client_closed']);
    after.socket.close();
    await awaitStory([reader], after.id, 2);
    reader.close();
  });

  it('of a proxy that died are still ending until their lease is over, and that is said', async () => {
    const reader = await sessions.watch();
    const { id } = await open('vnc');
    await stack.kill('console-proxy');
    const { status, body } = await sessions.request('DELETE', `/${id}`);
    assert.deepEqual([status, (body['console_session'] as { state: string }).state], [202, 'ending']);
    assert.deepEqual(await awaitStory([reader], id, 3, 40_000), ['connected', 'ending ended_by_operator', 'ended ended_by_operator']);
    assert.equal((await sessions.show(id)).state, 'ended');
    await stack.start('console-proxy');
    await stack.awaitReady(['console-proxy']);
    reader.close();
  });

  it('do not hold up an api that stops', async () => {
    const readers = await Promise.all(Array.from({ length: 5 }, () => sessions.watch()));
    const stretch = lostTime.begin();
    await stack.stop('api');
    await Promise.all(readers.map((reader) => reader.ended));
    const tookMs = await stretch.tookMs();
    assert.ok(tookMs < 5_000, `${tookMs} ms`);
    await stack.start('api');
    await stack.awaitReady(['api']);
  });
});
