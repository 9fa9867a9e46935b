/** What an instance may know of itself, read from the cell's database alone. */
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { isUuid } from '@gatehouse/objects/fields';
import { notFound } from '@gatehouse/instance-metadata/metadata-tree';

export class InstanceMetadata {
  readonly #cellDb: CellDb;

  constructor(cellDb: CellDb) {
    this.#cellDb = cellDb;
  }

  /** Throws NOT_FOUND for an instance that is not there, deleted, or of another project. */
  async get(instanceId: string, projectId: string): Promise<InstanceFacts> {
    const facts = isUuid(instanceId) ? await this.#cellDb.instanceFacts.find(instanceId) : null;
    if (facts === null || facts.projectId !== projectId) throw notFound();
    return facts;
  }
}
