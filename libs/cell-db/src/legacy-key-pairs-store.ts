/**
 * The legacy key_pairs of a cell, as users' requests see it: rows that have not moved to the API database yet. Rows leave this
 * table, none arrive, so once it is seen empty it stays so. Rows without a user are nobody's; rows set aside are read as
 * the others. Its statements name no column that a cell of before the move lacks.
 */
import type { KeyPair } from '@gatehouse/objects/key-pair';
import { Prisma } from './generated/client.ts';
import type { LegacyKeyPairRow } from './generated/client.ts';
import type { SqlClient } from './sql-client.ts';

const PAGE_MAX = 1_000;
/** As high as a quota can be. */
const NAMES_MAX = 1_000_000;

type Row = Pick<LegacyKeyPairRow, 'id' | 'name' | 'fingerprint' | 'publicKey' | 'type' | 'createdAt' | 'updatedAt'> & { readonly userId: string };

const COLUMNS = Prisma.sql`id, user_id AS "userId", name, fingerprint, public_key AS "publicKey", type, created_at AS "createdAt", updated_at AS "updatedAt"`;

export class LegacyKeyPairsStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
    this.#client = client;
  }

  /** Whether anybody has a key pair here still. */
  async hasAny(): Promise<boolean> {
    const [row] = await this.#client.$queryRaw<readonly { readonly found: boolean }[]>`
      SELECT EXISTS (SELECT FROM key_pairs WHERE deleted = 0 AND user_id IS NOT NULL) AS found`;
    return row?.found ?? false;
  }

  /** What newer rows must have may be null. */
  async find(userId: string, name: string): Promise<KeyPair | null> {
    const [row] = await this.#client.$queryRaw<readonly Row[]>`
      SELECT ${COLUMNS} FROM key_pairs WHERE user_id = ${userId}::text AND name = ${name}::text AND deleted = 0`;
    return row === undefined ? null : keyPairOfRow(row);
  }

  /** By name, in byte order of UTF-8; at most `limit` (1,000 unless given, and never more), of the names behind `after`. */
  async list(userId: string, { limit = PAGE_MAX, after }: { readonly limit?: number; readonly after?: string | undefined } = {}): Promise<readonly KeyPair[]> {
    const behind = after === undefined ? Prisma.empty : Prisma.sql`AND name > ${after}::text`;
    const rows = await this.#client.$queryRaw<readonly Row[]>`
      SELECT ${COLUMNS} FROM key_pairs WHERE user_id = ${userId}::text AND deleted = 0 ${behind}
      ORDER BY name LIMIT ${Math.min(limit, PAGE_MAX)}::integer`;
    return rows.map(keyPairOfRow);
  }

  /** Of all the user's key pairs here, at most 1,000,000. */
  async names(userId: string): Promise<readonly string[]> {
    const rows = await this.#client.$queryRaw<readonly { readonly name: string }[]>`
      SELECT name FROM key_pairs WHERE user_id = ${userId}::text AND deleted = 0 LIMIT ${NAMES_MAX}::integer`;
    return rows.map(({ name }) => name);
  }

  /** As Nova deletes here: the row stays, marked. One that is being moved is waited for. */
  async delete(userId: string, name: string, now: Date): Promise<number> {
    return this.#client.$executeRaw`
      UPDATE key_pairs SET deleted = id, deleted_at = ${now}::timestamp, updated_at = ${now}::timestamp
      WHERE user_id = ${userId}::text AND name = ${name}::text AND deleted = 0`;
  }
}

function keyPairOfRow(row: Row): KeyPair {
  return Object.freeze({ ...row, createdAt: momentOf(row.createdAt), updatedAt: momentOf(row.updatedAt), deletedAt: null, deleted: false as const });
}

/** PostgreSQL knows infinity, and years before the first. */
function momentOf(stored: Date | null): Date | null {
  return stored === null || Number.isNaN(stored.getTime()) ? null : stored;
}
