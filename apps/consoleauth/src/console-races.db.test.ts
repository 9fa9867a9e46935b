/**
 * Whatever happens to a machine's consoles in whatever order, some of it at the same moment and at two consoleauths, some
 * things always hold. fast-check makes the histories up and shrinks one that breaks a rule.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { StoredSession } from '@gatehouse/cell-db/console-session-row';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';
import { newContext } from '@gatehouse/rpc/context';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { consoleParts } from './test-console-parts.ts';
import type { ConsoleParts } from './test-console-parts.ts';
import { HOST, ports } from './test-consoleauths.ts';

const PORTS = 2;
const USERS = ['alice', 'bob', 'carol'];
const RUNS = 40;
const ROUNDS_MAX = 5;
/** What a race may end with; anything else is a fault. */
const REFUSALS = ['UNAUTHENTICATED', 'PORT_IN_USE', 'NO_PORT_FREE'];
/** Once a machine is being deleted. */
const REFUSALS_OF_DELETED = [...REFUSALS, 'NOT_FOUND'];

const act = fc.record({
  what: fc.constantFrom('mint', 'mint', 'mint', 'connect', 'connect', 'connect', 'connect', 'resume', 'resume', 'resume', 'renew', 'release', 'end', 'revoke', 'register', 'sweep' as 'sweep' | 'delete'),
  /** Which user, token, grant or number of ports; which consoleauth; and how long it dawdles, ms. */
  which: fc.nat(60),
  of: fc.nat(1),
  delay: fc.nat(4),
});
type Act = typeof act extends fc.Arbitrary<infer A> ? A : never;
/** Acts of the same moment, and the seconds that pass after it. */
const moment = fc.record({ acts: fc.array(act, { minLength: 1, maxLength: 5 }), seconds: fc.constantFrom(0, 0, 0, 0, 1, 7, 16, 31, 601) });
/** `deletedAt`: the moment in which the machine is deleted, if it comes to that. */
const story = fc.record({ moments: fc.array(moment, { minLength: 6, maxLength: 14, size: 'max' }), singleUse: fc.constantFrom(false, false, true), deletedAt: fc.constantFrom(null, null, null, 5, 7, 9) });

interface Issued {
  readonly token: string;
  readonly port: number;
  readonly expires: number;
  isVoid: boolean;
  opened: number;
}

interface Claimed {
  readonly grant: ConsoleGrant;
  readonly claim: string;
  readonly proxy: string;
  readonly resumeGrant: string;
}

/** One machine and everything that was handed out for it. */
class History {
  readonly #parts: readonly ConsoleParts[];
  readonly #clock: TestClock;
  readonly uuid: string;
  readonly #singleUse: boolean;
  isDeleted = false;
  readonly issued: Issued[] = [];
  readonly claimed: Claimed[] = [];
  readonly #ended = new Map<string, string>();
  /** Sessions that were over, or were to be, before this moment. */
  #over: ReadonlySet<string> = new Set();
  /** Those whose lease had run out, unless their proxy renews it in this moment. */
  #runOut: ReadonlySet<string> = new Set();

  constructor(parts: readonly ConsoleParts[], clock: TestClock, uuid: string, singleUse: boolean) {
    this.#parts = parts;
    this.#clock = clock;
    this.uuid = uuid;
    this.#singleUse = singleUse;
  }

  async play(acts: readonly Act[]): Promise<void> {
    const [issued, claimed] = [[...this.issued], [...this.claimed]];
    // What is void from now on, whatever of it opens meanwhile.
    const voids: (() => void)[] = [];
    if (acts.some(({ what }) => what === 'delete')) this.isDeleted = true;
    if (acts.some(({ what }) => what === 'renew')) this.#runOut = new Set();
    await Promise.all(acts.map(async (each) => {
      await sleep(each.delay);
      try {
        await this.#do(each, issued, claimed, voids);
      } catch (error) {
        if (!(error instanceof ServiceError) || !(this.isDeleted ? REFUSALS_OF_DELETED : REFUSALS).includes(error.code)) throw new Error(`${each.what} failed`, { cause: error });
      }
    }));
    for (const makeVoid of voids) makeVoid();
    await this.check();
  }

