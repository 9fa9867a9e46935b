/** `gatehouse db online-data-migrations`: opens the databases, runs the driver over them, and tells what was done. */
import { isServiceError, ServiceError } from '@gatehouse/errors/service-error';
import { isWriteConflict } from '@gatehouse/database/database-error';
import { openApiDb } from '@gatehouse/api-db/api-db';
import type { ApiDb } from '@gatehouse/api-db/api-db';
import type { KeyPairAdoptions } from '@gatehouse/api-db/key-pair-adoptions-store';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { MigrationOptions } from './arguments.ts';
import type { CliConfig } from './config.ts';
import { dryInstanceKeypairs, dryKeypairsToApiDb } from './dry-run.ts';
import { MIGRATE_INSTANCE_KEYPAIRS, MigrateInstanceKeypairs } from './migrate-instance-keypairs.ts';
import { MIGRATE_KEYPAIRS_TO_API_DB, MigrateKeypairsToApiDb } from './migrate-keypairs-to-api-db.ts';
import { LANES } from './migration.ts';
import type { CellMigration } from './migration.ts';
import { BAD_COUNT, DONE, ERRORS, MORE_TO_DO, exitCodeOf, readMaxCount, runOnlineDataMigrations } from './online-data-migrations.ts';
import type { DriverResult } from './online-data-migrations.ts';
import { OverCells } from './over-cells.ts';
import { Progress } from './progress.ts';
import type { Screen } from './progress.ts';
import { jsonReport, textReport } from './report.ts';
import { listSetAside } from './set-aside-rows.ts';
import type { SetAsideRow } from './set-aside-rows.ts';

export interface Surroundings {
  /** Aborted: the batches under way end, then the run. */
  readonly signal: AbortSignal;
  readonly clock: () => Date;
  print(line: string): void;
  /** Where a bar can be drawn; null: nowhere. */
  readonly screen: Screen | null;
  /** The bar and what is printed share one terminal, which lines of every batch would flood. */
  readonly isOneTerminal: boolean;
}

interface Cell {
  /** Where it is, without who asks. */
  readonly name: string;
  readonly db: CellDb;
}

/** @returns the exit code @throws ServiceError INVALID_ARGUMENT: a setting is wrong */
export async function migrateDatabases(options: MigrationOptions, readSettings: () => CliConfig, surroundings: Surroundings): Promise<number> {
  const maxCount = options.maxCount === null ? null : readMaxCount(options.maxCount);
  if (options.maxCount !== null && maxCount === null) {
    surroundings.print('Must supply a positive value for max_number');
    return BAD_COUNT;
  }
  const config = readSettings();
  const urls = cellUrlsOf(config);
  const opened = await openApiDb({ url: config.apiDatabaseUrl, connectionsMax: urls.length * LANES + 1 });
  const apiDb = { ...opened, keyPairAdoptions: named(opened.keyPairAdoptions, `the API database ${placeOf(config.apiDatabaseUrl)}`) };
  const cells: Cell[] = [];
  try {
    for (const url of urls) cells.push({ name: placeOf(url), db: await openCell(url) });
    return await migrate({ apiDb, cells }, { ...options, maxCount }, surroundings);
  } finally {
    await Promise.allSettled([apiDb.close(), ...cells.map(({ db }) => db.close())]);
  }
}

type Options = Omit<MigrationOptions, 'maxCount'> & { readonly maxCount: number | null };

async function migrate(databases: { readonly apiDb: ApiDb; readonly cells: readonly Cell[] }, options: Options, { signal, clock, print, screen, isOneTerminal }: Surroundings): Promise<number> {
  const progress = screen === null || options.isJson ? null : new Progress(screen, await countRows(databases.cells, options), () => clock().getTime());
  const found: SetAsideRow[] = [];
  const overCells = { isUnlimited: options.maxCount === null, signal, onBatch: ({ done, setAside }: { done: number; setAside: number }) => progress?.add(done + setAside) };
  const migrations = migrationsOf(databases, options, clock, (row) => found.push(row)).map(([name, cells]) => new OverCells(name, cells, overCells));
  const line = (text: string): void => {
    if (options.isJson) return;
    if (progress === null) print(text);
    else if (!isOneTerminal || !text.includes(' rows matched query ')) progress.print(() => print(text));
  };
  if (options.isDryRun) line('Dry run: nothing is written');
  const result = await runOnlineDataMigrations(migrations, { maxCount: options.maxCount, signal, line });
  progress?.end();
  const listed = await listSetAside(databases.cells);
  const setAside = options.isDryRun ? { rows: withoutDoubles([...found, ...listed.rows]), total: 0 } : listed;
  if (options.isDryRun) Object.assign(setAside, { total: setAside.rows.length });
  const exitCode = options.isDryRun ? dryExitCode(result, setAside.total) : exitCodeOf(result, options.maxCount !== null, setAside.total);
  const run = { result, cells: migrations.flatMap((each) => each.progress), setAside, isDryRun: options.isDryRun, exitCode };
  print(options.isJson ? jsonReport(run) : textReport(run));
  return exitCode;
}

