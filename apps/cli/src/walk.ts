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

export interface WalkedBatch extends Batch {
  /** The greatest id that was looked at. */
  readonly last: number;
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

  /** `work` resolves to null where it found nothing. */
  async next(limit: number, work: (page: MovePage, locked: 'skip' | 'wait') => Promise<WalkedBatch | null>): Promise<Batch> {
    while (!this.#isOver) {
      const locked = this.#locked;
      const page = { after: this.#after, limit: Math.min(limit, BATCH_ROWS), publicKeyMax: PUBLIC_KEY_CHARS_MAX, withSetAside: this.#withSetAside };
      const batch = await work(page, locked);
      if (batch !== null) {
        // Others may have come further meanwhile, or turned back.
        if (this.#locked === locked) this.#after = Math.max(this.#after, batch.last);
        // All of it was done by others in the moment between.
        if (batch.found === 0) continue;
        return { found: batch.found, done: batch.done, setAside: batch.setAside };
      }
      this.#isOver ||= locked === 'wait';
      if (this.#locked === 'wait') continue;
      this.#locked = 'wait';
      this.#after = BEGINNING;
    }
    return NOTHING;
  }
}
