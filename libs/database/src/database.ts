/**
 * One database of ours, wherever it is: a PostgreSQL server, or a schema of the embedded one. Both are reached
 * by node-postgres and Prisma's adapter for it, so that what holds on one holds on the other.
 */
import pg from 'pg';
import { PrismaPg } from '@prisma/adapter-pg';
import { ServiceError } from '@gatehouse/errors/service-error';
import { applyMigrations } from './apply-migrations.ts';
import { toDatabaseError } from './database-error.ts';
import { openEmbeddedPostgresql } from './embedded-postgresql.ts';
import type { EmbeddedPostgresql } from './embedded-postgresql.ts';
import { EmbeddedSocket } from './embedded-socket.ts';
import type { Migration } from './migrations.ts';
import { openSql } from './sql.ts';
import type { Sql } from './sql.ts';

export type DatabaseSource =
  /** postgresql://user:password@host:port/database?sslmode=... and pgbouncer=true where a pooler in between keeps no prepared statements */
  | { readonly url: string; readonly connectionsMax?: number }
  /** A schema of an embedded PostgreSQL that the caller opened, shares and closes. */
  | { readonly embedded: EmbeddedPostgresql }
  /** An embedded PostgreSQL of its own in this folder (or `memory://`). Two databases in one process: use `embedded`. */
  | { readonly dataDir: string };

export interface DatabaseKind {
  /** Its schema where it shares an embedded PostgreSQL; a server's own database holds it in `public`. */
  readonly schema: string;
  readonly migrations: readonly Migration[];
}

export interface Database {
  /** For a PrismaClient. */
  readonly adapter: PrismaPg;
  /** For statements without Prisma. */
  readonly sql: Sql;
  /** @returns the names of the migrations it applied */
  migrate(): Promise<{ readonly applied: readonly string[] }>;
  /** Resolves when a query is answered and all migrations known here are applied. @throws ServiceError UNAVAILABLE */
  check(): Promise<void>;
  close(): Promise<void>;
}

/** A process's connections to one server's database; node-postgres queues whoever comes after them. */
const CONNECTIONS_MAX = 10;
/** Connections to the embedded backend are turns at one session: a second one could only wait. */
const EMBEDDED_CONNECTIONS_MAX = 1;
/** Until a connection is made, or one of the pool is free. */
const CONNECT_TIMEOUT_MS = 5_000;
/** Until a statement is answered. */
const QUERY_TIMEOUT_MS = 15_000;
const IDLE_TIMEOUT_MS = 30_000;

const IS_APPLIED = 'SELECT 1 FROM _prisma_migrations WHERE migration_name = $1 AND finished_at IS NOT NULL AND rolled_back_at IS NULL';

/**
 * Connects at the first use.
 * @throws ServiceError INVALID_ARGUMENT: the URL is not one of PostgreSQL (it is never shown: it holds a password)
 * @throws ServiceError FAILED_PRECONDITION: the folder of an embedded database cannot be used
 */
export async function openDatabase(source: DatabaseSource, kind: DatabaseKind): Promise<Database> {
  if ('url' in source) {
    const config = { connectionString: checkedUrl(source.url), max: source.connectionsMax ?? CONNECTIONS_MAX };
    const isPrepared = new URL(source.url).searchParams.get('pgbouncer') !== 'true';
    return databaseOf(config, 'public', kind.migrations, { isPrepared, release: async () => {} });
  }
  const server = 'embedded' in source ? source.embedded : await openEmbeddedPostgresql(source.dataDir);
  const config = {
    max: EMBEDDED_CONNECTIONS_MAX,
    stream: () => new EmbeddedSocket(server, kind.schema),
    // Or node-postgres would look for them in the environment.
    host: 'embedded', user: 'postgres', password: '', database: 'postgres', ssl: false,
  };
  return databaseOf(config, kind.schema, kind.migrations, { isPrepared: false, release: 'embedded' in source ? async () => {} : () => server.close() });
}

interface Backend {
  /** Each connection is a session of its own, and may have prepared statements. */
  readonly isPrepared: boolean;
  release(): Promise<void>;
}

function databaseOf(config: pg.PoolConfig, schema: string, migrations: readonly Migration[], backend: Backend): Database {
  const limits = {
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'gatehouse',
  };
  const pool = new pg.Pool({ ...limits, ...config });
  // An idle connection that the server closes; the pool has dropped it, and the next use makes another.
  pool.on('error', () => {});
  // The same of one that is in use and waits between two statements: the next one is refused. Unheard, it would end the process.
  pool.on('connect', (client) => client.on('error', () => {}));
  // A connection whose ROLLBACK was not answered in time would take the next user's statements into its transaction.
  pool.on('release', (_error, client) => {
    if (client.getTransactionStatus() !== 'I') void client.end().catch(() => {});
  });
  const newest = migrations.at(-1)?.name ?? '';
  let closing: Promise<void> | undefined;

  return {
    adapter: new PrismaPg(pool, { schema }),
    sql: openSql(pool, backend.isPrepared),
    async migrate() {
      const client = new pg.Client({ ...limits, ...config, query_timeout: 0 });
      client.on('error', () => {});
      try {
        await client.connect();
        return { applied: await applyMigrations(client, schema, migrations) };
      } catch (error) {
        throw toDatabaseError(error);
      } finally {
        await client.end().catch(() => {});
      }
    },
    async check() {
      const { rowCount } = await pool.query(IS_APPLIED, [newest]).catch((error: unknown) => {
        throw toDatabaseError(error);
      });
      if (rowCount === 0) throw new ServiceError('UNAVAILABLE', `the database lacks the migration ${newest}`);
    },
    close() {
      closing ??= pool.end().then(() => backend.release());
      return closing;
    },
  };
}

function checkedUrl(text: string): string {
  const expected = 'expected a database URL like postgresql://user:password@host:5432/name';
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isOurs = url !== undefined && ['postgresql:', 'postgres:'].includes(url.protocol);
  // A socket's folder may stand in ?host= instead.
  const isWhole = isOurs && url.pathname.length >= 2 && (url.hostname !== '' || url.searchParams.has('host'));
  if (!isWhole) {
    throw new ServiceError('INVALID_ARGUMENT', expected);
  }
  // Prisma's own tools know ?schema=; taking it and then using `public` would mislead.
  if (url.searchParams.has('schema')) throw new ServiceError('INVALID_ARGUMENT', `${expected}, without ?schema=: the tables live in public`);
  return text;
}
