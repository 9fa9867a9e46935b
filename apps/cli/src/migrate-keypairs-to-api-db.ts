/**
 * One cell's legacy key pairs, into the API database. A row is held in the cell while it is inserted and committed there; only then is it
 * soft-deleted here. Killed in between, both have it, with the same key, and the next run ends what this one began.
 */
import { isServiceError } from '@gatehouse/errors/service-error';
import type { ApiDb } from '@gatehouse/api-db/api-db';
import type { AdoptedKeyPair } from '@gatehouse/api-db/key-pair-adoptions-store';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { LegacyKeyPair, SetAside } from '@gatehouse/cell-db/key-pair-moves-store';
import { adoptable, byUserAndName, otherMaterial, userAndName } from './legacy-key-pair.ts';
import { isSameMaterial } from './key-material.ts';
import type { Batch, CellMigration } from './migration.ts';
import { Walk } from './walk.ts';

export const MIGRATE_KEYPAIRS_TO_API_DB = 'migrate_keypairs_to_api_db';

/** One that was taken when it was inserted, and gone when it was looked for, is tried again. */
const ATTEMPTS = 3;

export class MigrateKeypairsToApiDb implements CellMigration {
  readonly name = MIGRATE_KEYPAIRS_TO_API_DB;
  readonly hasLanes = true;
  readonly #cellDb: CellDb;
  readonly #apiDb: ApiDb;
  readonly #clock: () => Date;
  readonly #retries: boolean;
  readonly #walk = new Walk(false);
  #prepared: Promise<void> | undefined;

  constructor(cellDb: CellDb, apiDb: ApiDb, clock: () => Date, retries: boolean) {
    this.#cellDb = cellDb;
    this.#apiDb = apiDb;
    this.#clock = clock;
    this.#retries = retries;
  }

  async batch(limit: number): Promise<Batch> {
    await (this.#prepared ??= this.#prepare());
    return this.#walk.next(limit, async ({ page, locked, found }) => {
      const { rows, moved, setAside } = await this.#cellDb.moveTransaction(
        async ({ keyPairMoves }) => {
          const taken = await keyPairMoves.take(page, locked);
          found(taken);
          return { rows: taken.length, ...(await this.#move(taken, () => keyPairMoves.hold())) };
        },
        ({ keyPairMoves }, result) => Promise.all([
          result.moved.length === 0 ? 0 : keyPairMoves.softDelete(result.moved, this.#clock()),
          result.setAside.length === 0 ? 0 : keyPairMoves.setAside(result.setAside),
        ]),
      );
      return { found: rows, done: moved.length, setAside: setAside.length };
    });
  }

  /** Rows only leave, so no greater id than today's will come. */
  async #prepare(): Promise<void> {
    if (this.#retries) await this.#cellDb.keyPairMoves.retrySetAside();
    await this.#apiDb.keyPairAdoptions.reserveIds(await this.#cellDb.keyPairMoves.findIdMax());
  }

  /** `hold`: resolves while the rows are held. What is sent after others had been refused may be late: users may have deleted it by then. */
  async #move(rows: readonly LegacyKeyPair[], hold: () => Promise<void>): Promise<{ readonly moved: readonly number[]; readonly setAside: readonly SetAside[] }> {
    const setAside: SetAside[] = [];
    const moved: number[] = [];
    let arriving: AdoptedKeyPair[] = [];
    for (const row of rows) {
      const adopted = adoptable(row, this.#clock());
      if (typeof adopted === 'string') setAside.push({ id: row.id, reason: adopted });
      else arriving.push(adopted);
    }
    for (let attempt = 1; attempt <= ATTEMPTS && arriving.length > 0; attempt += 1) {
      if (attempt > 1) await hold();
      const { adopted, refused } = await this.#adopt(arriving, hold);
      moved.push(...adopted);
      setAside.push(...refused);
      const settled = await this.#settle(arriving.filter(({ id }) => !adopted.has(id) && !refused.some((each) => each.id === id)));
      moved.push(...settled.moved);
      setAside.push(...settled.setAside);
      arriving = settled.gone;
    }
    return { moved, setAside };
  }

  /** One row that the API database does not take spoils only itself. */
  async #adopt(rows: readonly AdoptedKeyPair[], hold: () => Promise<void>): Promise<{ readonly adopted: ReadonlySet<number>; readonly refused: readonly SetAside[] }> {
    try {
      return { adopted: await this.#apiDb.keyPairAdoptions.adopt(rows), refused: [] };
    } catch (error) {
      if (!isServiceError(error) || error.code !== 'INVALID_ARGUMENT') throw error;
      if (rows.length === 1) return { adopted: new Set(), refused: rows.map(({ id }) => ({ id, reason: 'the API database does not take its values' })) };
    }
    const halves = [rows.slice(0, rows.length >> 1), rows.slice(rows.length >> 1)];
    const adopted = new Set<number>();
    const refused: SetAside[] = [];
    for (const half of halves) {
      await hold();
      const result = await this.#adopt(half, hold);
      for (const id of result.adopted) adopted.add(id);
      refused.push(...result.refused);
    }
    return { adopted, refused };
  }

  /** Of those whose user has a key pair of the name: the same key needs nothing more, another one stays where it is. */
  async #settle(rows: readonly AdoptedKeyPair[]): Promise<{ readonly moved: readonly number[]; readonly setAside: readonly SetAside[]; readonly gone: AdoptedKeyPair[] }> {
    const known = byUserAndName(await this.#apiDb.keyPairAdoptions.findMany(rows));
    const moved: number[] = [];
    const setAside: SetAside[] = [];
    const gone: AdoptedKeyPair[] = [];
    for (const row of rows) {
      const kept = known.get(userAndName(row.userId, row.name));
      if (kept === undefined) gone.push(row);
      else if (isSameMaterial(kept.publicKey, row.publicKey)) moved.push(row.id);
      else setAside.push({ id: row.id, reason: otherMaterial(kept.fingerprint, row.fingerprint) });
    }
    return { moved, setAside, gone };
  }
}
