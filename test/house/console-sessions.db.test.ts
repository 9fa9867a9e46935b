/** Console sessions over REST, with the real api, consoleauth, proxy and agents behind it, and consoles that are really open. */
import assert from 'node:assert/strict';
import { WATCHERS_OF_USER_MAX } from '../../apps/api/src/session-feed.ts';
import { LostTime } from '../servers/lost-time.ts';
import type { Stretch } from '../servers/lost-time.ts';
import { startWholeHouse } from '../nova/whole-house.ts';
import type { WholeHouse } from '../nova/whole-house.ts';
import { ConsoleSocket, RFB_GREETING } from './console-socket.ts';
import { SessionsClient, storyOf } from './sessions-client.ts';

const TYPES = { vnc: 'novnc', serial: 'serial' } as const;
/** The promise, of a machine that has time. */
const CLOSED_MS_MAX = 1_000;
const HEARD_MS_MAX = 20_000;

describe('console sessions over REST, in a house where they are real', function () {
  this.timeout(60_000);
  let house: WholeHouse;
  let alice: SessionsClient;
  let bob: SessionsClient;
  let admin: SessionsClient;
  const servers = { a: '', b: '' };
  let sockets: ConsoleSocket[] = [];
  let lostTime: LostTime;

  before(async () => {
    lostTime = new LostTime();
    house = await startWholeHouse(['compute-1', 'compute-2']);
    [alice, bob, admin] = ['alice:blue', 'bob:green', 'admin:ops'].map((token) => new SessionsClient(house.apiUrl, token)) as [SessionsClient, SessionsClient, SessionsClient];
    servers.a = await boot('compute-1', 'alice:blue');
    servers.b = await boot('compute-2', 'bob:green');
  });
  after(async () => {
    await house?.stop();
    await lostTime?.stop();
  });
  afterEach(async () => {
    for (const socket of sockets) socket.close();
    await Promise.all(sockets.map(({ closed }) => closed));
    sockets = [];
    const until = Date.now() + 10_000;
    while ((await admin.list()).length > 0) assert.ok(Date.now() < until, 'sessions of a test stayed');
  });

  async function boot(host: string, token: string): Promise<string> {
    const { status, body } = await house.ask('2.90', 'POST', '/servers', { server: { name: host, imageRef: '', flavorRef: '1', networks: 'none', availability_zone: `nova:${host}` } }, token);
    assert.equal(status, 202, JSON.stringify(body));
    const { id } = body['server'] as { id: string };
    for (const until = Date.now() + 20_000; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
      const { status: state } = (await house.ask('2.90', 'GET', `/servers/${id}`, undefined, token)).body['server'] as { status: string };
      if (state === 'ACTIVE') return id;
      assert.ok(Date.now() < until, state);
    }
  }

  /** Opens a console and answers its session. */
  async function open(server: string, protocol: keyof typeof TYPES, token: string): Promise<{ socket: ConsoleSocket; id: string }> {
    const known = new Set((await admin.list()).map(({ id }) => id));
    const { status, body } = await house.ask('2.6', 'POST', `/servers/${server}/remote-consoles`, { remote_console: { protocol, type: TYPES[protocol] } }, token);
    assert.equal(status, 200, JSON.stringify(body));
    const socket = await ConsoleSocket.open((body['remote_console'] as { url: string }).url);
    sockets.push(socket);
    await socket.awaitText(protocol === 'vnc' ? RFB_GREETING : /\$ /);
    const [session, ...more] = (await admin.list()).filter(({ id }) => !known.has(id));
    assert.equal(more.length, 0);
    return { socket, id: session?.id ?? assert.fail('no session') };
  }

  /** The close that its user sees, within a second from when its end was told. */
  async function closedSoon(socket: ConsoleSocket, told: { readonly atMs: number; readonly stretch: Stretch }): Promise<readonly [code: number, reason: string]> {
    for (const until = Date.now() + HEARD_MS_MAX; socket.closedAtMs === null; await new Promise((resolve) => setTimeout(resolve, 5))) assert.ok(Date.now() < until, 'the console did not close');
    const [tookMs, lostMs] = [socket.closedAtMs - told.atMs, await told.stretch.lostMs()];
    assert.ok(tookMs < CLOSED_MS_MAX + lostMs, `closed after ${tookMs} ms, ${lostMs} ms of which were lost`);
    const { code, reason } = await socket.closed;
    return [code, reason];
  }
  const now = () => ({ atMs: Date.now(), stretch: lostTime.begin() });

  it("are seen by their user, by the instance's project and by the administrator, and by nobody else", async () => {
    const own = await open(servers.a, 'vnc', 'alice:blue');
    const support = await open(servers.a, 'vnc', 'admin:ops');
    const theirs = await open(servers.b, 'vnc', 'bob:green');
    const ids = async (client: SessionsClient, query = ''): Promise<readonly string[]> => (await client.list(query)).map(({ id }) => id).toSorted();
    assert.deepEqual(await ids(alice), [own.id, support.id].toSorted());
    assert.deepEqual(await ids(new SessionsClient(house.apiUrl, 'carol:blue')), [own.id, support.id].toSorted());
    assert.deepEqual(await ids(new SessionsClient(house.apiUrl, 'alice:red')), [own.id]);
    assert.deepEqual(await ids(bob), [theirs.id]);
    assert.deepEqual(await ids(admin), [own.id, support.id, theirs.id].toSorted());
    assert.deepEqual(await ids(admin, '?host=compute-2'), [theirs.id]);
    assert.deepEqual(await ids(admin, '?proxy=proxy-1&user_id=admin'), [support.id]);
    assert.deepEqual(await ids(alice, `?instance_id=${servers.b}`), []);
    for (const method of ['GET', 'DELETE']) assert.equal((await bob.request(method, `/${own.id}`)).status, 404);
    assert.deepEqual(await bob.endAll(`?instance_id=${servers.a}`), []);
    assert.equal((await alice.show(support.id)).user_id, 'admin');
  });

  it('are ended one by one: the user reads why within a second, and the list says so', async () => {
    const { socket, id } = await open(servers.a, 'serial', 'alice:blue');
    const { status } = await admin.request('DELETE', `/${id}?reason=maintenance`);
    assert.equal(status, 204);
    const [code, reason] = await closedSoon(socket, now());
    assert.equal(code, 4022);
    assert.match(reason, /maintenance/);
    const { state, end_reason: why, bytes_out: bytesOut } = await alice.show(id);
    assert.deepEqual([state, why], ['ended', 'maintenance']);
    assert.ok(bytesOut > 0);
    assert.deepEqual((await alice.list('?state=open')).map((each) => each.id), []);
    assert.ok((await alice.list('?state=ended')).some((each) => each.id === id));
    assert.equal((await alice.request('DELETE', `/${id}`)).status, 204);
    // Its port is free again at once.
    await open(servers.a, 'serial', 'alice:blue');
  });

  it("are ended by a user in a user's name", async () => {
    const { socket, id } = await open(servers.a, 'vnc', 'admin:ops');
    assert.equal((await alice.request('DELETE', `/${id}`)).status, 204);
    assert.deepEqual(await closedSoon(socket, now()), [4022, 'A user of this project ended this session.']);
  });

  for (const [word, value, meant] of [
    ['instance_id', () => servers.a, 'a'], ['user_id', () => 'bob', 'b'], ['project_id', () => 'blue', 'a'], ['host', () => 'compute-2', 'b'], ['proxy', () => 'proxy-1', 'ab'],
  ] as const) {
    it(`are ended all of one ${word} at once`, async () => {
      const opened = [
        { ...(await open(servers.a, 'vnc', 'alice:blue')), of: 'a' }, { ...(await open(servers.a, 'serial', 'alice:blue')), of: 'a' }, { ...(await open(servers.b, 'vnc', 'bob:green')), of: 'b' },
      ];
      const expected = opened.filter(({ of }) => meant.includes(of));
      const ended = await admin.endAll(`?${word}=${value()}`);
      const told = now();
      assert.deepEqual(ended.map(({ id }) => id).toSorted(), expected.map(({ id }) => id).toSorted());
      assert.ok(ended.every(({ state, end_reason: why }) => state === 'ended' && why === 'ended_by_operator'), JSON.stringify(ended));
      for (const { socket } of expected) assert.deepEqual(await closedSoon(socket, told), [4022, 'An operator ended this session.']);
      assert.deepEqual((await admin.list()).map(({ id }) => id).toSorted(), opened.filter(({ of }) => !meant.includes(of)).map(({ id }) => id).toSorted());
    });
  }

  it('are watched through every reconnect: each hears the whole story of what it may see, once', async () => {
    const [first, theirs] = [await alice.watch(), await bob.watch()];
    const console = await open(servers.a, 'vnc', 'alice:blue');
    await first.awaitEvents(1);
    first.close();
    // While nobody watches.
    assert.equal((await admin.request('DELETE', `/${console.id}`)).status, 204);
    const other = await open(servers.b, 'vnc', 'bob:green');
    const second = await alice.watch(first.lastId);
    await second.awaitEvents(2);
    other.socket.close();
    await theirs.awaitEvents(2);
    const readers = [first, second];
    assert.deepEqual(storyOf(readers, console.id), ['connected', 'ending ended_by_operator', 'ended ended_by_operator']);
    assert.deepEqual(storyOf(readers, other.id), []);
    assert.deepEqual(storyOf([theirs], other.id), ['connected', 'ended client_closed']);
    for (const reader of [second, theirs]) reader.close();
  });

  it('are paged by real markers, and refuse one that is none of theirs', async () => {
    const ids = [];
    for (let index = 0; index < 3; index += 1) ids.unshift((await open(servers.a, 'vnc', 'alice:blue')).id);
    const found: string[] = [];
    for (let rest: string | null = '?limit=1'; rest !== null;) {
      const { body } = await alice.request('GET', rest);
      found.push(...(body['console_sessions'] as { id: string }[]).map(({ id }) => id));
      const { next } = body['links'] as { next: string | null };
      rest = next === null ? null : new URL(next).search;
    }
    assert.deepEqual(found, ids);
    const { id } = await open(servers.b, 'vnc', 'bob:green');
    assert.equal((await alice.request('GET', `?marker=${id}`)).status, 400);
  });

  it('are watched by as many as may, without standing in the way of those who connect', async () => {
    const watchers = await Promise.all(Array.from({ length: WATCHERS_OF_USER_MAX }, () => admin.watch()));
    const stretch = lostTime.begin();
    const { id } = await open(servers.a, 'vnc', 'alice:blue');
    await Promise.all(watchers.map((watcher) => watcher.awaitEvents(1)));
    assert.ok((await stretch.tookMs()) < 5_000);
    for (const watcher of watchers) {
      assert.deepEqual(storyOf([watcher], id), ['connected']);
      watcher.close();
    }
  });
});
