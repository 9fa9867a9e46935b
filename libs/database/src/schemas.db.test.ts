import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'mocha';
import { openDatabase } from './database.ts';
import type { Database } from './database.ts';
import type { Migration } from './migrations.ts';
import { diagnose, diffSql, openSchemaEngine } from './schema-engine.ts';
import { START_TIMEOUT_MS, TEST_DATABASES } from './testing.ts';
import type { TestServer } from './testing.ts';

const PRISMA = fileURLToPath(new URL('../../../prisma/', import.meta.url));

/** What a schema consists of, a line a thing. The collation of names is ours: Prisma has no word for it. */
const CATALOG = `
  SELECT format('column %s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
    CASE WHEN a.attnotnull THEN 'NOT NULL' ELSE 'NULL' END,
    regexp_replace(coalesce(pg_get_expr(d.adbin, d.adrelid), ''), '"?\\w+"?\\.', '', 'g'))
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
  WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'r' AND c.relname <> '_prisma_migrations'
  UNION ALL
  SELECT replace(pg_get_indexdef(i.indexrelid), format(' ON %s.', $1), ' ON ')
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
  WHERE c.relnamespace = $1::regnamespace AND c.relname <> '_prisma_migrations'
  UNION ALL
  SELECT format('constraint %s on %s: %s', o.conname, c.relname, replace(pg_get_constraintdef(o.oid), $1 || '.', ''))
  FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
  WHERE c.relnamespace = $1::regnamespace AND c.relname <> '_prisma_migrations'
  ORDER BY 1`;

for (const name of ['api', 'cell']) {
  for (const kind of TEST_DATABASES) {
    describe(`the schema of the ${name} database on ${kind.name}`, () => {
      let server: TestServer;
      let schema: string;
      let migrations: Migration[];
      const opened: Database[] = [];

      before(async function () {
        this.timeout(START_TIMEOUT_MS);
        schema = await readFile(`${PRISMA}${name}/schema.prisma`, 'utf8');
        const names = (await readdir(`${PRISMA}${name}/migrations`)).filter((entry) => !entry.endsWith('.toml')).sort();
        migrations = await Promise.all(
          names.map(async (each) => ({ name: each, sql: await readFile(`${PRISMA}${name}/migrations/${each}/migration.sql`, 'utf8') })),
        );
        server = await kind.start();
      });
      after(async () => {
        await Promise.all(opened.map((database) => database.close()));
        await server.stop();
      });

      async function open(migrations: readonly Migration[]): Promise<Database> {
        const database = await openDatabase(await server.source(), { schema: `${name}_${opened.length}`, migrations });
        opened.push(database);
        return database;
      }

      async function catalogOf(migrations: readonly Migration[]): Promise<readonly unknown[]> {
        const database = await open(migrations);
        await database.migrate();
        const adapter = await database.adapter.connect();
        const { rows } = await adapter.queryRaw({ sql: CATALOG, args: [adapter.getConnectionInfo().schemaName], argTypes: [{ scalarType: 'string', arity: 'scalar' }] });
        return rows.flat();
      }

      async function catalogOfSchema(content: string): Promise<readonly unknown[]> {
        const database = await open([]);
        const sql = await diffSql(await openSchemaEngine(content, database.adapter), null, content);
        return catalogOf([{ name: '20000101000000_all', sql: sql.replace('CREATE SCHEMA IF NOT EXISTS "public";', '') }]);
      }

      it('is told apart from its migrations as soon as one column differs', async function () {
        this.timeout(30_000);
        const other = schema.replace('@@map("key_pairs")', 'colour String?\n  @@map("key_pairs")');
        const found = await catalogOfSchema(other);
        const expected = await catalogOf(migrations);
        assert.deepEqual(found.filter((line) => !expected.includes(line)), ['column key_pairs.colour text NULL ']);
      });

      it('is what its migrations make', async function () {
        this.timeout(30_000);
        const found = await catalogOf(migrations);
        assert.ok(found.length > 20);
        assert.deepEqual(found, await catalogOfSchema(schema));
      });

      it('is made from nothing, and Prisma finds its history clean', async function () {
        this.timeout(30_000);
        const database = await open(migrations);
        assert.deepEqual((await database.migrate()).applied, migrations.map((migration) => migration.name));
        assert.deepEqual(await database.migrate(), { applied: [] });
        const { history, failedMigrationNames, editedMigrationNames } = await diagnose(await openSchemaEngine(schema, database.adapter), migrations);
        assert.deepEqual({ history, failedMigrationNames, editedMigrationNames }, { history: null, failedMigrationNames: [], editedMigrationNames: [] });
      });
    });
  }
}
