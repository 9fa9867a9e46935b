// Whatever happens to a session, three accounts say the same of it: its row, its events, and the audit.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import type { StoredSession } from '@gatehouse/cell-db/console-session-row';
import type { StoredSessionEvent } from '@gatehouse/cell-db/console-session-events-store';
import { newContext } from '@gatehouse/rpc/context';
import { silentLogger } from '@gatehouse/runtime/logger';
import { Outages } from './outages.ts';
import { SessionLeases } from './session-leases.ts';
import { Sweeps } from './sweeps.ts';
import { HOST, PROXIES, ports, startConsoleAuths } from './test-consoleauths.ts';
import type { ConsoleAuths } from './test-consoleauths.ts';

const STEPS = ['open', 'open serial', 'resume', 'renew', 'release', 'release of another connect', 'end', 'revoke', 'register none', 'delete', 'time', 'sweep', 'tidy'] as const;
/** Beyond it they do not agree. */
const AGREED_MS_MAX = 10_000;
type Step = (typeof STEPS)[number];

interface Known {
  readonly id: string;
  readonly uuid: string;
  readonly grant: string | null;
  proxy: string;
  claim: string;
}

describe('the accounts of console sessions on PostgreSQL', function () {
  this.timeout(170_000);
  let house: ConsoleAuths;
  let sweeps: Sweeps;
  before(async () => {
    house = await startConsoleAuths({ consoleSessionsPerUser: '0', consoleSessionsPerInstance: '0', consoleSessionsPerProxy: '0' });
    const audit = { write: (event: 'ended', facts: object) => void house.audited.push({ event, facts }), check() {} };
    const outages = new Outages(1, house.clock, silentLogger);
    sweeps = new Sweeps(house.db, new SessionLeases(house.db, outages, audit as never, house.clock, 15), house.clock);
  });
  after(() => house?.stop());

  async function step(name: Step, pick: number, uuids: string[], known: Known[]): Promise<void> {
    const session = known[pick % Math.max(known.length, 1)];
    const uuid = uuids[pick % uuids.length] ?? assert.fail('no instance');
    const proxy = PROXIES[pick % 2] ?? PROXIES[0];
    if (name === 'open' || name === 'open serial') {
      const { token } = await house.mint(ports(uuid, name === 'open' ? 'novnc' : 'serial'));
      const claim = randomUUID();
      const { session: opened, resumeGrant } = await house.connect({ token, proxy, claim });
      known.push({ id: opened.id, uuid, grant: resumeGrant, proxy, claim });
    } else if (name === 'time') await house.clock.advance(4_000);
    else if (name === 'sweep') await house.client.sweep({ host: HOST }, newContext());
    else if (name === 'tidy') await sweeps.tidy();
    else if (name === 'revoke') await house.revoke(uuid, 'instance_stopped');
    else if (name === 'register none') await house.register(uuid, []);
    else if (name === 'delete') {
      await house.db.instances.softDelete(uuid, house.clock.now());
      uuids[pick % uuids.length] = await house.makeInstance();
    } else if (session === undefined) return;
    else if (name === 'resume') {
      const claim = randomUUID();
      await house.connect({ resumeGrant: session.grant, proxy, claim });
      Object.assign(session, { proxy, claim });
    } else if (name === 'renew') await house.renew(session.proxy, session.id, session.claim, pick);
    else if (name === 'release') await house.release(session.proxy, session.id, session.claim);
    else if (name === 'release of another connect') await house.release(session.proxy, session.id, randomUUID());
    else await house.db.consoleSessionEnds.mark({ ids: [session.id] }, 'ended_by_operator', house.clock.now(), 10);
  }

  /** Transactions of other databases of the same server may hold readers of events up: what comes after them is read after all. */
  async function everyEvent(): Promise<readonly StoredSessionEvent[]> {
    const last = randomUUID();
    await house.db.consoleSessionEvents.add([{ kind: 'connected', sessionId: last, at: house.clock.now(), reason: null }]);
    for (;;) {
      const { events } = await house.db.consoleSessionEvents.listAfter({ xact: 0n, id: 0n }, 100_000);
      if (events.some(({ sessionId }) => sessionId === last)) return events;
      await pause(20);
    }
  }

  /** What the events of a session must be, from its row and how often it was resumed. */
  function expected({ startedAt, endingAt, endingReason, endedAt, endReason }: StoredSession, resumed: number): readonly string[] {
    return [
      `connected ${startedAt.toISOString()} null`,
      ...Array.from({ length: resumed }, () => 'resumed'),
      ...(endingAt === null ? [] : [`ending ${endingAt.toISOString()} ${endingReason}`]),
      ...(endedAt === null ? [] : [`ended ${endedAt.toISOString()} ${endReason}`]),
    ];
  }

  /** What the three say of a session, and what its row asks of the other two. */
  async function accountsOf(id: string): Promise<{ readonly said: readonly unknown[]; readonly asked: readonly unknown[] }> {
    const row = await house.db.consoleSessions.get(id);
    const events = (await everyEvent()).filter(({ sessionId }) => sessionId === id);
    const told = events.map(({ kind, at, reason }) => (kind === 'resumed' ? kind : `${kind} ${at.toISOString()} ${reason}`));
    const audited = house.audited.filter(({ facts }) => facts.sessionId === id).map(({ event, facts }) => (event === 'ended' ? `ended ${facts.reason} ${facts.seconds} ${facts.bytesIn}` : event));
    const resumed = audited.filter((event) => event === 'resumed').length;
    const seconds = ((row.endedAt?.getTime() ?? 0) - row.startedAt.getTime()) / 1_000;
    const ends = row.endedAt === null ? [] : [`ended ${row.endReason} ${seconds} ${row.bytesIn}`];
    return { said: [told, audited], asked: [expected(row, resumed), ['connected', ...Array.from({ length: resumed }, () => 'resumed'), ...ends]] };
  }

  /** The consoleauths end what has run out meanwhile: between its row and its line in the audit lies a moment. */
  async function assertAgreed(id: string): Promise<void> {
    for (const until = Date.now() + AGREED_MS_MAX; ; await pause(20)) {
      const { said, asked } = await accountsOf(id);
      if (isDeepStrictEqual(said, asked)) return;
      if (Date.now() > until) assert.deepEqual(said, asked);
    }
  }

  it('agree after any walk: each change of a row has its event, each end one audit line, and nothing changes after an end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.constantFrom(...STEPS), fc.nat(50)), { minLength: 10, maxLength: 40 }), async (walk) => {
        const uuids = [await house.makeInstance(), await house.makeInstance()];
        const known: Known[] = [];
        house.audited.length = 0;
        for (const [name, pick] of walk) {
          await house.report();
          // Refusals are as good as anything: they must change nothing.
          await step(name, pick, uuids, known).catch(() => {});
        }
        for (const { id } of known) await assertAgreed(id);
      }),
      { numRuns: 25, interruptAfterTimeLimit: 90_000, markInterruptAsFailure: false },
    );
  });
});
