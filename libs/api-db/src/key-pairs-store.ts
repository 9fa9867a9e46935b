/**
 * key_pairs: users' public keys under the users' own names for them. Written by the api. Its statements go to the database
 * without Prisma, whose engine costs several times what they do.
 */
import { isServiceError, ServiceError } from '@gatehouse/errors/service-error';
import type { KeyPair } from '@gatehouse/objects/key-pair';
import { Prisma } from './generated/client.ts';
import type { KeyPairRow } from './generated/client.ts';
import type { Atomically, SqlClient } from './sql-client.ts';

export interface NewKeyPair {
  readonly userId: string;
  readonly name: string;
  readonly fingerprint: string;
  readonly publicKey: string;
  readonly type: 'ssh' | 'x509';
  readonly createdAt: Date;
}

/** A KeyPair with the fields that a row always has. */
export interface StoredKeyPair extends KeyPair {
  readonly id: number;
  readonly userId: string;
  readonly fingerprint: string;
  readonly publicKey: string;
  readonly createdAt: Date;
  readonly updatedAt: Date | null;
  readonly deletedAt: null;
  readonly deleted: false;
}

export interface KeyPairsPage {
  readonly limit?: number;
  readonly after?: string | undefined;
}

const PAGE_MAX = 1_000;
type Row = Omit<KeyPairRow, 'userId'>;

/** Above every count that there could be. */
const NO_LIMIT = 2 ** 31;
/** Of the advisory locks that hold a user's quota. */
const LOCK_SEED = 7230;

/** All but the user's id, which whoever asks has. */
const COLUMNS = Prisma.sql`id, name, fingerprint, public_key AS "publicKey", type, created_at AS "createdAt", updated_at AS "updatedAt"`;

export class KeyPairsStore {
  readonly #client: SqlClient;
  readonly #atomically: Atomically;

  constructor(client: SqlClient, atomically: Atomically) {
    this.#client = client;
    this.#atomically = atomically;
  }

