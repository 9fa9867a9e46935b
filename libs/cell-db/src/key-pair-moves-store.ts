/**
 * The legacy key_pairs as `gatehouse db online-data-migrations` sees them: rows that are still to leave for the API database,
 * those that have left (soft-deleted), and those that cannot, which are set aside with the reason. Rows are taken
 * under lock inside CellDb.moveTransaction, so that whoever deletes one waits until it is known where it is.
 */
import { Prisma } from './generated/client.ts';
import type { SqlClient } from './sql-client.ts';

/** A live legacy row as it is, which nobody has checked. */
export interface LegacyKeyPair {
  readonly id: number;
  readonly userId: string | null;
  readonly name: string;
  readonly fingerprint: string | null;
  /** Null also where it is longer than the limit that was asked with: then publicKeyChars tells. */
  readonly publicKey: string | null;
  readonly publicKeyChars: number;
  readonly type: string;
  /** As the database writes them, which keeps every digit. */
  readonly createdAt: string | null;
  readonly updatedAt: string | null;
  /** Both moments are of the years 1 to 9999, which is what objects can say. */
  readonly hasMoments: boolean;
}

export interface MovePage {
  /** Rows with greater ids. */
  readonly after: number;
  readonly limit: number;
  /** In characters. */
  readonly publicKeyMax: number;
  /** Also what is set aside. */
  readonly withSetAside?: boolean;
}

export interface SetAside {
  readonly id: number;
  readonly reason: string;
}

export interface SetAsideKeyPair extends SetAside {
  readonly userId: string | null;
  readonly name: string;
}

const COLUMNS = Prisma.raw(`
  id, user_id AS "userId", name, fingerprint, type, created_at::text AS "createdAt", updated_at::text AS "updatedAt",
  coalesce(length(public_key), 0) AS "publicKeyChars",
  coalesce(created_at >= '0001-01-01' AND created_at < '10000-01-01', true)
    AND coalesce(updated_at >= '0001-01-01' AND updated_at < '10000-01-01', true) AS "hasMoments"`);

export class KeyPairMovesStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
    this.#client = client;
  }

  /** By id, locked until the transaction ends. `locked`: whether rows that others hold are passed over or waited for. */
  async take(page: MovePage, locked: 'skip' | 'wait'): Promise<readonly LegacyKeyPair[]> {
    return this.#select(page, locked === 'skip' ? Prisma.sql`FOR UPDATE SKIP LOCKED` : Prisma.sql`FOR UPDATE`);
  }

  /** Resolves while what was taken is still held. @throws ServiceError: the transaction has ended, or its connection is lost */
  async hold(): Promise<void> {
    await this.#client.$queryRaw`SELECT 1`;
  }

  /** The same rows, neither locked nor waited for. */
  async look(page: MovePage): Promise<readonly LegacyKeyPair[]> {
    return this.#select(page, Prisma.empty);
  }

  async #select({ after, limit, publicKeyMax, withSetAside = false }: MovePage, lock: Prisma.Sql): Promise<readonly LegacyKeyPair[]> {
    return this.#client.$queryRaw<readonly LegacyKeyPair[]>`
      SELECT ${COLUMNS}, CASE WHEN length(public_key) <= ${publicKeyMax}::integer THEN public_key END AS "publicKey" FROM key_pairs
      WHERE deleted = 0 AND id > ${after}::integer AND ${withSetAside ? Prisma.sql`true` : Prisma.sql`set_aside IS NULL`} ORDER BY id LIMIT ${limit}::integer ${lock}`;
  }

  /** They are in the API database now. @returns how many were live */
  async softDelete(ids: readonly number[], at: Date): Promise<number> {
    return this.#client.$executeRaw`
      UPDATE key_pairs SET deleted = id, deleted_at = ${at}::timestamp, updated_at = ${at}::timestamp, set_aside = NULL
      WHERE id = ANY(${ids}::integer[]) AND deleted = 0`;
  }

  async setAside(rows: readonly SetAside[]): Promise<number> {
    return this.#client.$executeRaw`
      UPDATE key_pairs k SET set_aside = s.reason
      FROM unnest(${rows.map(({ id }) => id)}::integer[], ${rows.map(({ reason }) => reason)}::text[]) AS s(id, reason)
      WHERE k.id = s.id AND k.deleted = 0`;
  }

  /** All that are set aside are to be tried again. @returns how many there were */
  async retrySetAside(): Promise<number> {
    return this.#client.$executeRaw`UPDATE key_pairs SET set_aside = NULL WHERE deleted = 0 AND set_aside IS NOT NULL`;
  }

  /** By id, at most `limit`. */
  async listSetAside(limit: number): Promise<readonly SetAsideKeyPair[]> {
    return this.#client.$queryRaw<readonly SetAsideKeyPair[]>`
      SELECT id, user_id AS "userId", name, set_aside AS reason FROM key_pairs
      WHERE deleted = 0 AND set_aside IS NOT NULL ORDER BY id LIMIT ${limit}::integer`;
  }

  /** Live rows: those still to move, and those set aside. */
  async count(): Promise<{ readonly remaining: number; readonly setAside: number }> {
    const [row] = await this.#client.$queryRaw<readonly { readonly remaining: number; readonly setAside: number }[]>`
      SELECT count(*) FILTER (WHERE set_aside IS NULL)::integer AS remaining, count(set_aside)::integer AS "setAside" FROM key_pairs WHERE deleted = 0`;
    return row ?? { remaining: 0, setAside: 0 };
  }

  /** The greatest id of a live row, 0 where there is none. */
  async findIdMax(): Promise<number> {
    const [row] = await this.#client.$queryRaw<readonly { readonly id: number }[]>`SELECT id FROM key_pairs WHERE deleted = 0 ORDER BY id DESC LIMIT 1`;
    return row?.id ?? 0;
  }

  /** Live rows of these users and names, whether set aside or not, in any order; without those whose keys are longer than the limit. */
  async findMany(wanted: readonly { readonly userId: string; readonly name: string }[], publicKeyMax: number): Promise<readonly LegacyKeyPair[]> {
    if (wanted.length === 0) return [];
    return this.#client.$queryRaw<readonly LegacyKeyPair[]>`
      SELECT k.* FROM unnest(${wanted.map(({ userId }) => userId)}::text[], ${wanted.map(({ name }) => name)}::text[]) AS w(user_id, name) CROSS JOIN LATERAL
        (SELECT ${COLUMNS}, public_key AS "publicKey" FROM key_pairs x
         WHERE x.deleted = 0 AND x.user_id = w.user_id AND x.name = w.name COLLATE "C" AND length(x.public_key) <= ${publicKeyMax}::integer LIMIT 1) k`;
  }
}
