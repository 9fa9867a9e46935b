/**
 * What key pairs cost beside the goals: an import, one shown, a list of 100, through the api over HTTP, and how that grows with
 * the key pairs of others: it must not.
 *
 *   npx tsx bench/key-pairs.ts [--count 400] [--rounds 3] [--rows 1000,1000000] [--in-flight 8] [--key rsa2048] [--profile folder] [--nova]
 *
 * CPU is user and system time of the api's process and of PostgreSQL, its backends included; it is the sturdy figure, rates
 * and milliseconds are those of a machine that does other things too. Every request comes from one of 25 users, by HTTP with
 * kept connections. The broker is away: key pairs do not need it. What is counted is warm: rounds go before until their figure no
 * longer falls (until-steady.ts). At the end a bare server of node's and a bare Fastify, which know nothing, answer as many bytes
 * under the same load: on a machine that does other things too every figure is larger, and those say by how much. With --nova
 * Debian's own Nova takes its turn after each round beside the fewest rows (nova-house.ts), asked for a tenth as much.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { buildBundles, bundleOf, FiveProcesses } from '../test/house/five-processes.ts';
import { freePort } from '../test/servers/free-port.ts';
import { startOwnPostgresql } from '../test/servers/postgresql.ts';
import { runCommand } from '../test/servers/server-process.ts';
import { inFlightOf, quantile, readCpu } from './console-house.ts';
import type { Run } from './console-house.ts';
import { NOVA_SHARE, startNova } from './nova-house.ts';
import type { NovaHouse } from './nova-house.ts';
import { treeCpuMs } from './tree-cpu.ts';
import { untilSteady } from './until-steady.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '400' },
    rounds: { type: 'string', default: '3' },
    rows: { type: 'string', default: '1000,1000000' },
    'in-flight': { type: 'string', default: '8' },
    key: { type: 'string', default: 'rsa2048' },
    profile: { type: 'string' },
    nova: { type: 'boolean', default: false },
  },
});
const [count, rounds, inFlight] = [values.count, values.rounds, values['in-flight']].map(Number) as [number, number, number];
const rowCounts = values.rows.split(',').map(Number);
const USERS = 25;
const WARM_ROUNDS_MAX = 12;
/** CPU milliseconds a request, and what Nova spends on it. */
const GOALS = { import: { cpu: 1.2, nova: '14' }, show: { cpu: 0.6, nova: '5.2' }, 'list of 100': { cpu: 1, nova: '7 to 9.6' } };
type Step = keyof typeof GOALS;
const STEPS = Object.keys(GOALS) as Step[];
/** As many bytes as the answers have. */
const BARE_ANSWERS = { show: 700, 'list of 100': 48_000 };
const BARE_SERVERS = {
  "a bare server of node's": (bytes: number, port: number) => `const body = 'x'.repeat(${bytes}); require('node:http').createServer((_, response) => response.end(body)).listen(${port}, '127.0.0.1')`,
  'a bare Fastify': (bytes: number, port: number) => `const body = 'x'.repeat(${bytes}); const app = require('fastify')(); app.get('/', async () => ({ body })); app.listen({ port: ${port}, host: '127.0.0.1' })`,
};
const BARE_TIMES = 5;

const PUBLIC_KEY = readFileSync(new URL(`../apps/api/test-vectors/keys/${values.key}.pub`, import.meta.url), 'utf8');
const agent = new Agent({ keepAlive: true, maxSockets: 64 });

const [postgresql] = await Promise.all([startOwnPostgresql(), buildBundles()]);
const [apiDatabaseUrl, cellDatabaseUrl] = [await postgresql.createDatabase(), await postgresql.createDatabase()];
await runCommand(process.execPath, [bundleOf('migrate')], { env: { GATEHOUSE_API_DATABASE_URL: apiDatabaseUrl, GATEHOUSE_CELL_DATABASE_URL: cellDatabaseUrl } });
const processes = await FiveProcesses.prepare({ transportUrl: 'amqp://127.0.0.1:1', apiDatabaseUrl, cellDatabaseUrl }, profiled(values.profile));
const rows = new pg.Pool({ connectionString: apiDatabaseUrl, max: 1 });
const nova = values.nova ? await startNova(() => postgresql.createDatabase()) : null;

