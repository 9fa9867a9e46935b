/** The house for the tests of faults: five services over a broker and a database of their own, a second agent, consoleauth and proxy, and a crowd. */
import pg from 'pg';
import { freePort } from '../servers/free-port.ts';
import { startOwnPostgresql } from '../servers/postgresql.ts';
import type { OwnPostgresql } from '../servers/postgresql.ts';
import { startOwnRabbitmq } from '../servers/rabbitmq.ts';
import type { OwnRabbitmq } from '../servers/rabbitmq.ts';
import { runCommand } from '../servers/server-process.ts';
import { ComputeClient } from './compute-client.ts';
import { ConsoleCrowd } from './console-crowd.ts';
import { buildBundles, bundleOf, FiveProcesses } from './five-processes.ts';
import type { ServiceName } from './five-processes.ts';

/** label -> service: what runs. `compute-agent` is the host compute-1. */
export const PROCESSES: Readonly<Record<string, ServiceName>> = {
  api: 'api',
  consoleauth: 'consoleauth',
  'consoleauth-2': 'consoleauth',
  'compute-agent': 'compute-agent',
  'compute-2': 'compute-agent',
  'console-proxy': 'console-proxy',
  'proxy-2': 'console-proxy',
};

const MACHINES_AT_ONCE = 10;

export interface CrowdedHouseOptions {
  readonly machines: number;
  readonly viewersAMachine: number;
  readonly env?: Record<string, string>;
  /** label -> what only that process is told. */
  readonly envOf?: Readonly<Record<string, Record<string, string>>>;
}

export class CrowdedHouse {
  readonly compute: ComputeClient;
  readonly crowd: ConsoleCrowd;
  readonly rabbitmq: OwnRabbitmq;
  readonly postgresql: OwnPostgresql;
  readonly proxyUrls: readonly string[];
  readonly #stack: FiveProcesses;
  readonly #cell: pg.Pool;
  readonly #envOf: Readonly<Record<string, Record<string, string>>>;

  private constructor(parts: Pick<CrowdedHouse, 'compute' | 'crowd' | 'rabbitmq' | 'postgresql' | 'proxyUrls'>, stack: FiveProcesses, cell: pg.Pool, envOf: Readonly<Record<string, Record<string, string>>>) {
    this.compute = parts.compute;
    this.crowd = parts.crowd;
    this.rabbitmq = parts.rabbitmq;
    this.postgresql = parts.postgresql;
    this.proxyUrls = parts.proxyUrls;
    this.#stack = stack;
    this.#cell = cell;
    this.#envOf = envOf;
  }

  static async start({ machines, viewersAMachine, env = {}, envOf: told = {} }: CrowdedHouseOptions): Promise<CrowdedHouse> {
    const [rabbitmq, postgresql] = await Promise.all([startOwnRabbitmq(), startOwnPostgresql(), buildBundles()]);
    const [apiDatabaseUrl, cellDatabaseUrl] = [await postgresql.createDatabase(), await postgresql.createDatabase()];
    await runCommand(process.execPath, [bundleOf('migrate')], { env: { GATEHOUSE_API_DATABASE_URL: apiDatabaseUrl, GATEHOUSE_CELL_DATABASE_URL: cellDatabaseUrl } });
    const stack = await FiveProcesses.prepare({ transportUrl: rabbitmq.url, apiDatabaseUrl, cellDatabaseUrl }, env);
    const [proxyPort, agentPort] = [await freePort(), await freePort()];
    const own: Readonly<Record<string, Record<string, string>>> = {
      'consoleauth-2': { GATEHOUSE_CONSOLEAUTH_NAME: 'consoleauth-2' },
      'compute-agent': { GATEHOUSE_AGENT_LISTEN: `127.0.0.1:${await freePort()}` },
      'compute-2': { GATEHOUSE_HOST: 'compute-2', GATEHOUSE_AGENT_LISTEN: `127.0.0.1:${agentPort}` },
      'proxy-2': { GATEHOUSE_PROXY_NAME: 'proxy-2', GATEHOUSE_PROXY_PORT: String(proxyPort) },
    };
    const envOf = Object.fromEntries(Object.keys(PROCESSES).map((label) => [label, { ...own[label], ...told[label] }]));
    const compute = new ComputeClient(stack.apiUrl);
    const cell = new pg.Pool({ connectionString: cellDatabaseUrl, max: 2 });
    // A database that is killed closes idle connections with an error event.
    cell.on('error', () => {});
    for (const [label, service] of Object.entries(PROCESSES)) await stack.startBeside(label, service, envOf[label]);
    await stack.awaitReady(Object.keys(PROCESSES));
    const ids = await makeMachines(compute, machines);
    const crowd = new ConsoleCrowd({ compute, cell, machines: ids, viewersAMachine });
    const proxyUrls = [stack.proxyUrl, `http://127.0.0.1:${proxyPort}`];
    crowd.useProxies(proxyUrls);
    return new CrowdedHouse({ compute, crowd, rabbitmq, postgresql, proxyUrls }, stack, cell, envOf);
  }

  /** SIGKILL. */
  async kill(...labels: readonly string[]): Promise<void> {
    await Promise.all(labels.map((label) => this.#stack.kill(label)));
  }

  /** Starts what was killed, and waits until it is ready. */
  async restart(...labels: readonly string[]): Promise<void> {
    await Promise.all(labels.map((label) => this.#stack.startBeside(label, PROCESSES[label] as ServiceName, this.#envOf[label])));
    await this.#stack.awaitReady(labels);
  }

  awaitReady(): Promise<void> {
    return this.#stack.awaitReady(Object.keys(PROCESSES));
  }

  get logs(): string {
    return this.#stack.logs;
  }

  async stop(): Promise<void> {
    await this.crowd.leave();
    await this.#stack.stopAll();
    await this.#cell.end();
    await this.rabbitmq.stop();
    await this.postgresql.stop();
  }
}

/** By turns on the two hosts. */
async function makeMachines(compute: ComputeClient, count: number): Promise<readonly string[]> {
  const ids: string[] = [];
  const queue = Array.from({ length: count }, (_, index) => ({ name: `m-${index}`, host: `compute-${1 + (index % 2)}` }));
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const id = await compute.createServerOnceHostIsKnown(next.name, { availability_zone: `nova:${next.host}` });
      await compute.awaitActive(id);
      ids.push(id);
    }
  };
  await Promise.all(Array.from({ length: MACHINES_AT_ONCE }, work));
  return ids;
}