  /** @throws ServiceError ALREADY_EXISTS: the user has one of this name; inside a transaction this ends it */
  async create(keyPair: NewKeyPair): Promise<StoredKeyPair> {
    const [row] = await insert(this.#client, keyPair, NO_LIMIT).catch(alreadyExists(keyPair));
    return keyPairOfRow(keyPair.userId, row as Row);
  }

  /**
   * The same unless the user has `max` or more already: then null. Counting and creating are one step, for all services on
   * this database: a lock on the user holds back every other such step until this one's transaction ends. `besides`: as in count().
   */
  async createWithin(keyPair: NewKeyPair, max: number, besides: readonly string[] = []): Promise<StoredKeyPair | null> {
    const rows = await this.#atomically(async (client) => {
      // Sent together. The second sees what was there when the lock was given: each statement reads anew.
      const [, inserted] = await Promise.all([
        client.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${keyPair.userId}::text, ${LOCK_SEED}::bigint))`,
        insert(client, keyPair, max, besides),
      ]);
      return inserted;
    }).catch(alreadyExists(keyPair));
    return rows[0] === undefined ? null : keyPairOfRow(keyPair.userId, rows[0]);
  }

  async find(userId: string, name: string): Promise<StoredKeyPair | null> {
    const [row] = await this.#client.$queryRaw<readonly Row[]>`
      SELECT ${COLUMNS} FROM key_pairs WHERE user_id = ${userId}::text AND name = ${name}::text`;
    return row === undefined ? null : keyPairOfRow(userId, row);
  }

  /** @throws ServiceError NOT_FOUND */
  async get(userId: string, name: string): Promise<StoredKeyPair> {
    const found = await this.find(userId, name);
    if (found === null) throw notFound(userId, name);
    return found;
  }

  /** By name, in byte order of UTF-8; at most `limit` (1,000 unless given, and never more), of the names behind `after`. */
  async list(userId: string, { limit = PAGE_MAX, after }: KeyPairsPage = {}): Promise<readonly StoredKeyPair[]> {
    const behind = after === undefined ? Prisma.empty : Prisma.sql`AND name > ${after}::text`;
    const rows = await this.#client.$queryRaw<readonly Row[]>`
      SELECT ${COLUMNS} FROM key_pairs WHERE user_id = ${userId}::text ${behind}
      ORDER BY name LIMIT ${Math.min(limit, PAGE_MAX)}::integer`;
    return rows.map((row) => keyPairOfRow(userId, row));
  }

  /** How many names the user has here and in `besides`, which are all different: a name that is in both counts once. */
  async count(userId: string, besides: readonly string[] = []): Promise<number> {
    const [row] = await this.#client.$queryRaw<readonly { readonly count: number }[]>`
      SELECT (${countOf(userId, besides)})::integer AS count`;
    return row?.count ?? 0;
  }

  async delete(userId: string, name: string): Promise<number> {
    return this.#client.$executeRaw`DELETE FROM key_pairs WHERE user_id = ${userId}::text AND name = ${name}::text`;
  }

  /**
   * The same while a row of that name may be on its way here: one that is inserted but not committed, by a move that was killed or
   * has lost its cell, is waited for. A row of ours in its place does that, which nobody sees.
   */
  async deleteArriving(userId: string, name: string): Promise<number> {
    return this.#atomically(async (client) => {
      const placed = await client.$executeRaw`
        INSERT INTO key_pairs (id, user_id, name, fingerprint, public_key, type, created_at)
        VALUES (0, ${userId}::text, ${name}::text, '', '', 'ssh', now()) ON CONFLICT DO NOTHING`;
      // Of its own, so that it sees what was waited for.
      const deleted = await new KeyPairsStore(client, this.#atomically).delete(userId, name);
      return deleted - placed;
    });
  }
}

/** One statement's view of the table: a name that comes to it meanwhile is counted here or there, and never in both. */
function countOf(userId: string, besides: readonly string[]): Prisma.Sql {
  const here = Prisma.sql`(SELECT count(*) FROM key_pairs WHERE user_id = ${userId}::text)`;
  if (besides.length === 0) return here;
  return Prisma.sql`${here} + (SELECT count(*) FROM unnest(${besides}::text[]) AS besides(name)
    WHERE NOT EXISTS (SELECT FROM key_pairs AS here WHERE here.user_id = ${userId}::text AND here.name = besides.name))`;
}

function insert(client: SqlClient, keyPair: NewKeyPair, max: number, besides: readonly string[] = []): Promise<readonly Row[]> {
  const { userId, name, fingerprint, publicKey, type, createdAt } = keyPair;
  return client.$queryRaw<readonly Row[]>`
    INSERT INTO key_pairs (user_id, name, fingerprint, public_key, type, created_at)
    SELECT ${userId}::text, ${name}::text, ${fingerprint}::text, ${publicKey}::text, ${type}::text, ${createdAt}::timestamp
    WHERE ${countOf(userId, besides)} < ${max}::bigint
    RETURNING ${COLUMNS}`;
}

/** Rethrows what a failed insert threw, in words where the name was taken. */
function alreadyExists({ name }: NewKeyPair): (cause: unknown) => never {
  return (cause) => {
    if (!isServiceError(cause) || cause.code !== 'ALREADY_EXISTS') throw cause;
    throw new ServiceError('ALREADY_EXISTS', `Key pair '${name}' already exists.`, { cause });
  };
}

function notFound(userId: string, name: string): ServiceError {
  return new ServiceError('NOT_FOUND', `Keypair ${name} not found for user ${userId}`);
}

/** Field by field: a list has a thousand of them, and spreading and freezing costs more than reading them did. */
function keyPairOfRow(userId: string, row: Row): StoredKeyPair {
  const { id, name, fingerprint, publicKey, type, createdAt, updatedAt } = row;
  return { id, userId, name, fingerprint, publicKey, type, createdAt, updatedAt, deletedAt: null, deleted: false };
}
