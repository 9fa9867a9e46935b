/** instance_mappings: which cell each instance lives in. Written by the api. */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ApiClient } from './api-client.ts';
import type { InstanceMappingRow } from './generated/client.ts';

export interface InstanceMapping {
  readonly instanceUuid: string;
  /** Null until a cell is chosen. */
  readonly cellUuid: string | null;
  readonly projectId: string;
  readonly userId: string;
  readonly createdAt: Date;
}

export class InstanceMappingsStore {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** Inserts, or moves the instance to the cell named. @throws ServiceError FAILED_PRECONDITION: no such cell */
  async save(mapping: InstanceMapping): Promise<void> {
    await this.#client.instanceMappingRow.upsert({
      where: { instanceUuid: mapping.instanceUuid },
      create: mapping,
      update: { cellUuid: mapping.cellUuid },
      select: { instanceUuid: true },
    });
  }

  async find(instanceUuid: string): Promise<InstanceMapping | null> {
    const row = await this.#client.instanceMappingRow.findUnique({ where: { instanceUuid } });
    return row && mappingOfRow(row);
  }

  /** @throws ServiceError NOT_FOUND */
  async get(instanceUuid: string): Promise<InstanceMapping> {
    const found = await this.find(instanceUuid);
    if (found === null) throw new ServiceError('NOT_FOUND', `Instance ${instanceUuid} could not be found.`);
    return found;
  }

  async delete(instanceUuid: string): Promise<number> {
    return (await this.#client.instanceMappingRow.deleteMany({ where: { instanceUuid } })).count;
  }
}

function mappingOfRow(row: InstanceMappingRow): InstanceMapping {
  return Object.freeze({ ...row });
}
