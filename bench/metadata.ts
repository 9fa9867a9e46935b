/**
 * What a guest's meta_data.json costs beside the goals: where nothing is held of the instance, from the cache, and for a client that
 * has the document already (If-None-Match), and how the first grows with the instances of the cell: it must not.
 *
 *   npx tsx bench/metadata.ts [--count 3000] [--rounds 3] [--rows 1000,1000000] [--in-flight 8] [--profile folder] [--nova]
 *
 * CPU is user and system time of the metadata service's process and of PostgreSQL, its backends included; this process plays the
 * signing proxy, with kept connections, and is not counted. A round of what is not held asks `count` instances that were never
 * asked for; what is held is asked for ten times as often. Rounds count from where they no longer get cheaper (until-steady.ts). Every instance has a key pair, metadata, a network and user data. The
 * broker is away: metadata do not need it. The share of the signature is measured by itself, in this process; and at the end a bare
 * server of node's, which knows nothing and answers as many bytes, under the same load: on a machine that does other things
 * too every figure is larger, and that one says by how much. With --nova Debian's own Nova takes its turn after each round beside
 * the fewest rows (nova-house.ts), with instances of the same contents; it is asked for a tenth as much, for it takes longer.
 */
import { spawn } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { signatureCheck } from '@gatehouse/metadata/signature';
import { KeyPairList } from '@gatehouse/objects/key-pair-list';
import { buildBundles, bundleOf, FiveProcesses } from '../test/house/five-processes.ts';
import { freePort } from '../test/servers/free-port.ts';
import { startOwnPostgresql } from '../test/servers/postgresql.ts';
import { runCommand } from '../test/servers/server-process.ts';
import { inFlightOf, quantile, readCpu } from './console-house.ts';
import { NOVA_SHARE, startNova } from './nova-house.ts';
import { untilSteady } from './until-steady.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '3000' },
    rounds: { type: 'string', default: '3' },
    rows: { type: 'string', default: '1000,1000000' },
    'in-flight': { type: 'string', default: '8' },
    profile: { type: 'string' },
    nova: { type: 'boolean', default: false },
  },
});
/** Rounds before those that count, at most (until-steady.ts). */
const WARM_ROUNDS_MAX = 8;
const [count, rounds, inFlight] = [values.count, values.rounds, values['in-flight']].map(Number) as [number, number, number];
const rowCounts = values.rows.split(',').map(Number);
/** CPU milliseconds a request, and what Nova spends on it. */
const GOALS = { 'not held': { cpu: 0.8, nova: '19' }, held: { cpu: 0.06, nova: '0.36 to 0.6' }, 'held, 304': { cpu: 0.06, nova: 'has none' } };
type Step = keyof typeof GOALS;
const STEPS = Object.keys(GOALS) as Step[];
const HELD_TIMES = 10;
/** As the kernel counts. */
const MS_A_TICK = 10;
const HELD_INSTANCES = 100;

const SECRET = 'a-secret-of-the-test';
const PROJECT = 'p-bench';
const PATH = '/openstack/latest/meta_data.json';
const PUBLIC_KEY = readFileSync(new URL('../apps/metadata/test-vectors/rsa2048.pub', import.meta.url), 'utf8').trim();
const [METADATA, USER_DATA] = [{ role: 'web', stage: 'production' }, '#cloud-config\npackages: [htop]\n'];
const agent = new Agent({ keepAlive: true, maxSockets: 64 });

