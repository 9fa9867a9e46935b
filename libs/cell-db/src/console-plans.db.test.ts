/**
 * What the statements about consoles read. A prepared statement keeps the plan that was made while there was next to nothing,
 * and is done thousands of times when there is much: what it reads then must not grow with what others have open.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { openCellDb } from './cell-db.ts';
import { ConsoleOpeningsStore } from './console-openings-store.ts';
import { ConsoleSessionClaimsStore } from './console-session-claims-store.ts';
import { ConsoleSessionEndsStore } from './console-session-ends-store.ts';
import { ConsoleSessionsStore } from './console-sessions-store.ts';
import { Prisma } from './generated/client.ts';
import { InstanceHeadsStore } from './instance-heads-store.ts';
import type { SqlClient } from './sql-client.ts';
import { NOW, newSession } from './testing.ts';

const MANY = 3_000;
/** Of these few is asked. */
const READ_MAX = 50;
const PROXY = 'proxy-7';
const [instanceUuid, id] = [randomUUID(), randomUUID()];
const hash = 'a'.repeat(64);
const upTo = { instance: 9, user: 9, proxy: 9 };
const question = { proxy: PROXY, upTo, liveAfter: NOW, agentsSince: NOW };
const takeover = { ...newSession(instanceUuid, 1), claim: randomUUID() };

const WORKS: Readonly<Record<string, (client: SqlClient) => Promise<unknown>>> = {
  'the opening of a console by a token': (client) => new ConsoleOpeningsStore(client).look({ tokenHash: hash }, question),
  'the opening of a console by its machine': (client) => new ConsoleOpeningsStore(client).look({ instanceUuid, host: 'host-1', userId: 'user-7' }, question),
  'who holds a connection': (client) => new ConsoleSessionsStore(client).findOpenForConnection({ id: 7, instanceUuid }),
  'a session that is held': (client) => new ConsoleSessionClaimsStore(client).lock(id),
  'a session that is taken over': (client) => new ConsoleSessionClaimsStore(client).takeOver(id, takeover, NOW),
  'a session that ends': (client) => new ConsoleSessionEndsStore(client).close(id, { reason: 'client_closed', at: NOW, proxy: PROXY, claim: id }),
  'an attach': (client) => new ConsoleSessionsStore(client).useAttachSecret(id, hash, 'host-1'),
  'a further attach': (client) => new ConsoleSessionsStore(client).replaceAttachSecret(id, hash),
  'a renewal': (client) => new ConsoleSessionsStore(client).renew(PROXY, [{ id, bytesIn: 1, bytesOut: 1 }], NOW),
  'a machine': (client) => new InstanceHeadsStore(client).find(instanceUuid),
  'a machine that is held': (client) => new InstanceHeadsStore(client).lock(instanceUuid),
};

interface PlanNode {
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

describe('statements about consoles on PostgreSQL', function () {
  this.timeout(60_000);
  let postgresql: Postgresql;
  let client: pg.Client;
  const statements = new Map<string, readonly string[]>();

  before(async () => {
    postgresql = await startPostgresql();
    const url = await postgresql.createDatabase();
    const db = await openCellDb({ url });
    await db.migrate();
    await db.close();
    client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query('SET plan_cache_mode = force_generic_plan');
    for (const [what, work] of Object.entries(WORKS)) statements.set(what, await prepare(await statementsOf(work)));
    await fill();
  });
  after(async () => {
    await client?.end();
    await postgresql?.stop();
  });

  for (const what of Object.keys(WORKS)) {
    it(`read next to nothing of what others have, with a plan made before there was anything: ${what}`, async () => {
      await client.query('BEGIN');
      let read = 0;
      for (const execute of statements.get(what) ?? []) read += readBy(await explain(execute, 'ANALYZE, '));
      await client.query('ROLLBACK');
      assert.ok(read < READ_MAX, `${read} rows were read`);
    });
  }

  it('would be found out: by the number of an open session alone, for example', async () => {
    const [execute = ''] = await prepare([Prisma.sql`SELECT id FROM console_sessions WHERE ended_at IS NULL AND bytes_in = ${7}::bigint`]);
    assert.ok(readBy(await explain(execute, 'ANALYZE, ')) >= MANY);
  });

  /** @returns how each is executed; each has its plan from now on */
  async function prepare(texts: readonly Prisma.Sql[]): Promise<readonly string[]> {
    const executes: string[] = [];
    for (const { text, values } of texts) {
      const name = `s_${randomUUID().replaceAll('-', '')}`;
      await client.query(`PREPARE ${name} AS ${text}`);
      const execute = `EXECUTE ${name}${values.length === 0 ? '' : `(${values.map(literalOf).join(', ')})`}`;
      await explain(execute);
      executes.push(execute);
    }
    return executes;
  }

  async function explain(execute: string, how = ''): Promise<PlanNode> {
    const { rows } = await client.query<{ readonly 'QUERY PLAN': readonly [{ readonly Plan: PlanNode }] }>(`EXPLAIN (${how}FORMAT JSON) ${execute}`);
    const plan = rows[0]?.['QUERY PLAN'][0].Plan;
    assert.ok(plan);
    return plan;
  }

  async function fill(): Promise<void> {
    await client.query(`
      INSERT INTO instances (uuid, project_id, user_id, display_name, hostname, host, vm_state, metadata, created_at, updated_at)
      SELECT gen_random_uuid(), 'project', 'user', 'name', 'name', 'host-1', 'active', '{}', now(), now() FROM generate_series(1, ${MANY})`);
    await client.query(`
      INSERT INTO console_sessions (id, connection_id, exclusive, instance_uuid, host, port, console_type, proxy, client_address, user_id, access, started_at, lease_expires)
      SELECT gen_random_uuid(), n, false, gen_random_uuid(), 'host-1', 0, 'serial', 'proxy-' || n % 1000, '192.0.2.1', 'user-' || n % 1000, 'full', now(), 'infinity'
      FROM generate_series(1, ${MANY}) AS n`);
  }
});

/** Without doing them. */
async function statementsOf(work: (client: SqlClient) => Promise<unknown>): Promise<readonly Prisma.Sql[]> {
  const asked: Prisma.Sql[] = [];
  const note = (query: TemplateStringsArray | Prisma.Sql, values: readonly unknown[]): void => {
    asked.push(query instanceof Prisma.Sql ? query : new Prisma.Sql(query, values));
  };
  await work({
    $queryRaw: <T>(query: TemplateStringsArray | Prisma.Sql, ...values: readonly unknown[]) => (note(query, values), Promise.resolve([] as T)),
    $executeRaw: (query, ...values) => (note(query, values), Promise.resolve(0)),
  });
  return asked;
}

function literalOf(value: unknown): string {
  if (value === null) return 'NULL';
  if (Array.isArray(value)) return pg.escapeLiteral(`{${value.join(',')}}`);
  return pg.escapeLiteral(value instanceof Date ? value.toISOString() : String(value));
}

function readBy(node: PlanNode): number {
  const own = node['Relation Name'] === undefined ? 0 : (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'];
  return (node.Plans ?? []).reduce((sum, each) => sum + readBy(each), own);
}
