import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { compute } from '@gatehouse/contracts/compute';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import pg from 'pg';
import { artifactPath } from '../servers/artifacts.ts';
import { startPostgresql } from '../servers/postgresql.ts';
import type { Postgresql } from '../servers/postgresql.ts';
import { startRabbitmq } from '../servers/rabbitmq.ts';
import type { Rabbitmq } from '../servers/rabbitmq.ts';
import { ComputeClient } from './compute-client.ts';
import { ConsoleTraffic } from './console-traffic.ts';
import type { Machine } from './console-traffic.ts';
import { buildBundles } from './five-processes.ts';
import { Fleet, HOSTS, SHARED_SERVICES } from './fleet.ts';
import type { Generation, Host, SharedService } from './fleet.ts';
import { RELEASED } from './released.ts';

type Changing = SharedService | 'compute-agent';

/**
 * Which service changes its generation next: a walk through all 16 mixtures of old and new that changes one service at
 * a time, from all old to all new. (It meets all new twice: no path meets all of them once and ends there.)
 */
const WALK: readonly Changing[] = [
  ...(['consoleauth', 'api', 'consoleauth', 'console-proxy', 'api', 'consoleauth', 'api'] as const),
  'compute-agent',
  ...(['consoleauth', 'api', 'consoleauth', 'console-proxy', 'consoleauth', 'api', 'consoleauth', 'console-proxy'] as const),
];
const CONSOLES_A_MIXTURE = 8;
const MACHINES_A_HOST = 2;

