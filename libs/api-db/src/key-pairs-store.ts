/** key_pairs: users' public keys under the users' own names for them. Written by the api. */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { KeyPair } from '@gatehouse/objects/key-pair';
import type { ApiClient } from './api-client.ts';
import type { KeyPairRow } from './generated/client.ts';

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

const PAGE_MAX = 1_000;

export class KeyPairsStore {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** @throws ServiceError ALREADY_EXISTS: the user has one of this name; inside a transaction this ends it */
  async create(keyPair: NewKeyPair): Promise<StoredKeyPair> {
    try {
      return keyPairOfRow(await this.#client.keyPairRow.create({ data: keyPair }));
    } catch (cause) {
      if (cause instanceof ServiceError && cause.code === 'ALREADY_EXISTS') {
        throw new ServiceError('ALREADY_EXISTS', `Key pair '${keyPair.name}' already exists.`, { cause });
      }
      throw cause;
    }
  }

  async find(userId: string, name: string): Promise<StoredKeyPair | null> {
    const row = await this.#client.keyPairRow.findUnique({ where: { userId_name: { userId, name } } });
    return row && keyPairOfRow(row);
  }

  /** @throws ServiceError NOT_FOUND */
  async get(userId: string, name: string): Promise<StoredKeyPair> {
    const found = await this.find(userId, name);
    if (found === null) throw notFound(userId, name);
    return found;
  }

  /**
   * By name, in byte order of UTF-8; at most `limit` (1,000 unless given, and never more), after `marker`.
   * @throws ServiceError NOT_FOUND: the marker is not a key pair of the user
   */
  async list(userId: string, page: { readonly limit?: number; readonly marker?: string } = {}): Promise<readonly StoredKeyPair[]> {
    if (page.marker !== undefined) await this.get(userId, page.marker);
    const rows = await this.#client.keyPairRow.findMany({
      where: { userId, ...(page.marker === undefined ? {} : { name: { gt: page.marker } }) },
      orderBy: { name: 'asc' },
      take: Math.min(page.limit ?? PAGE_MAX, PAGE_MAX),
    });
    return rows.map(keyPairOfRow);
  }

  async count(userId: string): Promise<number> {
    return this.#client.keyPairRow.count({ where: { userId } });
  }

  /**
   * Holds back every other transaction that locks the same user until this one ends: counting against a quota
   * and creating become one step. Only inside ApiDb.transaction.
   */
  async lockUser(userId: string): Promise<void> {
    await this.#client.$queryRaw`SELECT 1 AS locked FROM (SELECT pg_advisory_xact_lock(hashtextextended(${userId}, 7230))) AS l`;
  }

  async delete(userId: string, name: string): Promise<number> {
    return (await this.#client.keyPairRow.deleteMany({ where: { userId, name } })).count;
  }
}

function notFound(userId: string, name: string): ServiceError {
  return new ServiceError('NOT_FOUND', `Keypair ${name} not found for user ${userId}`);
}

function keyPairOfRow(row: KeyPairRow): StoredKeyPair {
  return Object.freeze({ ...row, deletedAt: null, deleted: false as const });
}