function migrationsOf({ apiDb, cells }: { readonly apiDb: ApiDb; readonly cells: readonly Cell[] }, { isDryRun, retriesSetAside }: Options, clock: () => Date, found: (row: SetAsideRow) => void): readonly (readonly [string, ReadonlyMap<string, CellMigration>])[] {
  const dry = cells.map(({ name, db }, index) => ({ cell: name, cellDb: db, apiDb, before: cells.slice(0, index).map((cell) => cell.db), retries: retriesSetAside, clock, found }));
  const instances = isDryRun ? dry.map(dryInstanceKeypairs) : cells.map(({ db }) => new MigrateInstanceKeypairs(db, apiDb, clock, retriesSetAside));
  const keyPairs = isDryRun ? dry.map(dryKeypairsToApiDb) : cells.map(({ db }) => new MigrateKeypairsToApiDb(db, apiDb, clock, retriesSetAside));
  const byCell = (migrations: readonly CellMigration[]): ReadonlyMap<string, CellMigration> =>
    new Map(cells.map(({ name }, index) => [name, migrations[index] as CellMigration]));
  return [[MIGRATE_INSTANCE_KEYPAIRS, byCell(instances)], [MIGRATE_KEYPAIRS_TO_API_DB, byCell(keyPairs)]];
}

function dryExitCode({ ranLast, totals, failures }: DriverResult, setAside: number): number {
  if (failures.length > 0) return ERRORS;
  const isWork = ranLast > 0 || [...totals.values()].some(({ done }) => done > 0);
  if (isWork) return MORE_TO_DO;
  return setAside > 0 ? ERRORS : DONE;
}

/** What the bar goes up to; a cell that does not answer is told of when it is migrated. */
async function countRows(cells: readonly Cell[], { maxCount, retriesSetAside }: Options): Promise<number> {
  const counts = await Promise.all(cells.flatMap(({ db }) => [db.instanceKeyPairMoves, db.keyPairMoves]).map(async (store) => {
    const { remaining, setAside } = await store.count().catch(() => ({ remaining: 0, setAside: 0 }));
    return remaining + (retriesSetAside ? setAside : 0);
  }));
  return Math.min(counts.reduce((total, count) => total + count, 0), maxCount ?? Number.POSITIVE_INFINITY);
}

function withoutDoubles(rows: readonly SetAsideRow[]): readonly SetAsideRow[] {
  return [...new Map(rows.map((row) => [JSON.stringify([row.cell, row.table, row.id]), row])).values()];
}

function cellUrlsOf({ cellDatabaseUrls, cellDatabaseUrl }: CliConfig): readonly string[] {
  if (cellDatabaseUrls === null && cellDatabaseUrl === null) {
    throw new ServiceError('INVALID_ARGUMENT', 'GATEHOUSE_CELL_DATABASE_URLS is not set: set the URLs of the cells\' databases, separated by commas');
  }
  const urls = cellDatabaseUrls ?? [cellDatabaseUrl ?? ''];
  const places = urls.map(placeOf);
  const twice = places.find((place, index) => places.indexOf(place) !== index);
  if (twice !== undefined) throw new ServiceError('INVALID_ARGUMENT', `GATEHOUSE_CELL_DATABASE_URLS names ${twice} twice: name each cell's database once`);
  return urls;
}

/** What it cannot do is told with its name: it is asked in the middle of a cell's work, and would be taken for the cell's. */
function named(adoptions: KeyPairAdoptions, name: string): KeyPairAdoptions {
  const rename = (error: unknown): never => {
    // A conflict is known by its words, and tried again.
    if (!isServiceError(error) || isWriteConflict(error)) throw error;
    throw new ServiceError(error.code, `${name}: ${error.message}`, { cause: error });
  };
  return {
    adopt: (rows) => adoptions.adopt(rows).catch(rename),
    findMany: (wanted) => adoptions.findMany(wanted).catch(rename),
    reserveIds: (idMax) => adoptions.reserveIds(idMax).catch(rename),
  };
}

/** host:port/database: what may be shown of a URL. */
function placeOf(url: string): string {
  if (!URL.canParse(url)) return 'a URL that cannot be read';
  const { hostname, port, pathname, searchParams } = new URL(url);
  return `${hostname === '' ? (searchParams.get('host') ?? '') : hostname}${port === '' ? '' : `:${port}`}${pathname}`;
}

async function openCell(url: string): Promise<CellDb> {
  try {
    return await openCellDb({ url, connectionsMax: LANES + 1 });
  } catch (error) {
    throw new ServiceError('INVALID_ARGUMENT', `GATEHOUSE_CELL_DATABASE_URLS is wrong (its value is secret and not shown): ${error instanceof Error ? error.message : 'one cannot be read'}`, { cause: error });
  }
}
