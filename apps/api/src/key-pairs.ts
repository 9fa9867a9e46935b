/**
 * A user's public keys. Where they are is merged-key-pairs.ts's to know; what a key may be is decided here, how it is
 * read in ssh-public-key.ts and x509-certificate.ts.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { KeyPair } from '@gatehouse/objects/key-pair';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import { KeyGenerator } from './key-generation.ts';
import type { GeneratedSshKeys } from './key-generation.ts';
import type { MergedKeyPairs } from './merged-key-pairs.ts';
import { parseSshPublicKey } from './ssh-public-key.ts';
import { parseX509 } from './x509-certificate.ts';

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
  readonly generatedSshKeys: GeneratedSshKeys;
}

/** Most key pairs in one answer, as in Nova (`max_limit`). */
export const KEY_PAIRS_PAGE_MAX = 1000;

export class KeyPairs {
  readonly #merged: MergedKeyPairs;
  readonly #rules: KeyPairRules;
  readonly #generator: KeyGenerator;
  readonly #clock: Clock;

  constructor(merged: MergedKeyPairs, rules: KeyPairRules, clock: Clock) {
    this.#merged = merged;
    this.#rules = rules;
    this.#generator = new KeyGenerator(rules.generatedSshKeys);
    this.#clock = clock;
  }

  /**
   * Counting against the quota and storing are one step, so parallel imports cannot pass it. As in Nova a full
   * quota is told before a bad key. Throws PERMISSION_DENIED (another's key, quota), INVALID_ARGUMENT (bad key),
   * ALREADY_EXISTS, RESOURCE_EXHAUSTED (too many generations under way), UNAVAILABLE (a cell that may have key pairs is away;
   * the others too).
   */
  async create(context: RequestContext, wanted: NewKeyPair): Promise<CreatedKeyPair> {
    permit(context, wanted.userId, 'create');
    const { userId, name, type } = wanted;
    const { publicKey, privateKey } = await this.#material(wanted);
    const fingerprint = await this.#fingerprint(wanted, publicKey);
    const { keyPairsMax } = this.#rules;
    const max = keyPairsMax < 0 ? Number.MAX_SAFE_INTEGER : keyPairsMax;
    const keyPair = await this.#merged.createWithin({ userId, name, type, publicKey, fingerprint, createdAt: this.#clock.now() }, max);
    if (keyPair === null) throw overQuota();
    return { keyPair, privateKey };
  }

  /** Most key pairs of one user; -1 for no limit. */
  get quota(): number {
    return this.#rules.keyPairsMax;
  }

  /** Throws PERMISSION_DENIED. */
  async count(context: RequestContext, userId: string): Promise<number> {
    permit(context, userId, 'index');
    return this.#merged.count(userId);
  }

  /** In the order of their names. Throws PERMISSION_DENIED, INVALID_ARGUMENT (no such marker). */
  async list(context: RequestContext, userId: string, page: KeyPairPage): Promise<readonly KeyPair[]> {
    permit(context, userId, 'index');
    const { marker, limit } = page;
    if (marker !== undefined && (await this.#merged.find(userId, marker)) === null) {
      throw new ServiceError('INVALID_ARGUMENT', `Marker ${marker} could not be found.`);
    }
    return this.#merged.list(userId, { limit: Math.min(limit, KEY_PAIRS_PAGE_MAX), after: marker });
  }

  /** Throws PERMISSION_DENIED, NOT_FOUND. */
  async show(context: RequestContext, userId: string, name: string): Promise<KeyPair> {
    permit(context, userId, 'show');
    const found = await this.#merged.find(userId, name);
    if (found === null) throw notFound(userId, name);
    return found;
  }

  /** Throws PERMISSION_DENIED, NOT_FOUND. */
  async delete(context: RequestContext, userId: string, name: string): Promise<void> {
    permit(context, userId, 'delete');
    if (!(await this.#merged.delete(userId, name))) throw notFound(userId, name);
  }

  async #checkQuota(userId: string): Promise<void> {
    const { keyPairsMax } = this.#rules;
    if (keyPairsMax < 0 || (await this.#merged.count(userId)) < keyPairsMax) return;
    throw overQuota();
  }

  async #material({ userId, type, publicKey }: NewKeyPair): Promise<{ publicKey: string; privateKey: string | null }> {
    if (publicKey !== undefined) return { publicKey, privateKey: null };
    // Nobody waits for a key that could not be stored.
    await this.#checkQuota(userId);
    return type === 'ssh' ? this.#generator.ssh() : this.#generator.x509(userId, this.#clock.now());
  }

  async #fingerprint({ userId, type }: NewKeyPair, publicKey: string): Promise<string> {
    try {
      return this.#acceptedFingerprint(type, publicKey);
    } catch (refusal) {
      await this.#checkQuota(userId);
      throw refusal;
    }
  }

  #acceptedFingerprint(type: KeyPairType, publicKey: string): string {
    const key = type === 'x509' ? parseX509(publicKey) : parseSshPublicKey(publicKey);
    if (key.weakness !== null && !this.#rules.allowWeakKeys) throw new ServiceError('INVALID_ARGUMENT', `Keypair data is invalid: ${key.weakness}`);
    return 'fingerprintMd5' in key ? key.fingerprintMd5 : key.fingerprint;
  }
}

function notFound(userId: string, name: string): ServiceError {
  return new ServiceError('NOT_FOUND', `Keypair ${name} not found for user ${userId}`);
}

function overQuota(): ServiceError {
  return new ServiceError('PERMISSION_DENIED', 'Quota exceeded, too many key pairs.');
}

/** Policy of os-keypairs: one's own, or the administrator. */
function permit(context: RequestContext, userId: string, action: string): void {
  if (context.isAdmin || context.userId === userId) return;
  throw new ServiceError('PERMISSION_DENIED', `Policy doesn't allow os_compute_api:os-keypairs:${action} to be performed.`);
}
