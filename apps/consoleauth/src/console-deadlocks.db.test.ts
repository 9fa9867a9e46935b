/** Everything that writes consoles runs against everything else for some seconds; nobody may stand in another's way for good. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { ServiceError } from '@gatehouse/errors/service-error';
import { newContext } from '@gatehouse/rpc/context';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { consoleParts } from './test-console-parts.ts';
import type { ConsoleParts } from './test-console-parts.ts';
import { HOST, ports } from './test-consoleauths.ts';

const RUN_MS = 6_000;
const PORTS = 3;
const PROXY = 'proxy-1';
/** Or nothing would ever live long enough to be in anybody's way. */
const PAUSES_MS: Readonly<Record<string, number>> = { register: 500, softDelete: 1_500, release: 100, renew: 20, attach: 5, sweep: 100 };
/** How many machines there are, how often they are revoked, how new the links are that are opened, and what nobody gets to do. */
const SCENES: Readonly<Record<string, { readonly machines: number; readonly revokeEveryMs: number; readonly links: number; readonly inVain: readonly string[] }>> = {
  'machines whose consoles live for a while': { machines: 3, revokeEveryMs: 900, links: 4, inVain: [] },
  'one machine that is revoked while its newest link is opened': { machines: 1, revokeEveryMs: 15, links: 1, inVain: ['connect', 'resume'] },
};
/** What these may be told. A database that gave up on a deadlock says UNAVAILABLE, which is not among them. */
const REFUSALS = ['UNAUTHENTICATED', 'NOT_FOUND', 'PORT_IN_USE', 'NO_PORT_FREE', 'RESOURCE_EXHAUSTED', 'UNAVAILABLE'];

