/**
 * A user's key pairs wherever they are: in the API database, and in cells that have not handed theirs over yet. Each name is
 * one key pair; where both have it, the API database's is the one, and the other is hidden. Nothing is skipped, doubled or
 * brought back by rows that move meanwhile, because the cells are always asked before the API database:
 *
 * - A row is in its cell, or in the API database already (libs/cell-db's key_pairs are emptied in that order).
 * - A delete that has passed the cells leaves nothing there that could move, and waits for what has left already, even where the
 *   move that sent it is dead; so what it deletes afterwards stays away.
 * - No cell ever gets a row, so a name that was free there when a create looked stays free.
 *
 * Of a name or a user that no column could hold there is nothing, which is known without asking.
 */
import type { KeyPairsStore, NewKeyPair } from '@gatehouse/api-db/key-pairs-store';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { KeyPair } from '@gatehouse/objects/key-pair';
import type { LegacyKeyPairs, LegacyPage } from './legacy-key-pairs.ts';
import { isStorable } from './storable-text.ts';

export class MergedKeyPairs {
  readonly #stored: KeyPairsStore;
  readonly #legacy: LegacyKeyPairs;

  constructor(stored: KeyPairsStore, legacy: LegacyKeyPairs) {
    this.#stored = stored;
    this.#legacy = legacy;
  }

  /** Throws UNAVAILABLE where it is not in the API database and a cell cannot be asked. */
  async find(userId: string, name: string): Promise<KeyPair | null> {
    if (!isStorable(userId) || !isStorable(name)) return null;
    // What is in the API database counts, whatever the cells have; what is not may come from one between the two looks.
    const wasOver = this.#legacy.isOver;
    const found = await this.#stored.find(userId, name);
    if (found !== null || wasOver) return found;
    return (await this.#legacy.find(userId, name)) ?? this.#stored.find(userId, name);
  }

  /** In byte order of the names; at most `limit` behind `after`. Throws UNAVAILABLE, as all that follow do. */
  async list(userId: string, page: LegacyPage): Promise<readonly KeyPair[]> {
    if (!isStorable(userId) || !isStorable(page.after ?? '')) return [];
    const legacy = await this.#legacy.list(userId, page);
    const stored = await this.#stored.list(userId, page);
    return legacy.length === 0 ? stored : merged(stored, legacy).slice(0, page.limit);
  }

  async count(userId: string): Promise<number> {
    return isStorable(userId) ? this.#stored.count(userId, await this.#legacy.names(userId)) : 0;
  }

  /** Null where the user has `max` or more. Throws ALREADY_EXISTS, UNAVAILABLE. */
  async createWithin(keyPair: NewKeyPair, max: number): Promise<KeyPair | null> {
    const { userId, name } = keyPair;
    const legacyNames = await this.#legacy.names(userId);
    if (!legacyNames.includes(name)) return this.#stored.createWithin(keyPair, max, legacyNames);
    if ((await this.#stored.count(userId, legacyNames)) >= max) return null;
    throw new ServiceError('ALREADY_EXISTS', `Key pair '${name}' already exists.`);
  }

  /** Everywhere at once. @returns whether there was any */
  async delete(userId: string, name: string): Promise<boolean> {
    if (!isStorable(userId) || !isStorable(name)) return false;
    const wasOver = this.#legacy.isOver;
    const inCells = await this.#legacy.delete(userId, name);
    const stored = await (wasOver ? this.#stored.delete(userId, name) : this.#stored.deleteArriving(userId, name));
    return stored + inCells > 0;
  }
}

function merged(stored: readonly KeyPair[], legacy: readonly KeyPair[]): readonly KeyPair[] {
  const byName = new Map([...legacy, ...stored].map((keyPair) => [keyPair.name, keyPair]));
  const ordered = [...byName.values()].map((keyPair) => ({ keyPair, bytes: Buffer.from(keyPair.name) }));
  return ordered.sort((one, other) => Buffer.compare(one.bytes, other.bytes)).map(({ keyPair }) => keyPair);
}
