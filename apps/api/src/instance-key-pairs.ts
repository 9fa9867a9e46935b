/**
 * The key pairs that an instance carries, and changing them while it runs: its guest finds the new ones in its metadata.
 * They are copies: a key pair that its user deletes or makes anew stays in the instance as it was.
 */
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { ServiceError, isServiceError } from '@gatehouse/errors/service-error';
import type { KeyPair } from '@gatehouse/objects/key-pair';
import type { KeyPairList } from '@gatehouse/objects/key-pair-list';
import { publicKeyType } from '@gatehouse/objects/public-key-text';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { InstanceChange, SeenGenerations } from './instance-change.ts';
import { ownerOf } from './instances.ts';
import type { Instances } from './instances.ts';

export interface CarriedKeyPairs {
  readonly keyPairs: readonly KeyPair[];
  /** instance_extra: whole key pairs. key_name: the instance was never migrated, its row knows a name and the public key alone. */
  readonly source: 'instance_extra' | 'key_name';
  readonly generation: number;
}

export interface WantedKeyPairs {
  readonly names: readonly string[];
  /** Whose they are; the caller's own unless said. */
  readonly userId?: string | undefined;
}

export class InstanceKeyPairs {
  readonly #cellDb: CellDb;
  readonly #instances: Instances;
  readonly #change: InstanceChange;

  constructor(cellDb: CellDb, instances: Instances, change: InstanceChange) {
    this.#cellDb = cellDb;
    this.#instances = instances;
    this.#change = change;
  }

  /** Throws NOT_FOUND. */
  async show(context: RequestContext, uuid: string): Promise<CarriedKeyPairs> {
    await this.#instances.show(context, uuid);
    return this.#read(uuid);
  }

  /**
   * From now on these and no others, in this order; the first is the one that Nova's servers view shows. Saying the same again
   * changes nothing. Throws NOT_FOUND, INVALID_ARGUMENT (names that are not there, or said twice), PERMISSION_DENIED
   * (another user's keys), FAILED_PRECONDITION (instance-change.ts).
   */
  async replace(context: RequestContext, uuid: string, { names, userId = ownerOf(context).userId }: WantedKeyPairs, seen: SeenGenerations): Promise<CarriedKeyPairs> {
    await this.#instances.show(context, uuid);
    permit(context, userId);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) throw new ServiceError('INVALID_ARGUMENT', `keypairs: ${JSON.stringify(twice)} is named twice; name each once`);
    const keyPairs = await this.#instances.keyPairsOf(userId, names);
    const [first] = keyPairs;
    await this.#change.make(context, {
      uuid, seen,
      what: 'the key pairs',
      facts: { keyPairNames: names, keyPairUser: userId },
      async write({ instances, instanceExtra }, { keyName, keyData }, at) {
        const before = await readable(instanceExtra.findKeyPairs(uuid));
        const row = { keyName: first?.name ?? null, keyData: first?.publicKey ?? null };
        if (before !== null && areSame(before.objects, keyPairs) && keyName === row.keyName && keyData === row.keyData) return false;
        await instanceExtra.saveKeyPairs(uuid, { objects: keyPairs }, at);
        await instances.update(uuid, row, at);
        return true;
      },
    });
    return this.#read(uuid);
  }

  async #read(uuid: string): Promise<CarriedKeyPairs> {
    const facts = await this.#cellDb.instanceFacts.find(uuid);
    if (facts === null) throw new ServiceError('NOT_FOUND', `Instance ${uuid} could not be found.`);
    const { keyPairs, generation } = facts;
    return keyPairs === null ? { keyPairs: legacyKeyPair(facts), source: 'key_name', generation } : { keyPairs, source: 'instance_extra', generation };
  }
}

/** Null for a list that nobody can read, too: to replace it is how its owner gets out of that. */
async function readable(found: Promise<KeyPairList | null>): Promise<KeyPairList | null> {
  try {
    return await found;
  } catch (error) {
    if (isServiceError(error) && error.code === 'INTERNAL') return null;
    throw error;
  }
}

/** What the row knows of an instance that was never migrated. */
function legacyKeyPair({ keyName, keyData }: InstanceFacts): readonly KeyPair[] {
  if (keyName === null) return [];
  return [{ name: keyName, type: publicKeyType(keyData ?? ''), publicKey: keyData, fingerprint: null, userId: null }];
}

function areSame(some: readonly KeyPair[], others: readonly KeyPair[]): boolean {
  return some.length === others.length && some.every((each, index) => idOf(each) === idOf(others[index]));
}

function idOf(keyPair: KeyPair | undefined): string {
  return JSON.stringify([keyPair?.name, keyPair?.userId ?? null, keyPair?.type, keyPair?.publicKey ?? null, keyPair?.id ?? null]);
}

/** As for os-keypairs: one's own, or the administrator. */
function permit(context: RequestContext, userId: string): void {
  if (context.isAdmin || context.userId === userId) return;
  throw new ServiceError('PERMISSION_DENIED', `the key pairs of user ${userId} are for that user and the administrator to give to an instance`);
}
