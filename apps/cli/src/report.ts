/** What a run has done, for people and for machines. */
import type { CellProgress } from './over-cells.ts';
import type { DriverResult } from './online-data-migrations.ts';
import type { Batch } from './migration.ts';
import type { SetAsideRow, SetAsideRows } from './set-aside-rows.ts';
import { drawTable } from './table.ts';

export interface Run {
  readonly result: DriverResult;
  readonly cells: readonly CellProgress[];
  readonly setAside: SetAsideRows;
  readonly isDryRun: boolean;
  readonly exitCode: number;
}

/** Nova's table, then what is ours: the cells apart where there are several, and the rows that could not move. */
export function textReport({ result, cells, setAside, isDryRun, exitCode }: Run): string {
  const completed = isDryRun ? 'Would Be Completed' : 'Completed';
  const rows = byName(result.totals).map(([name, { found, done }]) => [name, String(found), String(done)]);
  const parts = [drawTable(['Migration', 'Total Needed', completed], rows)];
  if (new Set(cells.map(({ cell }) => cell)).size > 1) parts.push(cellsText(cells, completed));
  if (setAside.total > 0) parts.push(...setAsideText(setAside, isDryRun));
  if (result.failures.length > 0 && exitCode === 2) parts.push('Some migrations failed unexpectedly. Check log for details.');
  return parts.join('\n');
}

function cellsText(cells: readonly CellProgress[], completed: string): string {
  const hasFailures = cells.some(({ failure }) => failure !== null);
  const rows = cells.map(({ cell, migration, found, done, setAside, failure }) => [cell, migration, String(found), String(done), String(setAside), ...(hasFailures ? [failure ?? ''] : [])]);
  return drawTable(['Cell', 'Migration', 'Total Needed', completed, 'Set Aside', ...(hasFailures ? ['Error'] : [])], rows);
}

function setAsideText({ rows, total }: SetAsideRows, isDryRun: boolean): readonly string[] {
  const counted = total === 1 ? '1 row' : `${total} rows`;
  const words = isDryRun
    ? `${counted} would be set aside, or ${total === 1 ? 'is' : 'are'} already, because of what stands in ${total === 1 ? 'it' : 'them'}:`
    : `${counted} could not move and ${total === 1 ? 'is' : 'are'} set aside. Mend ${total === 1 ? 'it' : 'them'} and run this again with --retry-set-aside:`;
  const table = drawTable(['Cell', 'Table', 'Id', 'User', 'Name', 'Reason'], rows.map(cellsOf), 'left');
  return rows.length < total ? [words, table, `... and ${total - rows.length} more`] : [words, table];
}

function cellsOf({ cell, table, id, user, name, reason }: SetAsideRow): readonly string[] {
  return [cell, table, id, user ?? 'NULL', name ?? 'NULL', reason];
}

/** One object on one line; names in the manner of the wire. */
export function jsonReport({ result, cells, setAside, isDryRun, exitCode }: Run): string {
  return JSON.stringify({
    dry_run: isDryRun,
    exit_code: exitCode,
    interrupted: result.isInterrupted,
    migrations: byName(result.totals).map(([name, batch]) => ({ name, ...counts(batch) })),
    cells: cells.map(({ cell, migration, failure, ...batch }) => ({ cell, migration, ...counts(batch), error: failure })),
    errors: result.failures.map(({ migration, cell, message }) => ({ migration, cell, message })),
    set_aside_total: setAside.total,
    set_aside: setAside.rows,
  });
}

function counts({ found, done, setAside }: Batch): object {
  return { total_needed: found, completed: done, set_aside: setAside };
}

function byName(totals: ReadonlyMap<string, Batch>): readonly (readonly [string, Batch])[] {
  return [...totals].sort(([one], [other]) => (one < other ? -1 : 1));
}