const [postgresql] = await Promise.all([startOwnPostgresql(), buildBundles()]);
const [apiDatabaseUrl, cellDatabaseUrl] = [await postgresql.createDatabase(), await postgresql.createDatabase()];
await runCommand(process.execPath, [bundleOf('migrate')], { env: { GATEHOUSE_API_DATABASE_URL: apiDatabaseUrl, GATEHOUSE_CELL_DATABASE_URL: cellDatabaseUrl } });
const processes = await FiveProcesses.prepare({ transportUrl: 'amqp://127.0.0.1:1', apiDatabaseUrl, cellDatabaseUrl }, {
  GATEHOUSE_METADATA_SECRETS: SECRET, GATEHOUSE_METADATA_RATE: '0', GATEHOUSE_METADATA_CACHE_TTL: '3600', GATEHOUSE_METADATA_CACHE_MB: '1024', ...profiled(values.profile),
});
const rows = new pg.Pool({ connectionString: cellDatabaseUrl, max: 1 });
const nova = values.nova ? await novaMetadata() : null;

try {
  const askedInAll = count * (rounds + WARM_ROUNDS_MAX) * rowCounts.length;
  await fill('own', askedInAll, PUBLIC_KEY);
  await processes.start('metadata');
  await processes.awaitReady(['metadata']);
  let asked = 0;
  const roundOf = async (): Promise<Record<Step, number>> => {
    const first = asked;
    asked += count;
    const notHeld = await measured(count, (index) => get(uuidOf(first + index)));
    const tags = new Map<string, string>();
    for (let index = 0; index < HELD_INSTANCES; index += 1) tags.set(uuidOf(first + index), await get(uuidOf(first + index)));
    const [some, tagsOfSome] = [[...tags.keys()], [...tags.values()]];
    const held = await measured(count * HELD_TIMES, (index) => get(some[index % HELD_INSTANCES] ?? ''));
    const same = await measured(count * HELD_TIMES, (index) => get(some[index % HELD_INSTANCES] ?? '', tagsOfSome[index % HELD_INSTANCES]));
    return { 'not held': notHeld, held, 'held, 304': same };
  };
  await nova?.round();
  const figures = new Map<Step, number[]>(STEPS.map((step) => [step, []]));
  for (const rowCount of rowCounts) {
    await fill('other', rowCount, 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC5/C1oWRCMrHmqwpgfl7jhJuhCHRhFQrvQd6FXg5+Sw');
    // What was filled in is written, and none of it is what the first round waits for.
    await rows.query('CHECKPOINT');
    await untilSteady(async () => Object.values(await roundOf()).reduce((sum, each) => sum + each, 0), WARM_ROUNDS_MAX);
    const all: Record<Step, number>[] = [];
    const theirs: Partial<Record<Step, number>>[] = [];
    for (let round = 0; round < rounds; round += 1) {
      all.push(await roundOf());
      if (nova !== null && rowCount === rowCounts[0]) theirs.push(await nova.round());
    }
    for (const step of STEPS) {
      const cpu = quantile(all.map((each) => each[step]), 0.5);
      figures.get(step)?.push(cpu);
      const { cpu: goal, nova: known } = GOALS[step];
      console.log(`meta_data.json ${step}, beside ${rowCount} instances: ${cpu.toFixed(3)} ms of CPU (goal ${goal}: ${cpu <= goal ? 'reached' : 'NOT reached'}; Nova ${known})`);
      const beside = quantile(theirs.flatMap((each) => each[step] ?? []), 0.5);
      if (!Number.isNaN(beside)) console.log(`    Nova in the same run: ${beside.toFixed(3)} ms, ${(beside / cpu).toFixed(1)} times ours`);
    }
  }
  if (rowCounts.length > 1) {
    const growth = [...figures].map(([step, all]) => `${step} ${((all.at(-1) ?? NaN) / (all[0] ?? NaN)).toFixed(2)} x`);
    console.log(`CPU beside ${rowCounts.at(-1)} instances against that beside ${rowCounts[0]}: ${growth.join(', ')}`);
  }
  console.log(`a bare server of node's spends ${(await bareMs()).toFixed(3)} ms on an answer of that size, under the same load`);
  console.log(`the signature's share of it: ${signatureMs().toFixed(4)} ms, with one secret`);
} finally {
  agent.destroy();
  await processes.stopAll();
  await nova?.stop();
  await rows.end();
  await postgresql.stop();
}

/** CPU milliseconds of one of so many requests to that server. */
async function measured(requests: number, ask: (index: number) => Promise<unknown>, server: 'metadata' | 'nova' = 'metadata'): Promise<number> {
  const spent = (): readonly [number, number] => {
    const cpu = readCpu();
    return [server === 'nova' ? (nova?.cpuMs() ?? 0) : cpu.metadata, cpu.database];
  };
  const before = spent();
  const run = await inFlightOf(Array.from({ length: requests }, (_, index) => index), inFlight, async (index) => void (await ask(index)));
  const after = spent();
  if (run.failures.length > 0) throw new Error(`${run.failures.length} of ${requests} failed: ${run.failures[0]}`);
  const [own, database] = [(after[0] - before[0]) / requests, (after[1] - before[1]) / requests];
  const pace = `${(requests / run.seconds).toFixed(0)}/s, p50 ${quantile(run.times, 0.5).toFixed(2)} ms, p95 ${quantile(run.times, 0.95).toFixed(2)} ms`;
  console.log(`    ${server} ${own.toFixed(3)}, database ${database.toFixed(3)}; ${pace}`);
  return own + database;
}

/** Nova's metadata service, once with its cache off and once as it comes, but holding for an hour. */
async function novaMetadata(): Promise<{ round(): Promise<Partial<Record<Step, number>>>; cpuMs(): number; stop(): Promise<void> }> {
  const uuids = Array.from({ length: HELD_INSTANCES }, (_, index) => uuidOf(index));
  const contents = { instances: uuids, projectId: PROJECT, userId: 'u-bench', publicKey: PUBLIC_KEY, userData: USER_DATA, metadata: METADATA };
  const house = await startNova(() => postgresql.createDatabase(), contents);
  const proxied = { 'neutron.service_metadata_proxy': 'true', 'neutron.metadata_proxy_shared_secret': SECRET };
  const [holdsNothing, holds] = await Promise.all(['0', '3600'].map((seconds) => house.serve('metadata', { ...proxied, 'api.metadata_cache_expiration': seconds })));
  const asked = (url: string | undefined) => (index: number) => get(uuids[index % HELD_INSTANCES] ?? '', undefined, url);
  return {
    ...house,
    async round() {
      const notHeld = await measured(count * NOVA_SHARE, asked(holdsNothing), 'nova');
      await inFlightOf(uuids.map((_, index) => index), inFlight, async (index) => void (await asked(holds)(index)));
      return { 'not held': notHeld, held: await measured(count * HELD_TIMES * NOVA_SHARE, asked(holds), 'nova') };
    },
  };
}

/** CPU milliseconds that node itself spends on an answer of that size. */
async function bareMs(): Promise<number> {
  const port = await freePort();
  const code = `const body = Buffer.alloc(3000, 120); require('node:http').createServer((_, response) => response.end(body)).listen(${port}, '127.0.0.1')`;
  const child = spawn(process.execPath, ['-e', code], { stdio: 'ignore' });
  const ask = (): Promise<void> => new Promise((done, reject) => {
    request(`http://127.0.0.1:${port}/`, { agent }, (response) => response.resume().on('end', done)).on('error', reject).end();
  });
  const ticks = (): number => readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ').slice(11, 13).reduce((sum, each) => sum + Number(each), 0) ?? 0;
  try {
    while (!(await ask().then(() => true, () => false))) await new Promise((resolve) => setTimeout(resolve, 50));
    const all = Array.from({ length: count * HELD_TIMES }, (_, index) => index);
    await inFlightOf(all.slice(0, 1_000), inFlight, ask);
    const before = ticks();
    await inFlightOf(all, inFlight, ask);
    return ((ticks() - before) * MS_A_TICK) / all.length;
  } finally {
    child.kill('SIGKILL');
  }
}

/** @returns its ETag */
function get(uuid: string, known?: string, url = processes.metadataUrl): Promise<string> {
  const headers = {
    'X-Instance-ID': uuid, 'X-Instance-ID-Signature': sign(uuid), 'X-Tenant-ID': PROJECT, 'X-Forwarded-For': '10.0.0.7', Accept: '*/*',
    ...(known === undefined ? {} : { 'If-None-Match': known }),
  };
  return new Promise((done, reject) => {
    const asked = request(`${url}${PATH}`, { headers, agent }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => {
        const isRight = known === undefined ? response.statusCode === 200 && text.includes(uuid) : response.statusCode === 304;
        if (isRight) done(String(response.headers.etag));
        else reject(new Error(`${response.statusCode} ${text}`));
      });
    });
    asked.on('error', reject);
    asked.end();
  });
}

