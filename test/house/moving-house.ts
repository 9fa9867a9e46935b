/**
 * A deployment in the middle of the move: an api that reads two cells' legacy key pairs, a metadata service for each of the
 * cells, and the command beside them, over databases that were never migrated.
 */
import { cpSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { freePort } from '../servers/free-port.ts';
import type { Postgresql } from '../servers/postgresql.ts';
import { makeTempFolder, removeTempFolder, runCommand } from '../servers/server-process.ts';
import { bundleOf, FiveProcesses } from './five-processes.ts';
import { GuestTraffic, METADATA_CACHE_SECONDS } from './guest-traffic.ts';
import { KEY_PAIRS_MAX, KeyPairTraffic } from './key-pair-traffic.ts';
import { fillLegacyDeployment } from './legacy-cells.ts';
import type { LegacyDeployment } from './legacy-cells.ts';
import type { LegacySize } from './legacy-plan.ts';
import type { MoveSources } from './move-command.ts';
import type { TrafficRecord } from './traffic-record.ts';

const SECRET = 'a-secret-of-the-move';
/** A host to which servers are given; nobody answers there, and their guests are never made. */
export const HOST = 'compute-of-the-move';

export interface MovingHouse {
  readonly deployment: LegacyDeployment;
  readonly command: MoveSources;
  /** Starts api and metadata services, and resolves when they are ready. */
  serve(transportUrl: string): Promise<ServingHouse>;
  stop(): Promise<void>;
}

export interface ServingHouse {
  readonly apiUrl: string;
  /** One a cell. */
  readonly metadataUrls: readonly [string, string];
  trafficOf(record: TrafficRecord): Promise<{ readonly users: KeyPairTraffic; readonly guests: GuestTraffic }>;
  /** Everything that they logged. */
  logs(): string;
}

/** Makes and fills the databases; the bundles must be there. */
export async function startMovingHouse(postgresql: Postgresql, size: LegacySize): Promise<MovingHouse> {
  const folder = makeTempFolder('moving');
  // The command is started many times, and must stay the same if somebody builds meanwhile.
  cpSync(dirname(bundleOf('cli')), join(folder, 'cli'), { recursive: true });
  const [api, first, second] = [await postgresql.createDatabase(), await postgresql.createDatabase(), await postgresql.createDatabase()];
  for (const cell of [first, second]) {
    await runCommand(process.execPath, [bundleOf('migrate')], { env: { GATEHOUSE_API_DATABASE_URL: api, GATEHOUSE_CELL_DATABASE_URL: cell } });
  }
  const deployment = await fillLegacyDeployment({ api, cells: [first, second] }, size);
  const ends: (() => Promise<void>)[] = [];
  return {
    deployment,
    command: { entry: join(folder, 'cli', 'main.js'), apiDatabaseUrl: api, cellDatabaseUrls: [first, second] },
    async serve(transportUrl) {
      const processes = await FiveProcesses.prepare(
        { transportUrl, apiDatabaseUrl: api, cellDatabaseUrl: first },
        {
          GATEHOUSE_LEGACY_CELL_DATABASE_URLS: second,
          GATEHOUSE_KEY_PAIRS_MAX: String(KEY_PAIRS_MAX),
          GATEHOUSE_METADATA_SECRETS: SECRET,
          GATEHOUSE_METADATA_CACHE_TTL: String(METADATA_CACHE_SECONDS),
        },
      );
      ends.push(() => processes.stopAll());
      await deployment.cells[0].query(`INSERT INTO services ("binary", host, topic, version, last_seen_at) VALUES ('compute-agent', $1, 'compute', '1.0', now() + interval '1 day')`, [HOST]);
      await processes.start('api');
      await processes.start('metadata');
      // Asked for last: the others have theirs.
      const metadataPort = await freePort();
      await processes.startBeside('metadata-2', 'metadata', { GATEHOUSE_CELL_DATABASE_URL: second, GATEHOUSE_METADATA_PORT: String(metadataPort) });
      await processes.awaitReady(['api', 'metadata', 'metadata-2']);
      const metadataUrls = [processes.metadataUrl, `http://127.0.0.1:${metadataPort}`] as const;
      return {
        apiUrl: processes.apiUrl,
        metadataUrls,
        async trafficOf(record) {
          const users = await KeyPairTraffic.of(processes.apiUrl, deployment.api, record);
          const cells = deployment.cells.map((database, index) => ({ database, metadataUrl: metadataUrls[index] ?? '' }));
          const guests = await GuestTraffic.of(cells, SECRET, record);
          ends.unshift(async () => {
            users.close();
            guests.close();
          });
          return { users, guests };
        },
        logs: () => processes.logs,
      };
    },
    async stop() {
      for (const end of ends) await end();
      await deployment.close();
      removeTempFolder(folder);
    },
  };
}
