/**
 * The house that the console benchmarks measure: api, consoleauth, an agent with simulated guests and a proxy as processes
 * of their own, from their bundles, over a RabbitMQ and a PostgreSQL of their own. What each of them spends is read from
 * the kernel, PostgreSQL's backends and the broker's helpers included.
 */
import { readdirSync, readFileSync } from 'node:fs';
import pg from 'pg';
import { freePort } from '../test/servers/free-port.ts';
import { startOwnPostgresql } from '../test/servers/postgresql.ts';
import { startOwnRabbitmq } from '../test/servers/rabbitmq.ts';
import { runCommand } from '../test/servers/server-process.ts';
import { ComputeClient } from '../test/house/compute-client.ts';
import { buildBundles, bundleOf, FiveProcesses } from '../test/house/five-processes.ts';

export const HOST = 'compute-1';
const SERVICES = ['api', 'consoleauth', 'compute-agent', 'console-proxy'] as const;
/** Whose time is told apart, whoever has started them. */
const MEASURED = [...SERVICES, 'metadata'] as const;
export type Part = (typeof MEASURED)[number] | 'database' | 'broker';
export const PARTS: readonly Part[] = [...SERVICES, 'database', 'broker'];

/** CPU milliseconds of each part since it began. */
export type Cpu = Readonly<Record<Part, number>>;

/** The kernel counts in hundredths of a second. */
const MS_A_TICK = 10;
const MACHINES_AT_ONCE = 8;
const BROKER_EXCHANGE = 'gatehouse';

export interface ConsoleHouse {
  readonly apiUrl: string;
  readonly proxyUrl: string;
  readonly brokerUrl: string;
  readonly cell: pg.Pool;
  readonly machines: readonly string[];
  cpu(): Cpu;
  stop(): Promise<void>;
}

export async function startConsoleHouse({ machines, env = {} }: { readonly machines: number; readonly env?: Record<string, string> }): Promise<ConsoleHouse> {
  const [rabbitmq, postgresql] = await Promise.all([startOwnRabbitmq(), startOwnPostgresql(), buildBundles()]);
  const [apiDatabaseUrl, cellDatabaseUrl] = [await postgresql.createDatabase(), await postgresql.createDatabase()];
  await runCommand(process.execPath, [bundleOf('migrate')], { env: { GATEHOUSE_API_DATABASE_URL: apiDatabaseUrl, GATEHOUSE_CELL_DATABASE_URL: cellDatabaseUrl } });
  const agent = { GATEHOUSE_AGENT_LISTEN: `127.0.0.1:${await freePort()}` };
  const processes = await FiveProcesses.prepare({ transportUrl: rabbitmq.url, apiDatabaseUrl, cellDatabaseUrl }, { GATEHOUSE_HOST: HOST });
  for (const service of SERVICES) await processes.startBeside(service, service, { ...(service === 'compute-agent' ? agent : {}), ...envOf(service, env) });
  await processes.awaitReady(SERVICES);
  const cell = new pg.Pool({ connectionString: cellDatabaseUrl, max: 2 });
  return {
    ...{ apiUrl: processes.apiUrl, proxyUrl: processes.proxyUrl, brokerUrl: rabbitmq.url, cell },
    machines: await makeMachines(new ComputeClient(processes.apiUrl), machines),
    cpu: readCpu,
    async stop() {
      await processes.stopAll();
      await cell.end();
      await rabbitmq.stop();
      await postgresql.stop();
    },
  };
}

/** `NAME@service=value` is told to that service alone. */
function envOf(service: string, env: Record<string, string>): Record<string, string> {
  const mine = Object.entries(env).flatMap(([name, value]) => {
    const [variable = '', of = service] = name.split('@');
    return of === service ? [[variable, value]] : [];
  });
  return Object.fromEntries(mine) as Record<string, string>;
}

