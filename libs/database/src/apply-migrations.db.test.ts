import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { ServiceError } from '@gatehouse/errors/service-error';
import { openDatabase } from './database.ts';
import type { Database, DatabaseSource } from './database.ts';
import type { Migration } from './migrations.ts';
import { deploy, diagnose, openSchemaEngine } from './schema-engine.ts';
import { START_TIMEOUT_MS, TEST_DATABASES } from './testing.ts';
import type { TestServer } from './testing.ts';

const FIRST: Migration = { name: '20260101000000_first', sql: 'CREATE TABLE "apples" ("id" SERIAL PRIMARY KEY);\nCREATE TABLE "pears" ("id" INTEGER);' };
const SECOND: Migration = { name: '20260102000000_second', sql: '-- a comment\nALTER TABLE "apples" ADD COLUMN "kind" TEXT;' };
const BROKEN: Migration = { name: '20260103000000_broken', sql: 'CREATE TABLE "plums" ("id" INTEGER);\nALTER TABLE "nowhere" ADD COLUMN "x" TEXT;' };
const SCHEMA = 'datasource db {\n  provider = "postgresql"\n}\n';

for (const kind of TEST_DATABASES) {
  describe(`migrations on ${kind.name}`, () => {
    let server: TestServer;
    let number = 0;
    const opened: Database[] = [];

    before(async function () {
      this.timeout(START_TIMEOUT_MS);
      server = await kind.start();
    });
    after(async function () {
      this.timeout(START_TIMEOUT_MS);
      await Promise.all(opened.map((database) => database.close()));
      await server.stop();
    });

    /** Opens the same empty database with different migrations, as programs of different ages would. */
    async function fresh(): Promise<(...migrations: Migration[]) => Promise<Database>> {
      const source: DatabaseSource = await server.source();
      number += 1;
      const schema = 'embedded' in source ? `migrations_${number}` : 'public';
      return async (...migrations) => {
        const database = await openDatabase(source, { schema, migrations });
        opened.push(database);
        return database;
      };
    }

    const engine = (database: Database) => openSchemaEngine(SCHEMA, database.adapter);

    async function run(database: Database, sql: (schema: string) => string): Promise<void> {
      const adapter = await database.adapter.connect();
      await adapter.executeRaw({ sql: sql(adapter.getConnectionInfo().schemaName ?? 'public'), args: [], argTypes: [] });
    }

    it('that fail change nothing, not even by those before them', async () => {
      const open = await fresh();
      await assert.rejects((await open(FIRST, BROKEN)).migrate(), (error) => {
        assert.ok(error instanceof ServiceError);
        assert.equal(error.code, 'INTERNAL');
        assert.match(error.message, /20260103000000_broken failed and nothing was changed: .*nowhere/);
        return true;
      });
      assert.deepEqual(await (await open(FIRST)).migrate(), { applied: [FIRST.name] });
    });

    it('that were edited after they were applied are refused', async () => {
      const open = await fresh();
      await (await open(FIRST)).migrate();
      const edited = await open({ ...FIRST, sql: `${FIRST.sql} ` }, SECOND);
      await assert.rejects(edited.migrate(), { code: 'FAILED_PRECONDITION', message: /20260101000000_first is not the one/ });
    });

    it('that another tool left half done are refused', async () => {
      const open = await fresh();
      const database = await open(FIRST);
      await database.migrate();
      await run(database, (schema) => `UPDATE "${schema}"."_prisma_migrations" SET finished_at = NULL`);
      await assert.rejects(database.migrate(), { code: 'FAILED_PRECONDITION', message: /half way/ });
      await run(database, (schema) => `UPDATE "${schema}"."_prisma_migrations" SET rolled_back_at = now()`);
      await run(database, (schema) => `DROP TABLE "${schema}".apples, "${schema}".pears`);
      assert.deepEqual(await database.migrate(), { applied: [FIRST.name] });
    });

    it('are applied from nothing, in order, and are a no-op the second time', async () => {
      const open = await fresh();
      const database = await open(FIRST, SECOND);
      assert.deepEqual(await database.migrate(), { applied: [FIRST.name, SECOND.name] });
      assert.deepEqual(await database.migrate(), { applied: [] });
    });

    it('leave a history that Prisma finds clean and has nothing to add to', async () => {
      const open = await fresh();
      const database = await open(FIRST, SECOND);
      await database.migrate();
      const prisma = await engine(database);
      assert.deepEqual(await diagnose(prisma, [FIRST, SECOND]), {
        editedMigrationNames: [],
        failedMigrationNames: [],
        hasMigrationsTable: true,
        history: null,
      });
      assert.deepEqual(await deploy(prisma, [FIRST, SECOND]), []);
    });

    it('go on where Prisma\'s own migrate stopped', async () => {
      const open = await fresh();
      const prismas = await open();
      await prismas.migrate();
      await deploy(await engine(prismas), [FIRST]);
      // Its engine keeps the lock on migrations for as long as its connection lives.
      await prismas.close();
      assert.deepEqual(await (await open(FIRST, SECOND)).migrate(), { applied: [SECOND.name] });
    });

    it('that are newer than this program are left alone', async () => {
      const open = await fresh();
      await (await open(FIRST, SECOND)).migrate();
      assert.deepEqual(await (await open(FIRST)).migrate(), { applied: [] });
    });

    it('are applied once by processes that start together', async function () {
      this.timeout(30_000);
      const open = await fresh();
      const databases = await Promise.all(Array.from({ length: 4 }, () => open(FIRST, SECOND)));
      const applied = await Promise.all(databases.map(async (database) => (await database.migrate()).applied));
      assert.deepEqual(applied.flat(), [FIRST.name, SECOND.name]);
    });
  });
}
