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

  /** Throws NOT_FOUND for an instance that is not there, deleted, or of another project; null: any project's. */
  async get(instanceUuid: string, projectId: string | null): Promise<InstanceFacts> {
    const facts = isUuid(instanceUuid) ? await this.#cellDb.instanceFacts.find(instanceUuid) : null;
    if (facts === null || (projectId !== null && facts.projectId !== projectId)) throw notFound();
    return facts;
  }
}
