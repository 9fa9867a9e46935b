import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { newContext } from '@gatehouse/rpc/context';
import { PROXIES, ports, refused, startConsoleAuths } from './test-consoleauths.ts';
import type { ConsoleAuths } from './test-consoleauths.ts';

describe('console sessions on PostgreSQL', function () {
  this.timeout(120_000);
  let house: ConsoleAuths;
  before(async () => (house = await startConsoleAuths()));
  after(() => house?.stop());
  beforeEach(() => house.report());

  const ask = () => newContext();

  async function open(values: { readonly userId?: string; readonly proxy?: string; readonly uuid?: string; readonly consoleType?: 'novnc' | 'serial' } = {}): Promise<string> {
    const { userId = 'alice', proxy, consoleType = 'novnc' } = values;
    const uuid = values.uuid ?? (await house.makeInstance());
    const { token } = await house.mint(ports(uuid, consoleType), userId);
    return (await house.connect({ token, ...(proxy === undefined ? {} : { proxy }) })).session.id;
  }

  /** Waits until a proxy was told to end these, and confirms. */
  async function confirm(ids: readonly string[], proxy: string = PROXIES[0]): Promise<void> {
    const isTold = (id: string): boolean => house.told.some(({ reasons }) => reasons[id] !== undefined);
    while (!ids.every(isTold)) await pause(5);
    for (const id of ids) await house.release(proxy, id);
  }

  const list = (args: Partial<Parameters<typeof house.client.listSessions>[0]> = {}) => house.client.listSessions({ state: 'open', limit: 500, ...args }, ask());

  describe('in a list', () => {
    it('are refused behind a marker that is not known, or not to this viewer', async () => {
      const userId = randomUUID();
      const id = await open({ userId });
      await assert.rejects(list({ marker: randomUUID() }), refused('INVALID_ARGUMENT', /marker: there is no console session .*begin again without a marker/));
      await assert.rejects(list({ marker: id, viewerUserId: 'mallory' }), refused('INVALID_ARGUMENT', /marker/));
    });

    it('stand newest first, page by page, none twice and none left out, also those that began at one moment', async () => {
      const userId = randomUUID();
      const ids: string[] = [];
      for (let index = 0; index < 7; index += 1) {
        if (index % 3 === 0) await house.clock.advance(1);
        ids.push(await open({ userId }));
      }
      const seen: string[] = [];
      for (let marker: string | undefined; ;) {
        const page = await list({ userId, limit: 2, ...(marker === undefined ? {} : { marker }) });
        assert.ok(page.length <= 2);
        seen.push(...page.map(({ id }) => id));
        // Who comes meanwhile is newer, and in nobody's way; who ends leaves no gap.
        if (marker === undefined) await open({ userId });
        marker = page.at(-1)?.id;
        if (marker === undefined) break;
      }
      assert.deepEqual(seen.toSorted(), ids.toSorted());
      const all = await list({ userId });
      const times = all.map(({ startedAt }) => startedAt.getTime());
      assert.deepEqual(times, times.toSorted((a, b) => b - a));
    });

    it('are those that match every word, in the state that is asked for', async () => {
      const [userId, uuid] = [randomUUID(), await house.makeInstance()];
      const [vnc, serial] = [await open({ userId, uuid }), await open({ userId, uuid, consoleType: 'serial', proxy: PROXIES[1] })];
      const ids = async (args: Parameters<typeof list>[0]) => (await list(args)).map(({ id }) => id).toSorted();
      assert.deepEqual(await ids({ userId }), [vnc, serial].toSorted());
      assert.deepEqual(await ids({ userId, consoleType: 'serial' }), [serial]);
      assert.deepEqual(await ids({ userId, proxy: PROXIES[0] }), [vnc]);
      assert.deepEqual(await ids({ userId, instanceUuid: uuid, projectId: 'blue', host: 'compute-1' }), [vnc, serial].toSorted());
      assert.deepEqual(await ids({ userId, host: 'compute-2' }), []);
      await house.release(PROXIES[0], vnc);
      assert.deepEqual([await ids({ userId }), await ids({ userId, state: 'ended' }), await ids({ userId, state: 'all' })], [[serial], [vnc], [vnc, serial].toSorted()]);
    });

    it('are those of the viewer, and those on instances of the viewer\'s project whoever opened them', async () => {
      const uuid = await house.makeInstance();
      const [alices, admins] = [await open({ uuid }), await open({ uuid, userId: 'admin' })];
      const seen = async (viewer: { viewerUserId?: string; viewerProjectId?: string }) => (await list({ instanceUuid: uuid, ...viewer })).map(({ id }) => id).toSorted();
      assert.deepEqual(await seen({ viewerUserId: 'alice', viewerProjectId: 'red' }), [alices]);
      assert.deepEqual(await seen({ viewerUserId: 'bob', viewerProjectId: 'blue' }), [alices, admins].toSorted());
      assert.deepEqual(await seen({ viewerUserId: 'bob', viewerProjectId: 'red' }), []);
      const show = (viewer: { viewerUserId?: string }) => house.client.showSession({ sessionId: alices, ...viewer }, ask());
      assert.equal((await show({ viewerUserId: 'alice' })).id, alices);
      await assert.rejects(show({ viewerUserId: 'bob' }), refused('NOT_FOUND', /no console session/));
    });
  });

  describe('when they are to end', () => {
    const end = (args: Parameters<typeof house.client.endSessions>[0]) => house.client.endSessions(args, ask());
    const reason = 'ended_by_operator';

    it('are not ended when nothing says which, or by a viewer who does not see them', async () => {
      await assert.rejects(end({ reason }), refused('INVALID_ARGUMENT', /say which sessions are to end/));
      await assert.rejects(end({ reason, viewerUserId: 'alice', viewerProjectId: 'blue' }), refused('INVALID_ARGUMENT', /say which/));
      const id = await open();
      await assert.rejects(end({ reason, sessionId: randomUUID() }), refused('NOT_FOUND', /no console session/));
      await assert.rejects(end({ reason, sessionId: id, viewerUserId: 'mallory', viewerProjectId: 'red' }), refused('NOT_FOUND', /no console session/));
      assert.equal((await house.client.showSession({ sessionId: id }, ask())).endingAt, null);
    });

    it('have ended when their proxy has confirmed it, and the reason is the one that was given', async () => {
      const id = await open();
      const ending = end({ sessionId: id, reason: 'maintenance' });
      await confirm([id]);
      const [session] = await ending;
      assert.deepEqual([session?.id, session?.endReason, session?.endedAt === null], [id, 'maintenance', false]);
      assert.deepEqual(house.told.at(-1)?.reasons, { [id]: 'maintenance' });
      // Asked again it is answered as it is.
      assert.deepEqual((await end({ sessionId: id, reason })).map(({ endReason }) => endReason), ['maintenance']);
      assert.deepEqual(await end({ userId: randomUUID(), reason }), []);
    });

    it('are answered as still ending after some seconds when their proxy does not confirm, and end with their lease', async () => {
      const id = await open();
      const started = performance.now();
      const [session] = await end({ sessionId: id, reason });
      assert.ok(performance.now() - started < 10_000);
      assert.deepEqual([session?.endedAt, session?.endingReason], [null, reason]);
      // The first reason stays, and a proxy that goes on renewing does not keep it alive.
      await house.clock.advance(8_000);
      assert.deepEqual(await house.renew(PROXIES[0], id), { [id]: reason });
      await house.clock.advance(8_000);
      await house.report();
      while ((await house.client.showSession({ sessionId: id }, ask())).endedAt === null) await house.clock.advance(1_000);
      assert.equal((await house.client.showSession({ sessionId: id }, ask())).endReason, reason);
    });

    it('are not waited for when their proxy is not there', async () => {
      const id = await open({ proxy: 'proxy-gone' });
      const started = performance.now();
      const [session] = await end({ proxy: 'proxy-gone', reason });
      assert.deepEqual([session?.id, session?.endedAt], [id, null]);
      assert.ok(performance.now() - started < 8_000);
    });

    it('end by instance, user, project and proxy, and nobody else\'s with them', async () => {
      const [uuid, other] = [await house.makeInstance(), await house.makeInstance()];
      const userId = randomUUID();
      for (const [filter, ids] of [
        [{ instanceUuid: uuid }, [await open({ uuid }), await open({ uuid, userId: 'bob' })]],
        [{ userId }, [await open({ userId }), await open({ userId })]],
        [{ proxy: PROXIES[1], instanceUuid: other }, [await open({ uuid: other, proxy: PROXIES[1] })]],
      ] as const) {
        const bystander = await open();
        const ending = end({ ...filter, reason });
        await confirm(ids, 'proxy' in filter ? filter.proxy : PROXIES[0]);
        assert.deepEqual((await ending).map(({ id, endReason }) => [id, endReason]).toSorted(), ids.map((id) => [id, reason]).toSorted());
        assert.equal((await house.client.showSession({ sessionId: bystander }, ask())).endingAt, null);
      }
    });

    it('end by the thousand, in batches, each told once in a message of bounded size', async () => {
      const [projectId, uuid] = [randomUUID(), await house.makeInstance()];
      const count = 2_300;
      const now = house.clock.now();
      const make = async (): Promise<string> => {
        const id = randomUUID();
        await house.db.consoleSessionClaims.open({
          ...{ id, claim: id, connectionId: null, exclusive: false, instanceUuid: uuid, host: 'compute-1', port: 0, consoleType: 'novnc', proxy: PROXIES[0] },
          ...{ clientAddress: '192.0.2.1', userId: 'alice', projectId, access: 'full', attachSecretHash: null, resumeHash: null },
          ...{ startedAt: now, leaseExpires: new Date(now.getTime() + 60_000) },
        });
        return id;
      };
      const ids: string[] = [];
      while (ids.length < count) ids.push(...(await Promise.all(Array.from({ length: Math.min(20, count - ids.length) }, make))));
      house.told.length = 0;
      const answered = await end({ projectId, reason });
      assert.equal(answered.length, 1_000);
      const messages = house.told.map(({ reasons }) => Object.keys(reasons));
      assert.ok(messages.every((message) => message.length <= 1_000));
      assert.deepEqual(messages.flat().toSorted(), ids.toSorted());
      assert.equal((await house.db.consoleSessions.listOpen({ projectId })).every(({ endingReason }) => endingReason === reason), true);
    });
  });
});