  async #do({ what, which, of }: Act, issued: readonly Issued[], claimed: readonly Claimed[], voids: (() => void)[]): Promise<void> {
    const { auth, admission, leases, registered, db } = this.#parts[of] ?? assert.fail();
    const proxy = `proxy-${which % 2}`;
    const token = issued[which % Math.max(issued.length, 1)];
    const claim = claimed[which % Math.max(claimed.length, 1)];
    const sessionId = claim?.grant.session.id ?? '';
    const context = newContext({ userId: USERS[which % USERS.length] ?? '' });
    const before = (keep: (each: Issued) => boolean) => () => issued.filter(keep).forEach((each) => (each.isVoid = true));
    if (what === 'mint') {
      const { accessUrl, port, expires } = await auth.authorize({ connections: ports(this.uuid, 'serial', PORTS), access: 'full' }, context);
      this.issued.push({ token: accessUrl?.split('token=')[1] ?? '', port, expires: Number(expires), isVoid: false, opened: 0 });
    } else if (what === 'revoke') {
      await auth.revokeInstance(this.uuid, 'instance_stopped');
      voids.push(before(() => true));
    } else if (what === 'delete') {
      await db.transaction((stores) => stores.instances.softDelete(this.uuid, this.#clock.now()));
      await auth.revokeInstance(this.uuid, 'instance_deleted');
      voids.push(before(() => true));
    } else if (what === 'register') {
      const count = which % (PORTS + 1);
      await registered.register({ host: HOST, instanceUuid: this.uuid, connections: ports(this.uuid, 'serial', count) }, context);
      voids.push(before(({ port }) => port >= count));
    } else if (what === 'sweep') {
      await leases.endRunOut(10);
    } else if (what === 'connect' && token !== undefined) {
      const id = randomUUID();
      const grant = await admission.connect({ sessionId: id, token: token.token, proxy, clientAddress: '192.0.2.7' }, context);
      assert.equal(token.isVoid || token.expires <= this.#clock.now().getTime(), false, 'a token opened its console after it was revoked or had expired');
      token.opened += 1;
      assert.ok(!this.#singleUse || token.opened === 1, 'a token of single use opened its console twice');
      this.claimed.push({ grant, claim: id, proxy, resumeGrant: grant.resumeGrant ?? assert.fail() });
    } else if (what === 'resume' && claim !== undefined) {
      const id = randomUUID();
      const grant = await admission.connect({ sessionId: id, token: 'none', resumeGrant: claim.resumeGrant, proxy, clientAddress: '192.0.2.8' }, context);
      assert.equal(grant.session.id, sessionId);
      assert.equal(this.#over.has(sessionId) || this.#runOut.has(sessionId), false, 'a grant opened its session after that was over');
      this.claimed.push({ ...claim, grant, claim: id, proxy });
    } else if (what === 'renew' && claim !== undefined) {
      await leases.renew(claim.proxy, [{ id: sessionId, bytesIn: which, bytesOut: which, claim: claim.claim }]);
    } else if (what === 'release' && claim !== undefined) {
      await leases.release(claim.proxy, { id: sessionId, bytesIn: 1, bytesOut: 1, claim: claim.claim }, 'client_closed');
    } else if (what === 'end') {
      await db.consoleSessionEnds.mark({ ids: [sessionId || randomUUID()] }, 'ended_by_operator', this.#clock.now(), 1);
    }
  }

  async check(): Promise<void> {
    const { db, leases } = this.#parts[0] ?? assert.fail();
    const sessions = await db.consoleSessions.list({ instanceUuid: this.uuid }, { state: 'all', limit: 500 });
    const connections = new Set((await db.consoleConnections.listByInstance(this.uuid)).map(({ id }) => id));
    const known = new Map(sessions.map((session) => [session.id, session]));
    const open = sessions.filter(({ endedAt }) => endedAt === null);
    assert.equal(new Set(open.map(({ connectionId }) => connectionId)).size, open.length, 'a port has two open sessions');
    for (const { grant } of this.claimed) assert.ok(known.has(grant.session.id), 'a client was let in without a session');
    for (const { connectionId, endingAt } of open) {
      assert.ok(endingAt !== null || connections.has(connectionId ?? -1), 'a session goes on after its console was revoked');
    }
    for (const session of sessions) this.#checkEnd(session);
    const now = this.#clock.now();
    this.#over = new Set(sessions.filter(({ endedAt, endingAt }) => endedAt !== null || endingAt !== null).map(({ id }) => id));
    this.#runOut = new Set(open.filter((session) => leases.hasRunOut(session, now)).map(({ id }) => id));
  }

  #checkEnd({ id, endedAt, endReason }: StoredSession): void {
    const end = JSON.stringify([endedAt, endReason]);
    assert.equal(end, this.#ended.get(id) ?? end, 'a session that had ended changed');
    if (endedAt !== null) this.#ended.set(id, end);
  }

  /** Whoever still has an attach secret shows it: at most one writer a port gets in, and by the newest claim only. */
  async checkWriters(): Promise<void> {
    const { db, admission } = this.#parts[0] ?? assert.fail();
    const writers: number[] = [];
    for (const { grant, claim } of this.claimed) {
      const opened = await admission.attach(grant.session.id, grant.attachSecret ?? '', HOST).catch(() => null);
      if (opened === null) continue;
      const session = await db.consoleSessions.get(grant.session.id);
      assert.deepEqual([session.claim, session.endedAt, session.endingAt], [claim, null, null]);
      writers.push(opened.port);
    }
    assert.equal(new Set(writers).size, writers.length, 'a port has two writers');
  }

  /** When everybody has gone, every port is promised again, to as many users. */
  async checkAllFree(): Promise<void> {
    const { auth, leases } = this.#parts[0] ?? assert.fail();
    await leases.endRunOut(10_000);
    const again = await Promise.all(Array.from({ length: PORTS }, (_, n) =>
      auth.authorize({ connections: ports(this.uuid, 'serial', PORTS), access: 'full' }, newContext({ userId: `later-${n}` }))));
    assert.deepEqual(again.map(({ port }) => port).sort(), [0, 1]);
  }
}

describe('consoles under races', function () {
  this.timeout(240_000);
  let postgresql: Postgresql;
  let dbs: CellDb[];
  let parts: ConsoleParts[];
  /** The same two consoleauths, where tokens open their consoles once. */
  let strict: ConsoleParts[];
  const clock = new TestClock(new Date('2026-07-01T12:00:00Z'));

  before(async () => {
    postgresql = await startPostgresql();
    const url = await postgresql.createDatabase();
    dbs = [await openCellDb({ url }), await openCellDb({ url })];
    await dbs[0]?.migrate();
    parts = dbs.map((db) => consoleParts(db, clock));
    strict = dbs.map((db) => consoleParts(db, clock, { consoleTokenSingleUse: 'true' }));
    await pass(16);
  });
  after(async () => {
    await Promise.all((dbs ?? []).map((db) => db.close()));
    await postgresql?.stop();
  });

  /** Time goes on while everybody lives: agents report, and leases could have been renewed. */
  async function pass(seconds: number): Promise<void> {
    for (let gone = 0; gone < seconds; gone += 2) {
      await clock.advance(Math.min(2, seconds - gone) * 1_000);
      for (const { outages } of [...parts, ...strict]) await outages.look(async () => {});
    }
    await dbs[0]?.services.report({ binary: 'compute-agent', host: HOST, topic: 'compute', version: '1.1', endpoint: '127.0.0.1:5901', lastSeenAt: clock.now() });
  }

  async function makeInstance(): Promise<string> {
    const uuid = randomUUID();
    await dbs[0]?.instances.create({
      ...{ uuid, projectId: 'blue', userId: 'alice', displayName: 'web-1', hostname: 'web-1', host: HOST, vmState: 'active', taskState: null },
      ...{ keyName: null, keyData: null, userData: null, metadata: {}, createdAt: clock.now() },
    });
    return uuid;
  }

  it('have one writer a port, open nothing that was revoked or has expired, and leave no session without its row', async () => {
    const seen = { claims: 0, resumed: 0 };
    const histories = fc.asyncProperty(story, async ({ moments, singleUse, deletedAt }) => {
      const history = new History(singleUse ? strict : parts, clock, await makeInstance(), singleUse);
      for (const [index, { acts, seconds }] of moments.entries()) {
        await history.play(index === deletedAt ? [...acts, { what: 'delete', which: 0, of: index % 2, delay: index % 5 }] : acts);
        if (seconds > 0) await pass(seconds);
        await history.check();
      }
      await history.checkWriters();
      await pass(31);
      if (!history.isDeleted) await history.checkAllFree();
      seen.claims += history.claimed.length;
      seen.resumed += history.claimed.filter(({ grant, claim }) => grant.session.id !== claim).length;
    });
    // By chance some histories are too dull to say anything: then more are made up.
    const isDull = (): boolean => seen.claims < RUNS || seen.resumed < 3;
    for (let round = 0; round === 0 || (isDull() && round < ROUNDS_MAX); round += 1) await fc.assert(histories, { numRuns: RUNS });
    assert.equal(isDull(), false, JSON.stringify(seen));
  });
});
