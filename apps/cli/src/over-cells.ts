/**
 * One migration of several cells at a time, for the driver: every cell takes its batches, or they share what a limited run may do.
 * A cell that fails is told of and left out for the rest of the run; the others go on.
 */
import { BATCH_ROWS, LANES, NOTHING, sum } from './migration.ts';
import type { Batch, CellMigration, Failure, Migration, Outcome } from './migration.ts';

export interface CellProgress extends Batch {
  readonly cell: string;
  readonly migration: string;
  readonly failure: string | null;
}

interface RunningCell {
  readonly name: string;
  readonly migration: CellMigration;
  total: Batch;
  failure: string | null;
  /** A batch came back as large as it may be: there is more than one of them takes. */
  hasMore: boolean;
}

export interface OverCellsOptions {
  /** Each cell takes its batches; otherwise all together look at no more rows than they are told. */
  readonly isUnlimited: boolean;
  /** Nothing begins after it is aborted; what has begun ends. */
  readonly signal: AbortSignal;
  /** Of a batch that has ended. */
  onBatch(batch: Batch): void;
}

export class OverCells implements Migration {
  readonly name: string;
  readonly #cells: readonly RunningCell[];
  readonly #options: OverCellsOptions;

  /** `cells`: by name. */
  constructor(name: string, cells: ReadonlyMap<string, CellMigration>, options: OverCellsOptions) {
    this.name = name;
    this.#cells = [...cells].map(([cell, migration]) => ({ name: cell, migration, total: NOTHING, failure: null, hasMore: false }));
    this.#options = options;
  }

  async run(count: number): Promise<Outcome> {
    let active = this.#cells.filter(({ failure }) => failure === null);
    if (this.#options.isUnlimited) return this.#round(active.flatMap((cell) => Array<RunningCell>(lanesOf(cell)).fill(cell)), () => count);
    let total: Batch = NOTHING;
    const failures: Failure[] = [];
    while (active.length > 0 && !this.#options.signal.aborted) {
      const left = count - total.done - total.setAside;
      if (left < 1) break;
      const share = Math.floor(left / active.length);
      const rest = left % active.length;
      const round = await this.#round(active.slice(0, left), (index) => share + (index < rest ? 1 : 0));
      total = sum(total, ...round.batches);
      failures.push(...round.failures);
      active = active.filter(({ name, failure }) => failure === null && !round.finished.has(name));
    }
    return { batches: [total], failures };
  }

  /** What each cell has done, or why it could not. */
  get progress(): readonly CellProgress[] {
    return this.#cells.map(({ name, total, failure }) => ({ ...total, cell: name, migration: this.name, failure }));
  }

  async #round(cells: readonly RunningCell[], shareOf: (index: number) => number): Promise<Outcome & { readonly finished: ReadonlySet<string> }> {
    const finished = new Set<string>();
    const failures: Failure[] = [];
    const batches: Batch[] = [];
    await Promise.all(cells.map(async (cell, index) => {
      try {
        const batch = await cell.migration.batch(Math.min(shareOf(index), BATCH_ROWS));
        if (batch.found === 0) finished.add(cell.name);
        cell.total = sum(cell.total, batch);
        if (batch.found >= BATCH_ROWS) cell.hasMore = true;
        batches.push(batch);
        this.#options.onBatch(batch);
      } catch (error) {
        // Once for all of its batches.
        if (cell.failure !== null) return;
        cell.failure = error instanceof Error ? error.message : String(error);
        failures.push({ cell: cell.name, message: cell.failure });
      }
    }));
    return { batches, failures, finished };
  }
}

/** One where a batch may take all there is: two would share it, and tell of it in two lines. */
function lanesOf({ migration, hasMore }: RunningCell): number {
  return migration.hasLanes && hasMore ? LANES : 1;
}
