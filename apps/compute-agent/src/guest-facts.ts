/**
 * What a guest is made from: its instance with the keys that the cell's database says it carries, at this moment, whatever
 * came with the request; and the files of its config drive, where it is to have one. A user's key pairs, which may have
 * changed or gone since, are not looked at: no agent reaches the database that holds them.
 */
import type { InstanceFacts, InstanceFactsStore } from '@gatehouse/cell-db/instance-facts-store';
import type { InstancesStore } from '@gatehouse/cell-db/instances-store';
import { isServiceError } from '@gatehouse/errors/service-error';
import type { Instance } from '@gatehouse/objects/instance';
import type { Logger } from '@gatehouse/runtime/logger';
import { configDriveFiles } from './config-drive.ts';
import type { DriveFiles } from './drivers/driver.ts';

export interface FactStores {
  readonly instanceFacts: Pick<InstanceFactsStore, 'find'>;
  readonly instances: Pick<InstancesStore, 'find'>;
}

export interface GuestMaterial {
  readonly instance: Instance;
  /** Null: it has none. */
  readonly configDrive: DriveFiles | null;
}

export class GuestFacts {
  readonly #stores: FactStores;
  readonly #drives: 'asked' | 'always';
  readonly #log: Logger;

  constructor(stores: FactStores, drives: 'asked' | 'always', log: Logger) {
    this.#stores = stores;
    this.#drives = drives;
    this.#log = log;
  }

  /** Throws UNAVAILABLE while the database is away, and INTERNAL where keys cannot be read that its config drive would hold. */
  async materialOf(instance: Instance): Promise<GuestMaterial> {
    const facts = await this.#find(instance.uuid, true);
    if (facts === null) return { instance, configDrive: null };
    const configDrive = this.#hasDrive(facts) ? await configDriveFiles(facts) : null;
    return { instance: withKeysOf(facts, instance), configDrive };
  }

  /** The instance with its keys; without them where they cannot be read. Throws UNAVAILABLE while the database is away. */
  async keyed<I extends Instance>(instance: I): Promise<I> {
    const facts = await this.#find(instance.uuid, false);
    return facts === null ? instance : withKeysOf(facts, instance);
  }

  /** Null: there is no such instance any more, or what it carries cannot be read and holds up nothing. */
  async #find(uuid: string, forDrive: boolean): Promise<InstanceFacts | null> {
    try {
      return await this.#stores.instanceFacts.find(uuid);
    } catch (error) {
      if (!isServiceError(error) || error.code !== 'INTERNAL') throw error;
      if (forDrive && this.#hasDrive(await this.#stores.instances.find(uuid))) throw error;
      this.#log.error({ instanceUuid: uuid, err: error }, 'a guest is taken up without its keys');
      return null;
    }
  }

  #hasDrive(instance: { readonly configDrive: boolean } | null): boolean {
    return this.#drives === 'always' || instance?.configDrive === true;
  }
}

/** Of one that was never migrated the row alone tells, of one key. */
function withKeysOf<I extends Instance>({ keyName, keyData, keyPairs }: InstanceFacts, instance: I): I {
  const { keypairs: _, ...others } = instance;
  return { ...others, keyName, keyData, ...(keyPairs === null ? {} : { keypairs: { objects: [...keyPairs] } }) } as I;
}
