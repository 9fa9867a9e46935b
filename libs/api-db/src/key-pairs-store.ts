/**
 * key_pairs: users' public keys under the users' own names for them. Written by the api. Its statements go to the database
 * without Prisma, whose engine costs several times what they do.
 */
import { isServiceError, ServiceError } from '@gatehouse/errors/service-error';
import type { KeyPair } from '@gatehouse/objects/key-pair';
import { Prisma } from './generated/client.ts';
import type { KeyPairRow } from './generated/client.ts';
import type { SqlClient, Together } from './sql-client.ts';

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

/** Of a list, which may have a thousand: without what no list shows. */
export type ListedKeyPair = Pick<StoredKeyPair, 'userId' | 'name' | 'fingerprint' | 'publicKey' | 'type' | 'createdAt'>;

export interface KeyPairsPage {
  readonly limit?: number;
  readonly after?: string | undefined;
}

const PAGE_MAX = 1_000;
type Row = Omit<KeyPairRow, 'userId'>;
type ListedRow = Omit<ListedKeyPair, 'userId'>;

/** Above every count that there could be. */
const NO_LIMIT = 2 ** 31;
/** Of the advisory locks that hold a user's quota. */
const LOCK_SEED = 7230;

/** What a list shows of a key pair, without the user's id, which whoever asks has. */
const LISTED_COLUMNS = Prisma.sql`name, fingerprint, public_key AS "publicKey", type, created_at AS "createdAt"`;
/** All. */
const COLUMNS = Prisma.sql`${LISTED_COLUMNS}, id, updated_at AS "updatedAt"`;

export class KeyPairsStore {
  readonly #client: SqlClient;
  readonly #together: Together;

  constructor(client: SqlClient, together: Together) {
    this.#client = client;
    this.#together = together;
  }

  /** @throws ServiceError ALREADY_EXISTS: the user has one of this name; inside a transaction this ends it */
  async create(keyPair: NewKeyPair): Promise<StoredKeyPair> {
    const [row] = await this.#client.$queryRaw<readonly Row[]>(insertion(keyPair, NO_LIMIT)).catch(alreadyExists(keyPair));
    return keyPairOfRow(keyPair.userId, row as Row);
  }

  /**
   * The same unless the user has `max` or more already: then null. Counting and creating are one step, for all services on
   * this database: a lock on the user holds back every other such step until this one's transaction ends. `besides`: as in count().
   */
  async createWithin(keyPair: NewKeyPair, max: number, besides: readonly string[] = []): Promise<StoredKeyPair | null> {
    // The second sees what was there when the lock was given: each statement reads anew.
    const [, inserted] = await this.#together([lockOn(keyPair.userId), insertion(keyPair, max, besides)]).catch(alreadyExists(keyPair));
    const row = inserted?.[0] as Row | undefined;
    return row === undefined ? null : keyPairOfRow(keyPair.userId, row);
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
  async list(userId: string, { limit = PAGE_MAX, after }: KeyPairsPage = {}): Promise<readonly ListedKeyPair[]> {
    const behind = after === undefined ? Prisma.empty : Prisma.sql`AND name > ${after}::text`;
    const rows = await this.#client.$queryRaw<readonly ListedRow[]>`
      SELECT ${LISTED_COLUMNS} FROM key_pairs WHERE user_id = ${userId}::text ${behind}
      ORDER BY name LIMIT ${Math.min(limit, PAGE_MAX)}::integer`;
    // Field by field: there may be a thousand, and spreading costs more than reading them did.
    return rows.map(({ name, fingerprint, publicKey, type, createdAt }) => ({ userId, name, fingerprint, publicKey, type, createdAt }));
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
    // The second is one of its own, so that it sees what was waited for.
    const [placed, deleted] = await this.#together([
      Prisma.sql`
        INSERT INTO key_pairs (id, user_id, name, fingerprint, public_key, type, created_at)
        VALUES (0, ${userId}::text, ${name}::text, '', '', 'ssh', now()) ON CONFLICT DO NOTHING RETURNING id`,
      Prisma.sql`DELETE FROM key_pairs WHERE user_id = ${userId}::text AND name = ${name}::text RETURNING id`,
    ]);
    return (deleted?.length ?? 0) - (placed?.length ?? 0);
  }
}

/** One statement's view of the table: a name that comes to it meanwhile is counted here or there, and never in both. */
function countOf(userId: string, besides: readonly string[]): Prisma.Sql {
  // The user is wrapped so that no plan is made for this one, whom the server takes to have few: it would make one for every import.
  const here = Prisma.sql`(SELECT count(*) FROM key_pairs WHERE user_id = (SELECT ${userId}::text))`;
  if (besides.length === 0) return here;
  return Prisma.sql`${here} + (SELECT count(*) FROM unnest(${besides}::text[]) AS besides(name)
    WHERE NOT EXISTS (SELECT FROM key_pairs AS here WHERE here.user_id = ${userId}::text AND here.name = besides.name))`;
}

/** Held until the transaction ends. */
function lockOn(userId: string): Prisma.Sql {
  return Prisma.sql`SELECT 1 FROM pg_advisory_xact_lock(hashtextextended(${userId}::text, ${LOCK_SEED}::bigint))`;
}

function insertion(keyPair: NewKeyPair, max: number, besides: readonly string[] = []): Prisma.Sql {
  const { userId, name, fingerprint, publicKey, type, createdAt } = keyPair;
  return Prisma.sql`
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

function keyPairOfRow(userId: string, row: Row): StoredKeyPair {
  const { id, name, fingerprint, publicKey, type, createdAt, updatedAt } = row;
  return { id, userId, name, fingerprint, publicKey, type, createdAt, updatedAt, deletedAt: null, deleted: false };
}
