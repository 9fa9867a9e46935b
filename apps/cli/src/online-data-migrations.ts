/**
 * Nova's driver of online data migrations (nova/cmd/manage.py, DbCommands.online_data_migrations): batch after batch of each
 * migration in turn until a pass does nothing, or one pass of at most so many rows. Its words, its counts and its exit codes. Ours apart: rows
 * that are set aside are progress too, so that fifty of them in a row do not end a run with the rest unmoved.
 */
import { BATCH_ROWS, NOTHING, sum } from './migration.ts';
import type { Batch, Failure, Migration } from './migration.ts';

export interface DriverOptions {
  /** Null: until complete. */
  readonly maxCount: number | null;
  /** Ends the run after the batches that are under way. */
  readonly signal: AbortSignal;
  line(text: string): void;
}

export interface FailedMigration extends Failure {
  readonly migration: string;
}

export interface DriverResult {
  /** By name, those that ran; found and done are sums over the passes. */
  readonly totals: ReadonlyMap<string, Batch>;
  /** Rows of the last pass that were done or set aside. */
  readonly ranLast: number;
  readonly failures: readonly FailedMigration[];
  readonly isInterrupted: boolean;
}

export const DONE = 0;
export const MORE_TO_DO = 1;
export const ERRORS = 2;
export const BAD_COUNT = 127;

/** Null for what Nova refuses: less than one, or no number as Python reads it. */
export function readMaxCount(text: string): number | null {
  const trimmed = text.trim();
  const count = /^\+?\d+(_\d+)*$/.test(trimmed) ? Number(trimmed.replaceAll('_', '')) : 0;
  return count < 1 ? null : Math.min(count, Number.MAX_SAFE_INTEGER);
}

export async function runOnlineDataMigrations(migrations: readonly Migration[], options: DriverOptions): Promise<DriverResult> {
  const totals = new Map<string, Batch>();
  const failures: FailedMigration[] = [];
  const { maxCount, signal, line } = options;
  if (maxCount === null) line(`Running batches of ${BATCH_ROWS} until complete`);
  for (;;) {
    const pass = await runPass(migrations, maxCount ?? BATCH_ROWS, options);
    for (const [name, batch] of pass.batches) totals.set(name, sum(totals.get(name) ?? NOTHING, batch));
    failures.push(...pass.failures);
    if (maxCount !== null || pass.ran === 0 || signal.aborted) return { totals, ranLast: pass.ran, failures, isInterrupted: signal.aborted };
  }
}

interface Pass {
  readonly batches: ReadonlyMap<string, Batch>;
  readonly ran: number;
  readonly failures: readonly FailedMigration[];
}

async function runPass(migrations: readonly Migration[], count: number, { signal, line }: DriverOptions): Promise<Pass> {
  const batches = new Map<string, Batch>();
  const failures: FailedMigration[] = [];
  let ran = 0;
  for (const migration of migrations) {
    if (signal.aborted) break;
    let total = NOTHING;
    const failed = await attempt(migration, count - ran, (batch) => {
      total = sum(total, batch);
      if (batch.found > 0) line(`${batch.found} rows matched query ${migration.name}, ${batch.done} migrated`);
    });
    for (const failure of failed) {
      failures.push({ ...failure, migration: migration.name });
      line(`Error attempting to run ${migration.name}${failure.cell === null ? '' : ` in ${failure.cell}`}: ${failure.message}`);
    }
    batches.set(migration.name, total);
    ran += total.done + total.setAside;
    if (ran >= count) break;
  }
  return { batches, ran, failures };
}

async function attempt(migration: Migration, count: number, ended: (batch: Batch) => void): Promise<readonly Failure[]> {
  try {
    return await migration.run(count, ended);
  } catch (error) {
    return [{ cell: null, message: error instanceof Error ? error.message : String(error) }];
  }
}

/** `setAside`: how many rows are, in all cells. */
export function exitCodeOf({ ranLast, failures, isInterrupted }: DriverResult, isLimited: boolean, setAside: number): number {
  if (failures.length > 0 && (!isLimited || ranLast === 0)) return ERRORS;
  if (isInterrupted || (isLimited && ranLast > 0)) return MORE_TO_DO;
  return setAside > 0 ? ERRORS : DONE;
}
