/**
 * The tables that migrations change are held, all of them, before the first migration runs. Services go on meanwhile, and their transactions take
 * the same tables in orders of their own: whoever waits for one while it holds another waits in a ring sooner or later. So here nobody
 * waits for longer than a moment, which is too short for PostgreSQL to look for rings (`deadlock_timeout`, a second) and
 * for users to feel, and lets go of everything before the next try.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Migration } from './migrations.ts';

export interface Patience {
  /** For a table; whoever comes to it waits behind. */
  readonly tableMs: number;
  /** Between two tries, for those who waited behind. */
  readonly pauseMs: number;
  readonly totalMs: number;
}

const PATIENCE: Patience = { tableMs: 400, pauseMs: 200, totalMs: 60_000 };
const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Until the transaction of this client ends.
 *
 * @throws ServiceError UNAVAILABLE: a table is in use all the time, or by one transaction that does not end
 */
export async function holdTables(client: pg.Client, schema: string, migrations: readonly Migration[], { tableMs, pauseMs, totalMs } = PATIENCE): Promise<void> {
  const tables = await tablesOf(client, schema, migrations);
  if (tables.length === 0) return;
  const statement = `LOCK TABLE ${tables.map((table) => `"${schema}"."${table}"`).join(', ')} IN ACCESS EXCLUSIVE MODE`;
  await client.query(`SET LOCAL lock_timeout = '${tableMs}ms'`);
  await client.query('SAVEPOINT none_held');
  for (const deadline = performance.now() + totalMs; ; await pause(pauseMs)) {
    try {
      await client.query(statement);
      return;
    } catch (cause) {
      if ((cause as { readonly code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw cause;
      await client.query('ROLLBACK TO SAVEPOINT none_held');
      if (performance.now() > deadline) throw inUse(tables, totalMs, cause);
    }
  }
}

/** Those that are there already and stand in the SQL; what a comment names is held too, and harms nobody. */
async function tablesOf(client: pg.Client, schema: string, migrations: readonly Migration[]): Promise<readonly string[]> {
  const { rows } = await client.query<{ readonly tablename: string }>('SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY tablename', [schema]);
  const words = new Set(migrations.flatMap(({ sql }) => sql.match(/\w+/g) ?? []));
  return rows.map(({ tablename }) => tablename).filter((table) => words.has(table));
}

function inUse(tables: readonly string[], totalMs: number, cause: unknown): ServiceError {
  const words = `a migration needs ${tables.join(', ')} for itself for a moment, and one of them was in use for ${totalMs / 1_000} seconds;`;
  return new ServiceError('UNAVAILABLE', `${words} nothing was changed. Look in pg_stat_activity for a transaction that does not end, and migrate again`, { cause });
}