try {
  await processes.start('api');
  await processes.awaitReady(['api']);
  await fillUsers(rows);
  const novaUrl = nova === null ? null : await startNovaApi(nova);
  let made = 0;
  const roundOf = async (server: 'api' | 'nova', url: string): Promise<Record<Step, number>> => {
    made += 1;
    const imports = await measured(server, (index) => send(url, 'POST', '', `maker-${made}-${index % USERS}`, { keypair: { name: `k${index}`, public_key: PUBLIC_KEY } }));
    const shows = await measured(server, (index) => send(url, 'GET', `/key-${index % 100}`, `user-${index % USERS}`));
    const lists = await measured(server, (index) => send(url, 'GET', '', `user-${index % USERS}`));
    return { import: imports, show: shows, 'list of 100': lists };
  };
  await untilSteady(async () => Object.values(await roundOf('api', processes.apiUrl)).reduce((sum, each) => sum + each, 0), WARM_ROUNDS_MAX);
  if (novaUrl !== null) await roundOf('nova', novaUrl);
  const figures = new Map<Step, number[]>(STEPS.map((step) => [step, []]));
  for (const rowCount of rowCounts) {
    await fillOthers(rowCount);
    const all: Record<Step, number>[] = [];
    const theirs: Record<Step, number>[] = [];
    for (let round = 0; round < rounds; round += 1) {
      all.push(await roundOf('api', processes.apiUrl));
      if (novaUrl !== null && rowCount === rowCounts[0]) theirs.push(await roundOf('nova', novaUrl));
    }
    for (const step of STEPS) {
      const cpu = quantile(all.map((each) => each[step]), 0.5);
      figures.get(step)?.push(cpu);
      const { cpu: goal, nova: known } = GOALS[step];
      console.log(`${step}, beside ${rowCount} key pairs: ${cpu.toFixed(2)} ms of CPU (goal ${goal}: ${cpu <= goal ? 'reached' : 'NOT reached'}; Nova ${known})`);
      const beside = quantile(theirs.map((each) => each[step]), 0.5);
      if (!Number.isNaN(beside)) console.log(`    Nova in the same run: ${beside.toFixed(2)} ms, ${(beside / cpu).toFixed(1)} times ours`);
    }
  }
  if (rowCounts.length > 1) {
    const growth = [...figures].map(([step, all]) => `${step} ${((all.at(-1) ?? NaN) / (all[0] ?? NaN)).toFixed(2)} x`);
    console.log(`CPU beside ${rowCounts.at(-1)} key pairs against that beside ${rowCounts[0]}: ${growth.join(', ')}`);
  }
  for (const [name, codeOf] of Object.entries(BARE_SERVERS)) {
    for (const [step, bytes] of Object.entries(BARE_ANSWERS)) {
      console.log(`${name} spends ${(await bareMs((port) => codeOf(bytes, port))).toFixed(2)} ms on an answer of the size of a ${step}, under the same load`);
    }
  }
} finally {
  agent.destroy();
  await processes.stopAll();
  await nova?.stop();
  await rows.end();
  await postgresql.stop();
}

/** CPU milliseconds of one of `count` requests to that server, or of fewer to Nova. */
async function measured(server: 'api' | 'nova', ask: (index: number) => Promise<void>): Promise<number> {
  const spent = (): readonly [number, number] => {
    const cpu = readCpu();
    return [server === 'nova' ? (nova?.cpuMs() ?? 0) : cpu.api, cpu.database];
  };
  const requests = Math.ceil(server === 'nova' ? count * NOVA_SHARE : count);
  const before = spent();
  const run: Run = await inFlightOf(Array.from({ length: requests }, (_, index) => index), inFlight, ask);
  const after = spent();
  if (run.failures.length > 0) throw new Error(`${run.failures.length} of ${requests} failed: ${run.failures[0]}`);
  const [own, database] = [(after[0] - before[0]) / requests, (after[1] - before[1]) / requests];
  const pace = `${(requests / run.seconds).toFixed(0)}/s, p50 ${quantile(run.times, 0.5).toFixed(1)} ms, p95 ${quantile(run.times, 0.95).toFixed(1)} ms`;
  console.log(`    ${server} ${own.toFixed(2)}, database ${database.toFixed(2)}; ${pace}`);
  return own + database;
}