async function makeMachines(compute: ComputeClient, count: number): Promise<readonly string[]> {
  const ids: string[] = [];
  const names = Array.from({ length: count }, (_, index) => `m-${index}`).values();
  const work = async (): Promise<void> => {
    for (const name of names) {
      const id = await compute.createServer(name);
      await compute.awaitActive(id);
      ids.push(id);
    }
  };
  await Promise.all(Array.from({ length: MACHINES_AT_ONCE }, work));
  return ids;
}

interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  /** Its own time, and that of its children that are gone. */
  readonly cpuMs: number;
}

/** Of the processes that this one has started, and theirs. */
export function readCpu(): Cpu {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => statOf(Number(pid)) ?? []);
  const cpu = Object.fromEntries([...MEASURED, 'database', 'broker'].map((part) => [part, 0])) as Record<Part, number>;
  const add = ({ pid, cpuMs }: ProcessStat, part: Part): void => {
    cpu[part] += cpuMs;
    for (const child of all) if (child.parent === pid) add(child, part);
  };
  for (const child of all) {
    const part = child.parent === process.pid ? partOf(child.pid) : null;
    if (part !== null) add(child, part);
  }
  return cpu;
}

function statOf(pid: number): ProcessStat | null {
  try {
    const fields = (readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1] ?? '').split(' ');
    const ticks = fields.slice(11, 15).reduce((sum, each) => sum + Number(each), 0);
    return { pid, parent: Number(fields[1]), cpuMs: ticks * MS_A_TICK };
  } catch {
    return null; // it has ended meanwhile
  }
}

function partOf(pid: number): Part | null {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    if (command.includes('beam.smp') || command.includes('rabbitmq-server')) return 'broker';
    if (command.includes('/bin/postgres')) return 'database';
    return MEASURED.find((service) => command.includes(bundleOf(service))) ?? null;
  } catch {
    return null;
  }
}

/** Unexpired tokens of other machines, so that there are `count` beside those that are asked for. */
export async function fillTokens(cell: pg.Pool, count: number): Promise<void> {
  await cell.query(
    `INSERT INTO console_tokens (token_hash, instance_uuid, console_type, host, port, access, single_use, expires, user_id, project_id, created_at)
     SELECT encode(sha256(n::text::bytea), 'hex'), gen_random_uuid(), 'novnc', 'compute-' || n % 100, 0, 'full', false,
       now()::timestamp + interval '1 hour' + n * interval '1 millisecond', 'user-' || n % 1000, 'blue', now()::timestamp
     FROM generate_series(1, $1::integer) AS n ON CONFLICT DO NOTHING`,
    [count],
  );
  // What autovacuum does elsewhere.
  await cell.query('VACUUM ANALYZE');
}

/** CPU milliseconds of some parts for each of `count` calls. */
export function cpuPerCall(before: Cpu, after: Cpu, parts: readonly Part[], count: number): number {
  return parts.reduce((sum, part) => sum + after[part] - before[part], 0) / count;
}

export function describeParts(before: Cpu, after: Cpu, count: number): string {
  return PARTS.map((part) => `${part} ${((after[part] - before[part]) / count).toFixed(2)}`).join(', ');
}

/** The value below which `share` of them are. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

/** Does `work` for each of the items, `inFlight` at a time. @returns milliseconds of each, and how many failed with what */
export async function inFlightOf<T>(items: readonly T[], inFlight: number, work: (item: T) => Promise<void>): Promise<Run> {
  const times: number[] = [];
  const failures: string[] = [];
  const rest = items.values();
  const began = performance.now();
  const run = async (): Promise<void> => {
    for (const item of rest) {
      const started = performance.now();
      try {
        await work(item);
        times.push(performance.now() - started);
      } catch (error) {
        failures.push((error as Error).message);
      }
    }
  };
  await Promise.all(Array.from({ length: inFlight }, run));
  return { times, failures, seconds: (performance.now() - began) / 1_000 };
}

export interface Run {
  readonly times: readonly number[];
  readonly failures: readonly string[];
  readonly seconds: number;
}

export { BROKER_EXCHANGE };
