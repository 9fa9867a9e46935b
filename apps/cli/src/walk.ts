/**
 * The way through a table: by id, so that rows that are done are not read again, and twice: first past the rows that others hold,
 * which may be a second run that shares the work, and then waiting for those. Several batches may be on it at one time.
 */
import type { MovePage } from '@gatehouse/cell-db/key-pair-moves-store';
import { PUBLIC_KEY_CHARS_MAX } from '@gatehouse/objects/public-key-text';
import { BATCH_ROWS, NOTHING } from './migration.ts';
import type { Batch } from './migration.ts';

/** Below every id. */
const BEGINNING = -(2 ** 31);

export interface Step {
  readonly page: MovePage;
  readonly locked: 'skip' | 'wait';
  /** Of the rows that were found: the next batch begins behind them, while this one is at work. */
  found(rows: readonly { readonly id: number }[]): void;
}

export class Walk {
  #after = BEGINNING;
  #locked: 'skip' | 'wait';
  readonly #withSetAside: boolean;
  /** Or every later pass would look through the whole table for nothing. */
  #isOver = false;

  /** `isDry`: nothing is locked, so one way through is all there is to see. */
  constructor(isDry: boolean, withSetAside = false) {
    this.#locked = isDry ? 'wait' : 'skip';
    this.#withSetAside = withSetAside;
  }

  /** `work` fails with its cell, or tells what it has done. */
  async next(limit: number, work: (step: Step) => Promise<Batch>): Promise<Batch> {
    while (!this.#isOver) {
      const locked = this.#locked;
      let last: number | undefined;
      const batch = await work({
        page: { after: this.#after, limit: Math.min(limit, BATCH_ROWS), publicKeyMax: PUBLIC_KEY_CHARS_MAX, withSetAside: this.#withSetAside },
        locked,
        found: (rows) => {
          last = rows.at(-1)?.id;
          // Others may have come further meanwhile, or turned back.
          if (last !== undefined && this.#locked === locked) this.#after = Math.max(this.#after, last);
        },
      });
      if (last !== undefined) {
        // All of it was done by others in the moment between.
        if (batch.found === 0) continue;
        return batch;
      }
      this.#isOver ||= locked === 'wait';
      if (this.#locked === 'wait') continue;
      this.#locked = 'wait';
      this.#after = BEGINNING;
    }
    return NOTHING;
  }
}