/** CPU milliseconds of one request to a server that is this code; compiled as ours was when it was counted. */
async function bareMs(codeOf: (port: number) => string): Promise<number> {
  const port = await freePort();
  const child = spawn(process.execPath, ['-e', codeOf(port)], { stdio: 'ignore' });
  const ask = (): Promise<void> => new Promise((done, reject) => {
    request(`http://127.0.0.1:${port}/`, { agent }, (response) => response.resume().on('end', done)).on('error', reject).end();
  });
  try {
    while (!(await ask().then(() => true, () => false))) await new Promise((resolve) => setTimeout(resolve, 50));
    const all = Array.from({ length: count * BARE_TIMES }, (_, index) => index);
    await inFlightOf(all, inFlight, ask);
    const before = treeCpuMs(child.pid ?? 0);
    await inFlightOf(all, inFlight, ask);
    return (treeCpuMs(child.pid ?? 0) - before) / all.length;
  } finally {
    child.kill('SIGKILL');
  }
}

function send(url: string, method: string, path: string, user: string, body?: object): Promise<void> {
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const headers = { 'x-auth-token': `${user}:bench`, 'openstack-api-version': 'compute 2.92', ...(payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }) };
  return new Promise((done, reject) => {
    const asked = request(`${url}/v2.1/os-keypairs${path}`, { method, headers, agent }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => ((response.statusCode ?? 500) < 300 ? done() : reject(new Error(text))));
    });
    asked.on('error', reject);
    asked.end(payload);
  });
}

/** With as many key pairs of the users who show and list as ours has. @returns its URL */
async function startNovaApi(house: NovaHouse): Promise<string> {
  const theirs = new pg.Pool({ connectionString: house.apiDatabaseUrl, max: 1 });
  await fillUsers(theirs);
  await theirs.query('VACUUM ANALYZE key_pairs');
  await theirs.end();
  return house.serve('osapi_compute');
}

/** 100 key pairs for each user that shows and lists. */
async function fillUsers(database: pg.Pool): Promise<void> {
  await database.query(
    `INSERT INTO key_pairs (user_id, name, fingerprint, public_key, type, created_at)
     SELECT 'user-' || u, 'key-' || k, 'aa:bb', $1, 'ssh', now()::timestamp FROM generate_series(0, $2 - 1) AS u, generate_series(0, 99) AS k`,
    [PUBLIC_KEY, USERS],
  );
}

/** Others' key pairs, a hundred each, so that there are `wanted` of them. */
async function fillOthers(wanted: number): Promise<void> {
  await rows.query(
    `INSERT INTO key_pairs (user_id, name, fingerprint, public_key, type, created_at)
     SELECT 'other-' || n / 100, 'key-' || n % 100, 'aa:bb', 'ssh-ed25519 ' || md5(n::text), 'ssh', now()::timestamp
     FROM generate_series(1, $1::integer) AS n ON CONFLICT DO NOTHING`,
    [wanted],
  );
  // What autovacuum does elsewhere.
  await rows.query('VACUUM ANALYZE key_pairs');
  await rows.query('CHECKPOINT').catch(() => {});
}

function profiled(folder: string | undefined): Record<string, string> {
  if (folder === undefined) return {};
  mkdirSync(folder, { recursive: true });
  return { NODE_OPTIONS: `--require ${fileURLToPath(new URL('cpu-profile.cjs', import.meta.url))}`, BENCH_PROFILE_DIR: resolve(folder) };
}
