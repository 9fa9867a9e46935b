/**
 * Whether the removal of expired tokens is felt by those who connect: p99 of a connect (token check and claim of a
 * session, through consoleauth's RPC, on a real PostgreSQL) while a sweep removes them, beside the same without.
 *
 *   npx tsx bench/console-sweep.ts [expired rows, 1000000] [clients, 4] [seconds a quiet round, 20]
 *
 * One run: quiet, sweeping until nothing is left, quiet again. The goal: at most twice the quiet p99.
 */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import { startConsoleAuth } from '@gatehouse/consoleauth/app.module';
import { consoleAuthConfig } from '@gatehouse/consoleauth/config';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { noAudit } from '@gatehouse/runtime/audit';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { startOwnPostgresql } from '../test/servers/postgresql.ts';

const HOST = 'compute-1';
const GOAL = 2;
const [rows = 1_000_000, clients = 4, seconds = 20] = process.argv.slice(2).map(Number);

const postgresql = await startOwnPostgresql();
const url = await postgresql.createDatabase();
const cellDb = await openCellDb({ url });
await cellDb.migrate();
const transport = createMemoryTransport();
const resources = { config: consoleAuthConfig.parse({}), server: 'consoleauth-1', transport, cellDb, audit: noAudit, log: silentLogger, clock: systemClock };
const app = await startConsoleAuth(resources);
const client = createClient(consoleauth, transport);
// Each call has a deadline of its own.
const context = () => newContext({ userId: 'alice', projectId: 'blue' });
await client.report({ binary: 'compute-agent', host: HOST, topic: 'compute', version: '1.1', endpoint: '127.0.0.1:5901' }, context());
const reports = setInterval(() => {
  client.report({ binary: 'compute-agent', host: HOST, topic: 'compute', version: '1.1', endpoint: '127.0.0.1:5901' }, context()).catch(() => {});
}, 5_000);

console.log(`${rows} expired tokens are made ...`);
await fill();
const quiet = [await whileRunning(pause(seconds))];
const began = performance.now();
const sweeping = await whileRunning(sweepAll());
const sweepSeconds = (performance.now() - began) / 1_000;
quiet.push(await whileRunning(pause(seconds)));

const [still, busy] = [quiet.flat(), sweeping].map((times) => [...times].sort((a, b) => a - b));
const ratio = at(busy, 0.99) / at(still, 0.99);
console.log(`${rows} rows removed in ${sweepSeconds.toFixed(1)} s while ${clients} clients connected`);
console.log(`quiet:    ${describeTimes(still)}`);
console.log(`sweeping: ${describeTimes(busy)}`);
console.log(`p99 while sweeping is ${ratio.toFixed(2)} times the quiet one (goal: at most ${GOAL}): ${ratio <= GOAL ? 'reached' : 'NOT reached'}`);

clearInterval(reports);
await app.drain();
await transport.close();
await cellDb.close();
await postgresql.stop();

async function fill(): Promise<void> {
  const database = new pg.Client({ connectionString: url });
  await database.connect();
  await database.query(
    `INSERT INTO console_tokens (token_hash, instance_uuid, console_type, host, port, access, single_use, expires, created_at)
     SELECT encode(sha256(n::text::bytea), 'hex'), gen_random_uuid(), 'novnc', $1, 0, 'full', false,
       now()::timestamp - n * interval '1 millisecond' - interval '1 minute', now()::timestamp - interval '1 day'
     FROM generate_series(1, $2::integer) AS n`,
    [HOST, rows],
  );
  await database.query('ANALYZE console_tokens');
  await database.end();
}

async function sweepAll(): Promise<void> {
  for (let total = 0; total < rows; ) {
    const count = await client.sweep({ host: HOST }, context(), { timeoutMs: 60_000 });
    total += count;
    if (count === 0) return;
  }
}

/** Every client connects again and again until `work` is done; answers the milliseconds of each connect. */
async function whileRunning(work: Promise<void>): Promise<readonly number[]> {
  let isOver = false;
  const times: number[] = [];
  const all = Array.from({ length: clients }, async (_, index) => {
    const proxy = `proxy-${index}`;
    const token = await makeLink();
    while (!isOver) {
      const sessionId = randomUUID();
      const started = performance.now();
      await client.connect({ sessionId, token, proxy, clientAddress: '192.0.2.7' }, context());
      times.push(performance.now() - started);
      await client.release({ proxy, session: { id: sessionId, bytesIn: 0, bytesOut: 0, claim: sessionId }, reason: 'client_closed' }, context());
    }
  });
  await work;
  isOver = true;
  await Promise.all(all);
  return times;
}

/** A token of a screen of a machine of its own. */
async function makeLink(): Promise<string> {
  const uuid = randomUUID();
  await cellDb.instances.create({
    ...{ uuid, projectId: 'blue', userId: 'alice', displayName: 'web', hostname: 'web', host: HOST, vmState: 'active', taskState: null },
    ...{ keyName: null, keyData: null, userData: null, metadata: {}, createdAt: new Date() },
  });
  const connection = {
    ...{ instanceUuid: uuid, host: HOST, port: 0, consoleType: 'novnc' as const, tokenHash: null, accessUrl: null, expires: null },
    options: { transport: 'attach' },
  };
  const { accessUrl } = await client.authorize({ connections: [connection], access: 'full' }, context());
  return new URLSearchParams(new URL(accessUrl ?? '').hash.slice(1)).get('token') ?? '';
}

function at(sorted: readonly number[] | undefined, share: number): number {
  return sorted?.[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

function describeTimes(sorted: readonly number[] | undefined): string {
  return `${sorted?.length} connects, p50 ${at(sorted, 0.5).toFixed(1)} ms, p99 ${at(sorted, 0.99).toFixed(1)} ms, most ${at(sorted, 1).toFixed(1)} ms`;
}

function pause(forSeconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, forSeconds * 1_000));
}