describe('consoles on PostgreSQL', function () {
  this.timeout(120_000);
  let postgresql: Postgresql;
  let url: string;
  let dbs: CellDb[];
  let parts: ConsoleParts[];
  const clock = new TestClock(new Date('2026-07-01T12:00:00Z'));

  before(async () => {
    postgresql = await startPostgresql();
    url = await postgresql.createDatabase();
    dbs = [await openCellDb({ url }), await openCellDb({ url })];
    await dbs[0]?.migrate();
    const caps = { consoleSessionsPerUser: '6', consoleSessionsPerInstance: '6', consoleSessionsPerProxy: '8' };
    parts = dbs.map((db) => consoleParts(db, clock, caps));
    await dbs[0]?.services.report({ binary: 'compute-agent', host: HOST, topic: 'compute', version: '1.1', endpoint: '127.0.0.1:5901', lastSeenAt: clock.now() });
  });
  after(async () => {
    await Promise.all((dbs ?? []).map((db) => db.close()));
    await postgresql?.stop();
  });

  async function makeInstance(): Promise<string> {
    const uuid = randomUUID();
    await dbs[0]?.instances.create({
      ...{ uuid, projectId: 'blue', userId: 'alice', displayName: 'web-1', hostname: 'web-1', host: HOST, vmState: 'active', taskState: null },
      ...{ keyName: null, keyData: null, userData: null, metadata: {}, createdAt: clock.now() },
    });
    return uuid;
  }

  for (const [what, scene] of Object.entries(SCENES)) {
    it(`are all done, whatever is done at the same moment: ${what}`, () => play(scene));
  }

  it('never waited for each other in a ring', async () => {
    // PostgreSQL counts the rings that it had to break, those that a second try made good too.
    assert.equal(await deadlocks(), 0);
  });

  async function play({ machines, revokeEveryMs, links: newest, inVain }: (typeof SCENES)[string]): Promise<void> {
    const instances = await Promise.all(Array.from({ length: machines }, makeInstance));
    const links: string[] = [];
    const claims: { readonly id: string; readonly claim: string; readonly resumeGrant: string | null; readonly attachSecret: string }[] = [];
    const any = <T>(list: readonly T[]): T | undefined => list[Math.floor(Math.random() * list.length)];
    const context = () => newContext({ userId: any(['alice', 'bob', 'carol', 'dave']) ?? '' });
    const connect = async ({ admission }: ConsoleParts, token: string, resumeGrant?: string | null) => {
      const claim = randomUUID();
      const request = { sessionId: claim, token, proxy: PROXY, clientAddress: '192.0.2.7' };
      const grant = await admission.connect({ ...request, ...(resumeGrant == null ? {} : { resumeGrant }) }, context());
      claims.push({ id: grant.session.id, claim, resumeGrant: grant.resumeGrant ?? resumeGrant ?? null, attachSecret: grant.attachSecret ?? '' });
    };
    const manyClaims = () => {
      const some = Array.from({ length: 6 }, () => any(claims.slice(-20))).flatMap((each) => each ?? []);
      return [...new Map(some.map((each) => [each.id, each])).values()];
    };
    const works: Readonly<Record<string, (parts: ConsoleParts) => Promise<unknown>>> = {
      async authorize({ auth }) {
        const uuid = any(instances) ?? '';
        const shared = Math.random() < 0.3;
        const { accessUrl } = await auth.authorize({ connections: ports(uuid, shared ? 'novnc' : 'serial', shared ? 1 : PORTS), access: 'full' }, context());
        links.push(accessUrl?.split('token=')[1] ?? '');
      },
      connect: (each) => connect(each, any(links.slice(-newest)) ?? 'none'),
      resume: (each) => connect(each, any(links.slice(-9)) ?? 'none', any(claims.slice(-9))?.resumeGrant),
      async renew({ leases }) {
        await leases.renew(PROXY, manyClaims().map(({ id, claim }) => ({ id, claim, bytesIn: 1, bytesOut: 1 })));
      },
      async attach({ admission }) {
        const shown = manyClaims();
        await admission.attachAll({ host: HOST, sessionIds: shown.map(({ id }) => id), attachSecrets: shown.map(({ attachSecret }) => attachSecret) });
      },
      async release({ leases }) {
        const each = any(claims.slice(-9));
        if (each !== undefined) await leases.release(PROXY, { ...each, bytesIn: 1, bytesOut: 1 }, 'client_closed');
      },
      revoke: ({ auth }) => auth.revokeInstance(any(instances) ?? '', 'instance_stopped'),
      register({ registered }) {
        const instanceUuid = any(instances) ?? '';
        const count = 1 + Math.floor(Math.random() * PORTS);
        return registered.register({ host: HOST, instanceUuid, connections: [...ports(instanceUuid, 'serial', count), ...ports(instanceUuid, 'novnc')] }, context());
      },
      async softDelete({ db }) {
        const index = Math.floor(Math.random() * machines);
        const gone = instances[index] ?? '';
        instances[index] = await makeInstance();
        await db.transaction((stores) => stores.instances.softDelete(gone, clock.now()));
      },
      async sweep({ db, leases }) {
        await db.consoleTokens.deleteExpired(new Date(clock.now().getTime() + 700_000), 5);
        await leases.endRunOut(20);
        await db.consoleSessionEnds.markOfDeleted('instance_deleted', clock.now(), 20);
      },
    };

    const done = new Map<string, number>();
    const refusals = new Map<string, number>();
    const faults: string[] = [];
    const until = performance.now() + RUN_MS;
    const missing = () => Object.keys(works).filter((name) => !done.has(name) && !inVain.includes(name));
    async function repeat(name: string, work: (parts: ConsoleParts) => Promise<unknown>, on: ConsoleParts): Promise<void> {
      // A slow machine gets longer, until everything was in everything's way at least once.
      const mayGoOn = () => performance.now() < until || (missing().length > 0 && performance.now() < until + 8 * RUN_MS);
      while (faults.length === 0 && mayGoOn()) {
        try {
          await work(on);
          done.set(name, (done.get(name) ?? 0) + 1);
        } catch (error) {
          if (!(error instanceof ServiceError) || !REFUSALS.includes(error.code)) faults.push(`${name}: ${String(error)}`);
          else refusals.set(`${name} ${error.code}`, (refusals.get(`${name} ${error.code}`) ?? 0) + 1);
        }
        await sleep(name === 'revoke' ? revokeEveryMs : (PAUSES_MS[name] ?? 0));
      }
    }
    await Promise.all(parts.flatMap((on) => Object.entries(works).map(([name, work]) => repeat(name, work, on))));
    assert.deepEqual(faults, []);
    assert.deepEqual(missing(), [], `never done: ${JSON.stringify([...done, ...refusals])}`);
  }

  async function deadlocks(): Promise<number> {
    // Sessions tell the counters what they saw now and then, and when they close.
    await Promise.all(dbs.map((db) => db.close()));
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      const { rows } = await client.query<{ readonly deadlocks: string }>('SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()');
      return Number(rows[0]?.deadlocks);
    } finally {
      await client.end();
    }
  }
});