function sign(uuid: string): string {
  return createHmac('sha256', SECRET).update(uuid).digest('hex');
}

function signatureMs(): number {
  const check = signatureCheck([SECRET]);
  const [uuid, times] = [uuidOf(0), 50_000];
  const signature = sign(uuid);
  for (let each = 0; each < times; each += 1) check(uuid, signature);
  const before = process.cpuUsage();
  for (let each = 0; each < times; each += 1) check(uuid, signature);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000 / times;
}

/** As PostgreSQL makes them below. */
function uuidOf(index: number): string {
  const hex = createHash('md5').update(`own-${index}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** So many instances of a kind, with all that is told to a guest. */
async function fill(kind: 'own' | 'other', wanted: number, publicKey: string): Promise<void> {
  const keyPairs = { objects: [{ name: 'laptop', type: 'ssh' as const, publicKey, userId: 'u-bench', fingerprint: 'aa:bb' }] };
  const keypairs = JSON.stringify(KeyPairList.toPrimitive(keyPairs));
  await rows.query(
    `INSERT INTO instances (uuid, project_id, user_id, display_name, hostname, host, availability_zone, vm_state, key_name, key_data, user_data, metadata, network, flavor, reservation_id, created_at)
     SELECT md5($1 || '-' || n)::uuid, $2, 'u-bench', 'web ' || n, 'web-' || n, 'compute-' || n % 1000, 'nova', 'active', 'laptop', $3, $4, $5, $6, '{"id": "m1.small"}', 'r-bench', now()::timestamp
     FROM generate_series(0, $7::integer - 1) AS n ON CONFLICT DO NOTHING`,
    [kind, PROJECT, publicKey, Buffer.from(USER_DATA).toString('base64'), METADATA, network(), wanted],
  );
  await rows.query(
    `INSERT INTO instance_extra (instance_uuid, keypairs, created_at)
     SELECT md5($1 || '-' || n)::uuid, $2, now()::timestamp FROM generate_series(0, $3::integer - 1) AS n ON CONFLICT DO NOTHING`,
    [kind, keypairs, wanted],
  );
  // What autovacuum does elsewhere.
  await rows.query('VACUUM ANALYZE instances, instance_extra');
  await rows.query('CHECKPOINT').catch(() => {});
}

function network(): object {
  const link = { id: 'tap0', vif_id: '5d9ad4a8-5a5e-4b4e-9b3a-0d9a3a1b2c3d', type: 'ovs', mtu: 1500, ethernet_mac_address: 'fa:16:3e:00:00:01' };
  return { links: [link], networks: [{ id: 'network0', type: 'ipv4_dhcp', link: 'tap0', network_id: '0d9a3a1b-5a5e-4b4e-9b3a-5d9ad4a82c3d' }], services: [] };
}

function profiled(folder: string | undefined): Record<string, string> {
  if (folder === undefined) return {};
  mkdirSync(folder, { recursive: true });
  return { NODE_OPTIONS: `--require ${fileURLToPath(new URL('cpu-profile.cjs', import.meta.url))}`, BENCH_PROFILE_DIR: resolve(folder) };
}
