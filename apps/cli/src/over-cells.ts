/**
 * One migration of several cells at a time, for the driver: every cell takes a batch, or they share what a limited run may do.
 * A cell that fails is told of and left out for the rest of the run; the others go on.
 */
import { isServiceError } from '@gatehouse/errors/service-error';
import { BATCH_ROWS, NOTHING, sum } from './migration.ts';
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
}

export interface OverCellsOptions {
  /** Each cell takes a batch a time; otherwise all together look at no more rows than they are told. */
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
    this.#cells = [...cells].map(([cell, migration]) => ({ name: cell, migration, total: NOTHING, failure: null }));
    this.#options = options;
  }

  async run(count: number): Promise<Outcome> {
    let outcome: Outcome = { ...NOTHING, failures: [] };
    let active = this.#cells.filter(({ failure }) => failure === null);
    if (this.#options.isUnlimited) return (await this.#round(active, () => count)).outcome;
    while (active.length > 0 && !this.#options.signal.aborted) {
      const left = count - outcome.done - outcome.setAside;
      if (left < 1) break;
      const share = Math.floor(left / active.length);
      const rest = left % active.length;
      const round = await this.#round(active.slice(0, left), (index) => share + (index < rest ? 1 : 0));
      outcome = { ...sum(outcome, round.outcome), failures: [...outcome.failures, ...round.outcome.failures] };
      active = active.filter(({ name, failure }) => failure === null && !round.finished.has(name));
    }
    return outcome;
  }

  /** What each cell has done, or why it could not. */
  get progress(): readonly CellProgress[] {
    return this.#cells.map(({ name, total, failure }) => ({ ...total, cell: name, migration: this.name, failure }));
  }

  async #round(cells: readonly RunningCell[], shareOf: (index: number) => number): Promise<{ readonly outcome: Outcome; readonly finished: ReadonlySet<string> }> {
    const finished = new Set<string>();
    const failures: Failure[] = [];
    let total: Batch = NOTHING;
    await Promise.all(cells.map(async (cell, index) => {
      try {
        const batch = await cell.migration.batch(Math.min(shareOf(index), BATCH_ROWS));
        if (batch.found === 0) finished.add(cell.name);
        cell.total = sum(cell.total, batch);
        total = sum(total, batch);
        this.#options.onBatch(batch);
      } catch (error) {
        cell.failure = isServiceError(error) ? error.message : String(error);
        failures.push({ cell: cell.name, message: cell.failure });
      }
    }));
    return { outcome: { ...total, failures }, finished };
  }
}
