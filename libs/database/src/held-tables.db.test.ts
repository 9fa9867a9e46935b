import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { applyMigrations } from './apply-migrations.ts';
import { holdTables } from './held-tables.ts';
import type { Migration } from './migrations.ts';

const FIRST: Migration = { name: '20260101000000_first', sql: 'CREATE TABLE "apples" ("id" INTEGER);\nCREATE TABLE "pears" ("id" INTEGER);' };
const SECOND: Migration = { name: '20260102000000_second', sql: 'ALTER TABLE "apples" ADD COLUMN "kind" TEXT;\nALTER TABLE "pears" ADD COLUMN "kind" TEXT;' };

describe('migrations beside services that go on', function () {
  this.timeout(60_000);
  let postgresql: Postgresql;
  let url: string;
  const clients: pg.Client[] = [];

  before(async () => (postgresql = await startPostgresql()));
  after(() => postgresql?.stop());
  beforeEach(async () => {
    url = await postgresql.createDatabase();
    await applyMigrations(await connect(), 'public', [FIRST]);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.end();
  });

  async function connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    clients.push(client);
    return client;
  }

  async function until(sql: string, what: string): Promise<void> {
    const looking = await connect();
    for (const deadline = performance.now() + 20_000; ; await pause(5)) {
      const { rows } = await looking.query<{ readonly is_so: boolean }>(`SELECT ${sql} AS is_so`);
      if (rows[0]?.is_so === true) return;
      assert.ok(performance.now() < deadline, `waited in vain: ${what}`);
    }
  }

  it('say which tables are in use for too long, and have held nothing then', async () => {
    const [service, migrating] = [await connect(), await connect()];
    await service.query('BEGIN');
    await service.query('SELECT * FROM pears');
    await migrating.query('BEGIN');
    await assert.rejects(holdTables(migrating, 'public', [FIRST, SECOND], { tableMs: 20, pauseMs: 5, totalMs: 100 }), {
      code: 'UNAVAILABLE',
      message: /needs apples, pears for itself .* in use for 0\.1 seconds; nothing was changed\. Look in pg_stat_activity/,
    });
    await service.query('SELECT * FROM apples');
    await migrating.query('ROLLBACK');
  });

  it('let transactions finish that have one table and want another, and then have both', async () => {
    const [service, migrating] = [await connect(), await connect()];
    await service.query('BEGIN');
    await service.query('INSERT INTO pears VALUES (1)');
    const migrated = applyMigrations(migrating, 'public', [FIRST, SECOND]);
    await until(`EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'pears'::regclass)`, 'the migration has the apples and waits for the pears');
    await service.query('INSERT INTO apples VALUES (1)');
    await service.query('COMMIT');
    assert.deepEqual(await migrated, [SECOND.name]);
    await migrating.query('SELECT pg_stat_force_next_flush()');
    await until('(SELECT deadlocks = 0 FROM pg_stat_database WHERE datname = current_database())', 'nobody was taken for a part of a ring');
  });
});
