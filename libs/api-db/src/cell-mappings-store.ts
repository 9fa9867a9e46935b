/** cell_mappings: which cells there are and where. Their URLs hold passwords: for connecting, never for showing. Written by the api. */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ApiClient } from './api-client.ts';
import type { CellMappingRow } from './generated/client.ts';

export interface CellMapping {
  readonly uuid: string;
  readonly name: string;
  readonly transportUrl: string;
  readonly databaseUrl: string;
  readonly disabled: boolean;
}

const CELLS_MAX = 1_000;

export class CellMappingsStore {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** Inserts or replaces by uuid. @throws ServiceError ALREADY_EXISTS: another cell has this name */
  async save(cell: CellMapping, at: Date): Promise<void> {
    const { uuid, ...rest } = cell;
    await this.#client.cellMappingRow.upsert({
      where: { uuid },
      create: { uuid, ...rest, createdAt: at },
      update: { ...rest, updatedAt: at },
      select: { uuid: true },
    });
  }

  async find(uuid: string): Promise<CellMapping | null> {
    const row = await this.#client.cellMappingRow.findUnique({ where: { uuid } });
    return row && cellOfRow(row);
  }

  /** @throws ServiceError NOT_FOUND */
  async get(uuid: string): Promise<CellMapping> {
    const found = await this.find(uuid);
    if (found === null) throw new ServiceError('NOT_FOUND', `there is no cell ${uuid}`);
    return found;
  }

  async findByName(name: string): Promise<CellMapping | null> {
    const row = await this.#client.cellMappingRow.findUnique({ where: { name } });
    return row && cellOfRow(row);
  }

  async list(): Promise<readonly CellMapping[]> {
    const rows = await this.#client.cellMappingRow.findMany({ orderBy: { name: 'asc' }, take: CELLS_MAX });
    return rows.map(cellOfRow);
  }

  /** @throws ServiceError FAILED_PRECONDITION: instances are mapped to it */
  async delete(uuid: string): Promise<number> {
    return (await this.#client.cellMappingRow.deleteMany({ where: { uuid } })).count;
  }
}

function cellOfRow(row: CellMappingRow): CellMapping {
  const { uuid, name, transportUrl, databaseUrl, disabled } = row;
  return Object.freeze({ uuid, name, transportUrl, databaseUrl, disabled });
}
