/**
 * key_pairs as `gatehouse db online-data-migrations` fills it: with rows of the cells, many at a time, which keep their ids and
 * moments. What is here already stays as it is: it is what users see.
 */
import { Prisma } from './generated/client.ts';
import type { Atomically, SqlClient } from './sql-client.ts';

export interface AdoptedKeyPair {
  readonly id: number;
  readonly userId: string;
  readonly name: string;
  readonly fingerprint: string;
  readonly publicKey: string;
  readonly type: 'ssh' | 'x509';
  /** As PostgreSQL writes timestamps, in UTC. */
  readonly createdAt: string;
  readonly updatedAt: string | null;
}

export interface UserAndName {
  readonly userId: string;
  readonly name: string;
}

/** One sequence of ids for rows that come and those that are made here. */
const SEQUENCE = Prisma.raw(`key_pairs_id_seq`);
/** Of the advisory lock that holds it. */
const LOCK_SEED = 7231;
/** One row with the greatest id that there can be must not leave none for those that users make. */
const RESERVED_ID_MAX = 2_000_000_000;

export type KeyPairAdoptions = Pick<KeyPairAdoptionsStore, 'adopt' | 'findMany' | 'reserveIds'>;

export class KeyPairAdoptionsStore {
  readonly #client: SqlClient;
  readonly #atomically: Atomically;

  constructor(client: SqlClient, atomically: Atomically) {
    this.#client = client;
    this.#atomically = atomically;
  }

  /**
   * Inserts those whose user has no key pair of the name; committed when it resolves. In one order, whoever asks, so that two who
   * bring the same rows wait for each other in no ring. `rows`: of one cell. @returns the ids of those that were inserted
   */
  async adopt(rows: readonly AdoptedKeyPair[]): Promise<ReadonlySet<number>> {
    if (rows.length === 0) return new Set();
    const inserted = await this.#client.$queryRaw<readonly { readonly id: number }[]>`
      INSERT INTO key_pairs (id, user_id, name, fingerprint, public_key, type, created_at, updated_at)
      SELECT * FROM unnest(
        ${rows.map(({ id }) => id)}::integer[], ${rows.map(({ userId }) => userId)}::text[], ${rows.map(({ name }) => name)}::text[],
        ${rows.map(({ fingerprint }) => fingerprint)}::text[], ${rows.map(({ publicKey }) => publicKey)}::text[], ${rows.map(({ type }) => type)}::text[],
        ${rows.map(({ createdAt }) => createdAt)}::timestamp[], ${rows.map(({ updatedAt }) => updatedAt)}::timestamp[]
      ) AS arriving(id, user_id, name, fingerprint, public_key, type, created_at, updated_at)
      ORDER BY user_id, name
      ON CONFLICT DO NOTHING RETURNING id`;
    return new Set(inserted.map(({ id }) => id));
  }

  /** Those that are here, in any order; by the index, for the table may grow to a million rows after the plan was made. */
  async findMany(wanted: readonly UserAndName[]): Promise<readonly AdoptedKeyPair[]> {
    if (wanted.length === 0) return [];
    const [, rows] = await this.#atomically((client) => Promise.all([
      client.$queryRaw`SELECT set_config('enable_seqscan', 'off', true)`,
      client.$queryRaw<readonly AdoptedKeyPair[]>`
        SELECT k.* FROM unnest(${wanted.map(({ userId }) => userId)}::text[], ${wanted.map(({ name }) => name)}::text[]) AS w(user_id, name) CROSS JOIN LATERAL
          (SELECT id, user_id AS "userId", name, fingerprint, public_key AS "publicKey", type, created_at::text AS "createdAt", updated_at::text AS "updatedAt"
           FROM key_pairs x WHERE x.user_id = w.user_id AND x.name = w.name COLLATE "C" LIMIT 1) k`,
    ]));
    return rows;
  }

  /** Lets the ids that are given here begin above `idMax`; never goes back. Ids are a courtesy: nothing breaks where two rows share one. */
  async reserveIds(idMax: number): Promise<void> {
    await this.#atomically(async (client) => {
      // Several cells do this at one time, and the last to write is not the one with the greatest.
      await client.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('key_pairs_id_seq', ${LOCK_SEED}::bigint))`;
      const id = Math.min(idMax, RESERVED_ID_MAX);
      await client.$executeRaw`SELECT setval('key_pairs_id_seq', ${id}::bigint) FROM ${SEQUENCE} WHERE last_value < ${id}::bigint`;
    });
  }
}
