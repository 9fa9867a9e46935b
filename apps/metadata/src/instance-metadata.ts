/** What an instance may know of itself, read from the cell's database alone: its row, and the keys it carries. */
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { StoredInstance } from '@gatehouse/cell-db/instances-store';
import { isUuid } from '@gatehouse/objects/fields';
import type { KeyPair } from '@gatehouse/objects/key-pair';
import { notFound } from './metadata-tree.ts';

export interface InstanceFacts {
  readonly instance: StoredInstance;
  /** Its key pairs; null where the instance was never migrated, and only its row knows a key. */
  readonly keyPairs: readonly KeyPair[] | null;
}

export class InstanceMetadata {
  readonly #cellDb: CellDb;

  constructor(cellDb: CellDb) {
    this.#cellDb = cellDb;
  }

  /** Throws NOT_FOUND for an instance that is not there, deleted, or of another project. */
  async get(instanceId: string, projectId: string): Promise<InstanceFacts> {
    const instance = isUuid(instanceId) ? await this.#cellDb.instances.find(instanceId) : null;
    if (instance === null || instance.projectId !== projectId) throw notFound();
    const keyPairs = await this.#cellDb.instanceExtra.findKeyPairs(instance.uuid);
    return { instance, keyPairs: keyPairs?.objects ?? null };
  }
}
