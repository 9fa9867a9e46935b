/**
 * Prisma's own schema engine, from its WebAssembly package, for tests and for writing migrations: it says
 * what a migration must contain and whether a database's history is clean. Production never loads it
 * (apply-migrations.ts needs no engine); the package is a development dependency.
 *
 * The package's entry imports the .wasm file as a module, which Node 20 cannot, so it is instantiated by hand.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import type { SqlMigrationAwareDriverAdapterFactory } from '@prisma/driver-adapter-utils';
import * as bindings from '@prisma/schema-engine-wasm/schema_engine_bg';
import type { DiagnoseMigrationHistoryOutput, MigrationList, SchemaEngine } from '@prisma/schema-engine-wasm';
import type { Migration } from './migrations.ts';

const NO_FILTER = { externalTables: [], externalEnums: [] };
let ready: Promise<void> | undefined;

function load(): Promise<void> {
  ready ??= (async () => {
    const entry = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg');
    const wasm = await readFile(join(dirname(entry), 'schema_engine_bg.wasm'));
    const { instance } = await WebAssembly.instantiate(wasm, { './schema_engine_bg.js': { ...bindings } });
    bindings.__wbg_set_wasm(instance.exports);
    (instance.exports['__wbindgen_start'] as () => void)();
  })();
  return ready;
}

/**
 * An engine that talks to the database behind `factory`. It cannot read a schema out of one: adapter-pg 7.10 does not
 * know the type "char" of the system catalogs.
 */
export async function openSchemaEngine(schema: string, factory: SqlMigrationAwareDriverAdapterFactory): Promise<SchemaEngine> {
  await load();
  const datamodels: [string, string][] = [['schema.prisma', schema]];
  return bindings.SchemaEngine.new({ datamodels }, () => {}, bindMigrationAwareSqlAdapterFactory(factory));
}

/** The engine's own form of a migrations folder. */
export function migrationList(migrations: readonly Migration[]): MigrationList {
  return {
    baseDir: '/migrations',
    lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"\n' },
    shadowDbInitScript: '',
    migrationDirectories: migrations.map(({ name, sql }) => ({
      path: name,
      migrationFile: { path: 'migration.sql', content: { tag: 'ok' as const, value: sql } },
    })),
  };
}

/** The SQL that leads from one schema (null: an empty database) to another; '' when they agree. */
export async function diffSql(engine: SchemaEngine, from: string | null, to: string): Promise<string> {
  const target = (content: string | null) =>
    content === null ? { tag: 'empty' as const } : { tag: 'schemaDatamodel' as const, files: [{ path: 'schema.prisma', content }] };
  const result = await engine.diff({ from: target(from), to: target(to), script: true, exitCode: null, filters: NO_FILTER });
  const sql = result.stdout ?? '';
  return sql.trim() === '-- This is an empty migration.' ? '' : sql;
}

/** What Prisma itself thinks of a database's history. */
export async function diagnose(engine: SchemaEngine, migrations: readonly Migration[]): Promise<DiagnoseMigrationHistoryOutput> {
  return engine.diagnoseMigrationHistory({
    migrationsList: migrationList(migrations),
    optInToShadowDatabase: false,
    filters: NO_FILTER,
  });
}

/** What `prisma migrate deploy` does. @returns the names of what it applied */
export async function deploy(engine: SchemaEngine, migrations: readonly Migration[]): Promise<readonly string[]> {
  const result = await engine.applyMigrations({ migrationsList: migrationList(migrations), filters: NO_FILTER });
  return result.appliedMigrationNames;
}
