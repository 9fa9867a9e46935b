/**
 * A user's public keys. Reads and writes go to the API database; what a key may be is decided here, how it is
 * read in ssh-public-key.ts and x509-certificate.ts.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ApiDb, ApiStores } from '@gatehouse/api-db/api-db';
import type { KeyPair } from '@gatehouse/objects/key-pair';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import { generateSshKey } from './key-generation.ts';
import { parseSshPublicKey } from './ssh-public-key.ts';
import { x509Fingerprint } from './x509-certificate.ts';

export type KeyPairType = 'ssh' | 'x509';

export interface NewKeyPair {
  readonly userId: string;
  readonly name: string;
  readonly type: KeyPairType;
  /** Absent: one is generated. */
  readonly publicKey?: string | undefined;
}

export interface CreatedKeyPair {
  readonly keyPair: KeyPair;
  /** Only of a generated key, and only here: it is stored nowhere. */
  readonly privateKey: string | null;
}

export interface KeyPairPage {
  readonly limit: number;
  /** Names after this one; it must exist. */
  readonly marker?: string | undefined;
}

export interface KeyPairRules {
  /** Most key pairs of one user; -1 for no limit. */
  readonly keyPairsMax: number;
  /** Also DSA and RSA below 2048 bits. */
  readonly allowWeakKeys: boolean;
}

/** Most key pairs in one answer, as in Nova (`max_limit`). */
export const KEY_PAIRS_PAGE_MAX = 1000;

export class KeyPairs {
  readonly #apiDb: ApiDb;
  readonly #rules: KeyPairRules;
  readonly #clock: Clock;

  constructor(apiDb: ApiDb, rules: KeyPairRules, clock: Clock) {
    this.#apiDb = apiDb;
    this.#rules = rules;
    this.#clock = clock;
  }

  /**
   * Counting against the quota and storing are one step, so parallel imports cannot pass it. As in Nova a full
   * quota is told before a bad key. Throws PERMISSION_DENIED (another's key, quota), INVALID_ARGUMENT (bad key),
   * ALREADY_EXISTS, UNIMPLEMENTED (generating x509), RESOURCE_EXHAUSTED (too many generations under way).
   */
  async create(context: RequestContext, wanted: NewKeyPair): Promise<CreatedKeyPair> {
    permit(context, wanted.userId, 'create');
    const { userId, name, type } = wanted;
    if (wanted.publicKey === undefined) await this.#checkQuota(this.#apiDb, userId);
    const { publicKey, privateKey } = await material(wanted);
    const keyPair = await this.#apiDb.transaction(async (stores) => {
      await stores.keyPairs.lockUser(userId);
      await this.#checkQuota(stores, userId);
      const fingerprint = this.#fingerprint(type, publicKey);
      return stores.keyPairs.create({ userId, name, type, publicKey, fingerprint, createdAt: this.#clock.now() });
    });
    return { keyPair, privateKey };
  }

  /** In the order of their names. Throws PERMISSION_DENIED, INVALID_ARGUMENT (no such marker). */
  async list(context: RequestContext, userId: string, page: KeyPairPage): Promise<readonly KeyPair[]> {
    permit(context, userId, 'index');
    const { marker, limit } = page;
    if (marker !== undefined && (await this.#apiDb.keyPairs.find(userId, marker)) === null) {
      throw new ServiceError('INVALID_ARGUMENT', `Marker ${marker} could not be found.`);
    }
    if (limit === 0) return [];
    const from = marker === undefined ? {} : { marker };
    return this.#apiDb.keyPairs.list(userId, { limit: Math.min(limit, KEY_PAIRS_PAGE_MAX), ...from });
  }

  /** Throws PERMISSION_DENIED, NOT_FOUND. */
  async show(context: RequestContext, userId: string, name: string): Promise<KeyPair> {
    permit(context, userId, 'show');
    return this.#apiDb.keyPairs.get(userId, name);
  }

  /** Throws PERMISSION_DENIED, NOT_FOUND. */
  async delete(context: RequestContext, userId: string, name: string): Promise<void> {
    permit(context, userId, 'delete');
    if ((await this.#apiDb.keyPairs.delete(userId, name)) > 0) return;
    throw new ServiceError('NOT_FOUND', `Keypair ${name} not found for user ${userId}`);
  }

  async #checkQuota(stores: ApiStores, userId: string): Promise<void> {
    const { keyPairsMax } = this.#rules;
    if (keyPairsMax < 0 || (await stores.keyPairs.count(userId)) < keyPairsMax) return;
    throw new ServiceError('PERMISSION_DENIED', 'Quota exceeded, too many key pairs.');
  }

  #fingerprint(type: KeyPairType, publicKey: string): string {
    if (type === 'x509') return x509Fingerprint(publicKey);
    const key = parseSshPublicKey(publicKey);
    if (key.weakness !== null && !this.#rules.allowWeakKeys) {
      throw new ServiceError('INVALID_ARGUMENT', `Keypair data is invalid: ${key.weakness}`);
    }
    return key.fingerprintMd5;
  }
}

/** Policy of os-keypairs: one's own, or the administrator. */
function permit(context: RequestContext, userId: string, action: string): void {
  if (context.isAdmin || context.userId === userId) return;
  throw new ServiceError('PERMISSION_DENIED', `Policy doesn't allow os_compute_api:os-keypairs:${action} to be performed.`);
}

async function material(wanted: NewKeyPair): Promise<{ publicKey: string; privateKey: string | null }> {
  if (wanted.publicKey !== undefined) return { publicKey: wanted.publicKey, privateKey: null };
  if (wanted.type === 'ssh') return generateSshKey();
  throw new ServiceError('UNIMPLEMENTED', 'Generating x509 key pairs is not supported yet: send a certificate as public_key');
}
