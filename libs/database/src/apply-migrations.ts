/**
 * Applies migrations as `prisma migrate deploy` does, and leaves the same history (_prisma_migrations), without
 * its engine, which a closed network cannot download. All that are missing are applied in one transaction: when one
 * fails, none was. What holds for every migration of ours follows: no CREATE INDEX CONCURRENTLY.
 *
 * A database that is newer than this program (a rolling upgrade, new processes first) is left alone.
 */
import { createHash, randomUUID } from 'node:crypto';
import type pg from 'pg';
import { ServiceError } from '@gatehouse/errors/service-error';
import { holdTables } from './held-tables.ts';
import type { Migration } from './migrations.ts';

/** The lock that Prisma's own migrate takes, so that the two keep out of each other's way. */
const LOCK = 72_707_369;
const LOCK_WAIT_SECONDS = 60;

const HISTORY = `CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
    "id"                  VARCHAR(36) PRIMARY KEY NOT NULL,
    "checksum"            VARCHAR(64) NOT NULL,
    "finished_at"         TIMESTAMPTZ,
    "migration_name"      VARCHAR(255) NOT NULL,
    "logs"                TEXT,
    "rolled_back_at"      TIMESTAMPTZ,
    "started_at"          TIMESTAMPTZ NOT NULL DEFAULT now(),
    "applied_steps_count" INTEGER NOT NULL DEFAULT 0)`;

interface Applied {
  readonly migration_name: string;
  readonly checksum: string;
  readonly is_finished: boolean;
}

/**
 * @param client a connection of its own
 * @returns the names of those it applied; empty when there was nothing to do
 * @throws ServiceError FAILED_PRECONDITION: one that was applied has changed since, or failed half way
 * @throws ServiceError UNAVAILABLE: another process is at it for more than a minute, or a table is in use for as long
 * @throws ServiceError INTERNAL: a migration's SQL failed; nothing was changed
 */
export async function applyMigrations(client: pg.Client, schema: string, migrations: readonly Migration[]): Promise<readonly string[]> {
  // Nearly every start: everything is there, no lock is needed to see it.
  if (missing(migrations, await history(client, schema)).length === 0) return [];

  await client.query('BEGIN');
  try {
    await lock(client);
    if (schema !== 'public') await client.query(`CREATE SCHEMA IF NOT EXISTS "${schema}"`);
    await client.query(HISTORY);
    const toApply = missing(migrations, await history(client, schema));
    await holdTables(client, schema, toApply);
    for (const migration of toApply) await apply(client, migration);
    await client.query('COMMIT');
    return toApply.map(({ name }) => name);
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

async function history(client: pg.Client, schema: string): Promise<readonly Applied[]> {
  const table = await client.query<{ found: string | null }>(`SELECT to_regclass($1)::text AS found`, [`"${schema}"."_prisma_migrations"`]);
  if (table.rows[0]?.found == null) return [];
  const { rows } = await client.query<Applied>(
    'SELECT migration_name, checksum, finished_at IS NOT NULL AS is_finished FROM "_prisma_migrations" WHERE rolled_back_at IS NULL',
  );
  return rows;
}

function missing(migrations: readonly Migration[], applied: readonly Applied[]): readonly Migration[] {
  const known = new Map(applied.map((row) => [row.migration_name, row]));
  return migrations.filter((migration) => {
    const row = known.get(migration.name);
    if (row === undefined) return true;
    if (!row.is_finished) {
      throw new ServiceError('FAILED_PRECONDITION', `the migration ${migration.name} has failed half way before; put it right with prisma migrate resolve`);
    }
    if (row.checksum !== checksum(migration)) {
      throw new ServiceError('FAILED_PRECONDITION', `the migration ${migration.name} is not the one that this database was made with; add a new one instead of editing it`);
    }
    return false;
  });
}

async function lock(client: pg.Client): Promise<void> {
  await client.query(`SET LOCAL lock_timeout = '${LOCK_WAIT_SECONDS}s'`);
  try {
    await client.query('SELECT pg_advisory_xact_lock($1)', [LOCK]);
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== '55P03') throw cause;
    throw new ServiceError('UNAVAILABLE', `another process is migrating this database for more than ${LOCK_WAIT_SECONDS} seconds`, { cause });
  }
}

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  const startedAt = new Date();
  try {
    await client.query(migration.sql);
  } catch (cause) {
    const { message } = cause as Error;
    throw new ServiceError('INTERNAL', `the migration ${migration.name} failed and nothing was changed: ${message}`, { cause });
  }
  await client.query(
    `INSERT INTO "_prisma_migrations" (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
     VALUES ($1, $2, $3, $4, $5, 1)`,
    [randomUUID(), checksum(migration), migration.name, startedAt, new Date()],
  );
}

function checksum(migration: Migration): string {
  return createHash('sha256').update(migration.sql).digest('hex');
}
