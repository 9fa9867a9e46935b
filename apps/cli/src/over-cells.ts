/**
 * One migration of several cells at a time, for the driver: every cell takes its batches, or they share what a limited run may do.
 * A cell that fails is told of and left out for the rest of the run; the others go on.
 */
import { BATCH_ROWS, LANES, NOTHING, PASS_BATCHES, sum } from './migration.ts';
import type { Batch, CellMigration, Failure, Migration } from './migration.ts';

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

type Ended = (batch: Batch) => void;

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

  async run(count: number, ended: Ended): Promise<readonly Failure[]> {
    const active = this.#cells.filter(({ failure }) => failure === null);
    if (this.#options.isUnlimited) await Promise.all(active.map((cell) => this.#pass(cell, ended)));
    else ended(await this.#share(active, count));
    return active.flatMap(({ name, failure }) => (failure === null ? [] : [{ cell: name, message: failure }]));
  }

  /** What each cell has done, or why it could not. */
  get progress(): readonly CellProgress[] {
    return this.#cells.map(({ name, total, failure }) => ({ ...total, cell: name, migration: this.name, failure }));
  }

  /** A batch, and where that shows that there is more than it may take, many, in lanes that do not wait for each other. */
  async #pass(cell: RunningCell, ended: Ended): Promise<void> {
    // Two that begin together would share what one may take, and tell of it in two lines.
    if (!cell.hasMore) await this.#batch(cell, BATCH_ROWS, ended);
    let left = cell.hasMore ? PASS_BATCHES : 0;
    const lane = async (): Promise<void> => {
      while (left > 0 && cell.failure === null && !this.#options.signal.aborted) {
        left -= 1;
        const { found } = await this.#batch(cell, BATCH_ROWS, ended);
        if (found === 0) return;
      }
    };
    await Promise.all(Array.from({ length: cell.migration.hasLanes ? LANES : 1 }, lane));
  }

  /** Rounds of one batch a cell, which all together look at `count` rows at most. */
  async #share(cells: readonly RunningCell[], count: number): Promise<Batch> {
    let active = cells;
    let total: Batch = NOTHING;
    while (active.length > 0 && !this.#options.signal.aborted) {
      const left = count - total.done - total.setAside;
      if (left < 1) break;
      const share = Math.floor(left / active.length);
      const rest = left % active.length;
      const round = active.slice(0, left);
      const batches = await Promise.all(round.map((cell, index) => this.#batch(cell, Math.min(share + (index < rest ? 1 : 0), BATCH_ROWS))));
      total = sum(total, ...batches);
      active = active.filter((_, index) => batches[index]?.found !== 0);
    }
    return total;
  }

  /** Nothing where it fails. */
  async #batch(cell: RunningCell, limit: number, ended: Ended = () => {}): Promise<Batch> {
    try {
      const batch = await cell.migration.batch(limit);
      cell.total = sum(cell.total, batch);
      if (batch.found >= BATCH_ROWS) cell.hasMore = true;
      this.#options.onBatch(batch);
      ended(batch);
      return batch;
    } catch (error) {
      // Once for all of its batches.
      cell.failure ??= error instanceof Error ? error.message : String(error);
      return NOTHING;
    }
  }
}
