/**
 * The house that the console benchmarks measure: api, consoleauth, an agent with simulated guests and a proxy as processes
 * of their own, from their bundles, over a RabbitMQ and a PostgreSQL of their own. What each of them spends is read from
 * the kernel, PostgreSQL's backends and the broker's helpers included.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { freePort } from '../test/servers/free-port.ts';
import { startOwnPostgresql } from '../test/servers/postgresql.ts';
import { startOwnRabbitmq } from '../test/servers/rabbitmq.ts';
import { runCommand } from '../test/servers/server-process.ts';
import { ComputeClient } from '../test/house/compute-client.ts';
import { buildBundles, bundleOf, FiveProcesses } from '../test/house/five-processes.ts';
import { allProcesses, childrenOf, treeCpuMs } from './tree-cpu.ts';

export const HOST = 'compute-1';
const SERVICES = ['api', 'consoleauth', 'compute-agent', 'console-proxy'] as const;
/** Whose time is told apart, whoever has started them. */
const MEASURED = [...SERVICES, 'metadata'] as const;
export type Part = (typeof MEASURED)[number] | 'database' | 'broker';
export const PARTS: readonly Part[] = [...SERVICES, 'database', 'broker'];

/** CPU milliseconds of each part since it began. */
export type Cpu = Readonly<Record<Part, number>>;

const MACHINES_AT_ONCE = 8;
/** Whose links are made: several users of one project, who share its machines. */
const USERS = 25;
const MINTS_AT_ONCE_MAX = 64;
const BROKER_EXCHANGE = 'gatehouse';

export interface ConsoleHouse {
  readonly apiUrl: string;
  readonly proxyUrl: string;
  readonly brokerUrl: string;
  readonly cell: pg.Pool;
  readonly machines: readonly string[];
  /** An empty one beside the house's, on the same server. @returns its URL */
  createDatabase(): Promise<string>;
  /** The access URL of a screen: links, and so users, are spread over the machines and users by their number. */
  mint(index: number): Promise<string>;
  /** Resolves when no session is open any more. */
  released(): Promise<void>;
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
  const connections = new Agent({ keepAlive: true, maxSockets: MINTS_AT_ONCE_MAX });
  const ids = await makeMachines(new ComputeClient(processes.apiUrl), machines);
  return {
    ...{ apiUrl: processes.apiUrl, proxyUrl: processes.proxyUrl, brokerUrl: rabbitmq.url, cell, machines: ids },
    createDatabase: () => postgresql.createDatabase(),
    mint: (index) => mint(`${processes.apiUrl}/v2.1/servers/${ids[index % ids.length]}/remote-consoles`, `user-${index % USERS}:demo`, connections),
    released: () => released(cell),
    cpu: readCpu,
    async stop() {
      connections.destroy();
      await processes.stopAll();
      await cell.end();
      await rabbitmq.stop();
      await postgresql.stop();
    },
  };
}

/** What has each service write a CPU profile into that folder when it stops. */
export function profiled(folder: string | undefined): Record<string, string> {
  if (folder === undefined) return {};
  mkdirSync(folder, { recursive: true });
  return { NODE_OPTIONS: `--require ${fileURLToPath(new URL('cpu-profile.cjs', import.meta.url))}`, BENCH_PROFILE_DIR: resolve(folder) };
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

function mint(url: string, user: string, agent: Agent): Promise<string> {
  const body = JSON.stringify({ remote_console: { protocol: 'vnc', type: 'novnc' } });
  const headers = { 'x-auth-token': user, 'openstack-api-version': 'compute 2.90', 'content-type': 'application/json', 'content-length': body.length };
  return new Promise((resolve, reject) => {
    const asked = request(url, { method: 'POST', headers, agent }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => {
        const answer = JSON.parse(text) as { remote_console?: { url: string } };
        if (answer.remote_console === undefined) reject(new Error(text));
        else resolve(answer.remote_console.url);
      });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

async function released(cell: pg.Pool): Promise<void> {
  for (;;) {
    const { rows } = await cell.query<{ open: number }>('SELECT count(*)::integer AS open FROM console_sessions WHERE ended_at IS NULL');
    if (rows[0]?.open === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Of the processes that this one has started, and theirs. */
export function readCpu(): Cpu {
  const all = allProcesses();
  const cpu = Object.fromEntries([...MEASURED, 'database', 'broker'].map((part) => [part, 0])) as Record<Part, number>;
  for (const pid of childrenOf(process.pid, all)) {
    const part = partOf(pid);
    if (part !== null) cpu[part] += treeCpuMs(pid, all);
  }
  return cpu;
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