for (const level of Object.keys(RELEASED)) {
  describe(`an upgrade of a running fleet from level ${level}`, function () {
    this.timeout(180_000);
    // What came after a failure would say nothing.
    this.bail(true);
    const mixture = new Map<Changing, Generation>([...SHARED_SERVICES, 'compute-agent' as const].map((service) => [service, 'old']));
    const seen = new Set<string>();
    let now = 'all old, not migrated';
    let rabbitmq: Rabbitmq;
    let postgresql: Postgresql;
    let cell: pg.Pool;
    let fleet: Fleet;
    let traffic: ConsoleTraffic;

    before(async () => {
      [rabbitmq, postgresql] = await Promise.all([startRabbitmq(), startPostgresql(), buildBundles()]);
      const [apiDatabaseUrl, cellDatabaseUrl] = [await postgresql.createDatabase(), await postgresql.createDatabase()];
      cell = new pg.Pool({ connectionString: cellDatabaseUrl, max: 2 });
      fleet = await Fleet.prepare(level, { transportUrl: rabbitmq.url, apiDatabaseUrl, cellDatabaseUrl });
      await fleet.migrate('old');
      await Promise.all(SHARED_SERVICES.map((service) => fleet.start(service, 'old')));
      await Promise.all(HOSTS.map((host) => fleet.restartAgent(host, 'old')));
      const users = new ComputeClient(fleet.apiUrl);
      traffic = new ConsoleTraffic({
        compute: users,
        countOpen,
        comings: (host) => fleet.comings(host as Host),
        label: () => now,
      });
      traffic.start(await makeMachines(users));
    });

    after(async () => {
      await traffic?.stop();
      await fleet?.stop();
      if (fleet !== undefined) writeFileSync(artifactPath(`rolling-upgrade-${level}.log`), [...fleet.logs].map(([name, log]) => `=== ${name}\n${log}`).join('\n'));
      await cell?.end();
      await rabbitmq?.stop();
      await postgresql?.stop();
    });

    async function countOpen(serverId: string): Promise<number> {
      const { rows } = await cell.query<{ open: string }>('SELECT count(*) AS open FROM console_sessions WHERE instance_uuid = $1 AND ended_at IS NULL', [serverId]);
      return Number(rows[0]?.open);
    }

    async function makeMachines(users: ComputeClient): Promise<readonly Machine[]> {
      const wanted = HOSTS.flatMap((host) => Array.from({ length: MACHINES_A_HOST }, (_, index) => ({ host, name: `${host}-${index}` })));
      return Promise.all(
        wanted.map(async ({ host, name }) => {
          const id = await users.createServerOnceHostIsKnown(name, { availability_zone: `nova:${host}` });
          await users.awaitActive(id);
          return { id, host };
        }),
      );
    }

    const nameOf = () => [...mixture].map(([service, generation]) => `${service} ${generation}`).join(', ');

    async function change(service: Changing, to: Generation): Promise<void> {
      if (service === 'compute-agent') {
        for (const host of HOSTS) {
          await fleet.restartAgent(host, to);
          // The first host has the new agent while the second has the old one.
          await traffic.await(now, CONSOLES_A_MIXTURE);
        }
      } else {
        const retireOther = await fleet.start(service, to);
        await traffic.await(now, CONSOLES_A_MIXTURE);
        await retireOther();
      }
    }

    const noFailure = () => assert.deepEqual(traffic.failures, []);

    it('opens consoles on the old schema, while the databases are migrated, and afterwards', async () => {
      await traffic.await(now, CONSOLES_A_MIXTURE);
      now = 'all old, being migrated';
      await fleet.migrate('new');
      await traffic.await(now, CONSOLES_A_MIXTURE);
      now = nameOf();
      seen.add(now);
      await traffic.await(now, CONSOLES_A_MIXTURE);
      noFailure();
    });

    for (const [index, service] of WALK.entries()) {
      it(`opens consoles at step ${index + 1}, while ${service} changes and then with it changed`, async () => {
        const to = mixture.get(service) === 'old' ? 'new' : 'old';
        now = `${nameOf()}; ${service} also ${to}`;
        await change(service, to);
        mixture.set(service, to);
        now = nameOf();
        seen.add(now);
        await traffic.await(now, CONSOLES_A_MIXTURE);
        noFailure();
      });
    }

    it('opens consoles when requests speak the newest levels, as `auto` does a minute later', async () => {
      now = 'all new, at the newest levels';
      const pins = { GATEHOUSE_RPC_PIN_CONSOLEAUTH: consoleauth.version, GATEHOUSE_RPC_PIN_COMPUTE: compute.version };
      const retire = [await fleet.start('api', 'new', pins), await fleet.start('console-proxy', 'new', pins)];
      await Promise.all(retire.map((end) => end()));
      await traffic.await(now, CONSOLES_A_MIXTURE);
      noFailure();
    });

    it('goes back from there too: an old consoleauth serves requests of the newest levels', async () => {
      now = 'all new, at the newest levels; consoleauth also old';
      const retireNew = await fleet.start('consoleauth', 'old');
      await traffic.await(now, CONSOLES_A_MIXTURE);
      await retireNew();
      now = 'consoleauth old, asked at the newest levels';
      await traffic.await(now, CONSOLES_A_MIXTURE);
      noFailure();
    });

    it('has met every mixture, ended all new, and refused nobody', async () => {
      await traffic.stop();
      for (const [label, opened] of traffic.opened) console.log(`      ${String(opened).padStart(5)} consoles: ${label}`);
      console.log(`      ${traffic.triedAgain} tries met a host whose agent was being restarted, and were made again`);
      noFailure();
      assert.equal(seen.size, 16);
      assert.ok([...mixture.values()].every((generation) => generation === 'new'));
      for (const label of seen) assert.ok((traffic.opened.get(label) ?? 0) >= CONSOLES_A_MIXTURE, label);
    });

    it('has ended every session as its user left it', async () => {
      const { rows } = await cell.query<{ reason: string | null; count: string }>('SELECT end_reason AS reason, count(*) FROM console_sessions GROUP BY 1');
      const reasons = new Map(rows.map(({ reason, count }) => [reason, Number(count)]));
      const total = [...traffic.opened.values()].reduce((sum, opened) => sum + opened, 0);
      assert.equal(reasons.get('client_closed'), total, JSON.stringify(rows));
    });

    it('has logged no error', () => {
      const errors = [...fleet.logs].flatMap(([name, log]) => log.split('\n').filter((line) => /"level":(?:50|60|"(?:error|fatal)")/.test(line)).map((line) => `${name}: ${line}`));
      assert.deepEqual(errors.slice(0, 10), []);
    });
  });
}
