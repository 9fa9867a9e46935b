/**
 * The key pairs that have not moved to the API database yet, of all cells that may have some. Rows leave a cell and none
 * arrive, so a cell that was seen empty is left alone, and only looked at again now and then: somebody may have mended a row
 * by hand. While rows remain, a cell that cannot be asked is told as such: that a key pair is not there would be a guess.
 *
 * A row is stored in the API database before it leaves its cell. Who looks here FIRST and there SECOND misses none.
 */
import type { LegacyKeyPairsStore } from '@gatehouse/cell-db/legacy-key-pairs-store';
import { isServiceError, ServiceError } from '@gatehouse/errors/service-error';
import type { KeyPair } from '@gatehouse/objects/key-pair';
import type { Clock } from '@gatehouse/runtime/clock';
import { parseSshPublicKey } from './ssh-public-key.ts';
import { parseX509 } from './x509-certificate.ts';

/** For so long a cell is taken to be as it was seen. */
export const CELL_LOOK_EVERY_MS = 60_000;

export interface LegacyPage {
  readonly limit: number;
  readonly after?: string | undefined;
}

export class LegacyKeyPairs {
  readonly #cells: readonly Cell[];
  readonly #clock: Clock;

  /** Where two cells have a key pair of one user and name, the one that is named first has it. */
  constructor(cells: readonly LegacyKeyPairsStore[], clock: Clock) {
    this.#cells = cells.map((store) => new Cell(store, clock));
    this.#clock = clock;
  }

  /** Known without asking: there are none left. */
  get isOver(): boolean {
    return this.#cells.every((cell) => cell.state === 'empty');
  }

  /** Throws UNAVAILABLE, as all that follow do. */
  async find(userId: string, name: string): Promise<KeyPair | null> {
    const found = await this.#each((store) => store.find(userId, name));
    const first = found.find((keyPair) => keyPair !== null) ?? null;
    return first === null ? null : completed(first);
  }

  /** The first `limit` names of each cell behind `after`: the first `limit` of all are among them. Each name once, in no order. */
  async list(userId: string, page: LegacyPage): Promise<readonly KeyPair[]> {
    const found = await this.#each((store) => store.list(userId, page));
    const byName = new Map(found.flat().toReversed().map((keyPair) => [keyPair.name, keyPair]));
    return [...byName.values()].map(completed);
  }

  /** Each once. */
  async names(userId: string): Promise<readonly string[]> {
    const found = await this.#each((store) => store.names(userId));
    return found.length < 2 ? (found[0] ?? []) : [...new Set(found.flat())];
  }

  /** In every cell; waits for a row that is being moved. @returns how many there were */
  async delete(userId: string, name: string): Promise<number> {
    const counts = await this.#each((store) => store.delete(userId, name, this.#clock.now()));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** Of each cell that may have rows, at one time. */
  async #each<T>(ask: (store: LegacyKeyPairsStore) => Promise<T>): Promise<readonly T[]> {
    if (this.isOver) return [];
    const answers = await Promise.all(this.#cells.map(async (cell) => ((await cell.mayHaveRows()) ? [await cell.ask(ask)] : [])));
    return answers.flat();
  }
}

/** What is known of one cell's table, and for how long. */
class Cell {
  readonly #store: LegacyKeyPairsStore;
  readonly #clock: Clock;
  #hasRows = true;
  #lookedAt = -Infinity;
  /** One look for all who wait for it. */
  #look: Promise<boolean> | undefined;

  constructor(store: LegacyKeyPairsStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  get state(): 'empty' | 'rows' | 'unknown' {
    const age = this.#clock.now().getTime() - this.#lookedAt;
    if (age < 0 || age >= CELL_LOOK_EVERY_MS) return 'unknown';
    return this.#hasRows ? 'rows' : 'empty';
  }

  async mayHaveRows(): Promise<boolean> {
    if (this.state !== 'unknown') return this.#hasRows;
    this.#look ??= this.#lookAgain().finally(() => (this.#look = undefined));
    return this.#look;
  }

  async ask<T>(question: (store: LegacyKeyPairsStore) => Promise<T>): Promise<T> {
    try {
      return await question(this.#store);
    } catch (cause) {
      if (!isServiceError(cause) || cause.code !== 'UNAVAILABLE') throw cause;
      throw new ServiceError('UNAVAILABLE', 'a cell may still have key pairs and its database does not answer; try again', { cause });
    }
  }

  async #lookAgain(): Promise<boolean> {
    try {
      this.#hasRows = await this.ask((store) => store.hasAny());
    } catch (error) {
      // No row arrives where none was left, whether or not the cell can say so now.
      if (this.#hasRows) throw error;
    }
    this.#lookedAt = this.#clock.now().getTime();
    return this.#hasRows;
  }
}

/** With the fingerprint that its row lacks, where its key can be read. */
function completed(keyPair: KeyPair): KeyPair {
  const { fingerprint, publicKey, type } = keyPair;
  if (fingerprint != null || publicKey == null) return keyPair;
  try {
    return { ...keyPair, fingerprint: type === 'x509' ? parseX509(publicKey).fingerprint : parseSshPublicKey(publicKey).fingerprintMd5 };
  } catch (error) {
    if (!isServiceError(error)) throw error;
    return keyPair;
  }
}
