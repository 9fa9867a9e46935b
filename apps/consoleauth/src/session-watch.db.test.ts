import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { ConsoleSessionEvents } from '@gatehouse/objects/console-session-events';
import { newContext } from '@gatehouse/rpc/context';
import { silentLogger } from '@gatehouse/runtime/logger';
import { Outages } from './outages.ts';
import { SessionLeases } from './session-leases.ts';
import { SessionWatch, WATCHERS_MAX } from './session-watch.ts';
import { Sweeps } from './sweeps.ts';
import { PROXIES, ports, refused, startConsoleAuths } from './test-consoleauths.ts';
import type { ConsoleAuths } from './test-consoleauths.ts';

describe('a watch of console sessions on PostgreSQL', function () {
  this.timeout(120_000);
  let house: ConsoleAuths;
  before(async () => (house = await startConsoleAuths()));
  after(() => house?.stop());
  beforeEach(() => house.report());

  async function open(userId = 'alice', uuid?: string): Promise<string> {
    const { token } = await house.mint(ports(uuid ?? (await house.makeInstance()), 'novnc'), userId);
    return (await house.connect({ token })).session.id;
  }

  type Words = Omit<Parameters<typeof house.client.watchSessions>[0], 'cursor' | 'waitSeconds'>;
  const watch = (cursor: string | null, words: Words = {}, waitSeconds = 0, of = 0) =>
    house.client.watchSessions({ cursor, waitSeconds, ...words }, newContext(), { server: `consoleauth-${of}` });
  /** What comes until there is as much as is expected: transactions of other databases of the same server hold readers up. */
  async function gather(cursor: string, words: Words, count: number): Promise<ConsoleSessionEvents> {
    const events: ConsoleSessionEvents['events'][number][] = [];
    for (let at = cursor; ; ) {
      const page = await watch(at, words, 30);
      events.push(...page.events);
      at = page.cursor;
      if (events.length >= count || page.events.length === 0) return { events, cursor: at };
    }
  }
  const kinds = ({ events }: ConsoleSessionEvents) => events.map(({ kind, session, reason }) => [session.id, kind, reason]);

  it('refuses a cursor that is none, and one of another database', async () => {
    for (const cursor of ['', 'x', '1-2', '1-2-3-4', '-1-2-3', '1-2-99999999999999', '9'.repeat(60)]) {
      await assert.rejects(watch(cursor), refused('INVALID_ARGUMENT', /cursor: expected one that an earlier answer gave/), cursor);
    }
    const seconds = Math.floor(house.clock.now().getTime() / 1_000);
    await assert.rejects(watch(`999999999999-0-${seconds}`), refused('INVALID_ARGUMENT', /told by another/));
  });

  it('tells from now on, or from any place that an answer gave, each once, in order, at any consoleauth', async () => {
    const userId = randomUUID();
    const before = await watch(null);
    await open(userId);
    await gather(before.cursor, { userId }, 1);
    const { cursor } = await watch(null);
    const id = await open(userId);
    await house.release(PROXIES[0], id);
    const seen = await gather(cursor, { userId }, 2);
    assert.deepEqual(kinds(seen), [[id, 'connected', null], [id, 'ended', 'client_closed']]);
    assert.ok(seen.events[1]?.session.endedAt instanceof Date);
    assert.deepEqual(kinds(await watch(seen.cursor, { userId }, 0, 1)), []);
    assert.deepEqual(kinds(await watch(seen.events[0]?.cursor ?? '', { userId }, 0, 1)), [[id, 'ended', 'client_closed']]);
    assert.deepEqual(kinds(await watch(cursor, { userId }, 0, 1)).length, 2);
  });

  it('waits for what comes, at most as long as it was asked to', async () => {
    const userId = randomUUID();
    const { cursor } = await watch(null);
    const started = performance.now();
    const nothing = await watch(cursor, { userId }, 1);
    assert.deepEqual(nothing.events, []);
    assert.ok(performance.now() - started >= 900);
    const waiting = watch(nothing.cursor, { userId }, 30);
    await pause(500);
    const id = await open(userId);
    assert.deepEqual(kinds(await waiting), [[id, 'connected', null]]);
    assert.ok(performance.now() - started < 25_000);
  });

  it('tells each watcher what is his: by instance, user, project, host, proxy, and by who he is', async () => {
    const [alice, uuid] = [randomUUID(), await house.makeInstance()];
    const { cursor } = await watch(null);
    const mine = await open(alice, uuid);
    const other = await open('somebody', uuid);
    await gather(cursor, { instanceUuid: uuid }, 2);
    const told = async (words: Words) => (await watch(cursor, words)).events.map(({ session }) => session.id);
    assert.deepEqual(await told({ instanceUuid: uuid }), [mine, other]);
    assert.deepEqual(await told({ instanceUuid: uuid, userId: alice, projectId: 'blue', host: 'compute-1', proxy: PROXIES[0] }), [mine]);
    assert.deepEqual(await told({ instanceUuid: uuid, proxy: PROXIES[1] }), []);
    assert.deepEqual(await told({ viewerUserId: alice, viewerProjectId: 'red' }), [mine]);
    assert.deepEqual(await told({ instanceUuid: uuid, viewerUserId: 'mallory', viewerProjectId: 'blue' }), [mine, other]);
    assert.deepEqual(await told({ viewerUserId: 'mallory', viewerProjectId: 'red' }), []);
  });

  it('reads on through pages that hold nothing for this watcher', async () => {
    const userId = randomUUID();
    const { cursor } = await watch(null);
    for (let round = 0; round < 6; round += 1) {
      const at = house.clock.now();
      await house.db.consoleSessionEvents.add(Array.from({ length: 100 }, () => ({ kind: 'connected' as const, sessionId: randomUUID(), at, reason: null })));
    }
    const id = await open(userId);
    assert.deepEqual(kinds(await gather(cursor, { userId }, 1)), [[id, 'connected', null]]);
  });

  it('misses and repeats nothing while many consoles come and go', async () => {
    const userId = randomUUID();
    let { cursor } = await watch(null);
    const seen: string[] = [];
    let busy = true;
    const watching = (async () => {
      for (let of = 0; busy || seen.length < 60; of += 1) {
        const page = await watch(cursor, { userId }, 2, of % 2);
        seen.push(...page.events.map(({ session, kind }) => `${session.id} ${kind}`));
        cursor = page.cursor;
      }
    })();
    const ids = (await Promise.all(Array.from({ length: 5 }, async () => {
      const mine: string[] = [];
      for (let round = 0; round < 6; round += 1) {
        const id = await open(userId);
        await house.release(PROXIES[0], id);
        mine.push(id);
      }
      return mine;
    }))).flat();
    busy = false;
    await watching;
    assert.deepEqual(seen.toSorted(), ids.flatMap((id) => [`${id} connected`, `${id} ended`]).toSorted());
  });

  it('is left by whoever gives up, and answers all who wait when it stops', async () => {
    const sessions = new SessionWatch(house.db, house.clock);
    const request = { cursor: null, waitSeconds: 30 };
    const givingUp = new AbortController();
    const left = sessions.watch(request, newContext({ signal: givingUp.signal }));
    const stays = sessions.watch(request, newContext());
    await pause(300);
    givingUp.abort();
    await assert.rejects(left, refused('CANCELLED', /gone/));
    sessions.stop();
    assert.deepEqual((await stays).events, []);
    assert.deepEqual((await sessions.watch(request, newContext())).events, [], 'who comes then goes on elsewhere');
  });

  it('refuses one watcher too many, and takes the next when one has left', async () => {
    const sessions = new SessionWatch(house.db, house.clock);
    const leaving = Array.from({ length: WATCHERS_MAX }, () => new AbortController());
    const waiting = leaving.map(({ signal }) => sessions.watch({ cursor: null, waitSeconds: 30 }, newContext({ signal })));
    const settled = Promise.allSettled(waiting);
    await assert.rejects(sessions.watch({ cursor: null, waitSeconds: 0 }, newContext()), refused('RESOURCE_EXHAUSTED', /64 watch the sessions here already/));
    await pause(500);
    for (const each of leaving) each.abort();
    assert.ok((await settled).every(({ status }) => status === 'rejected'));
    await sessions.watch({ cursor: null, waitSeconds: 0 }, newContext());
  });

  it('tells whoever comes back after more than a day that the place is forgotten, and so are the events', async () => {
    const { cursor } = await watch(null);
    const id = await open();
    await gather(cursor, {}, 1);
    const sweeps = new Sweeps(house.db, new SessionLeases(house.db, new Outages(15, house.clock, silentLogger), { write() {}, check() {} }, house.clock, 15), house.clock);
    const kept = async () => (await house.db.consoleSessionEvents.listAfter({ xact: 0n, id: 0n }, 10_000)).events.some(({ sessionId }) => sessionId === id);
    await house.clock.advance(86_400_000 - 1_000);
    await sweeps.tidy();
    assert.equal((await watch(cursor)).events.some(({ session }) => session.id === id), true);
    await house.clock.advance(2_000);
    await assert.rejects(watch(cursor), refused('INVALID_ARGUMENT', /kept for 24 hours, and it is older; list the sessions/));
    assert.equal(await kept(), true, 'a little longer than a cursor counts');
    await house.clock.advance(2 * 3_600_000);
    await sweeps.tidy();
    assert.equal(await kept(), false);
  });
});
