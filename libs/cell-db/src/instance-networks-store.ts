/**
 * How an instance's guest is on the network: instances.network, which its guest reads as network_data.json, and
 * instance_addresses, by which the guest itself is found. Written together by the api, as an operator's IPAM tells it.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import { Prisma } from './generated/client.ts';
import type { NetworkData } from './instance-facts-store.ts';
import type { SqlClient } from './sql-client.ts';

export interface InstanceNetwork {
  /** Null: nothing is known. */
  readonly data: NetworkData | null;
  /** The guest's own addresses, in canonical form (libs/objects/src/ip-text.ts). */
  readonly fixed: readonly string[];
  /** Where it is reached from outside. */
  readonly floating: readonly string[];
}

export interface StoredInstanceNetwork extends InstanceNetwork {
  readonly generation: number;
}

export class InstanceNetworksStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
    this.#client = client;
  }

  /** Never a deleted one's. @throws ServiceError NOT_FOUND */
  async get(uuid: string): Promise<StoredInstanceNetwork> {
    const [row] = await this.#client.$queryRaw<readonly StoredInstanceNetwork[]>`
      SELECT i.network AS data, i.generation,
        COALESCE((SELECT json_agg(a.address ORDER BY a.address) FROM instance_addresses a WHERE a.instance_uuid = i.uuid AND a.kind = 'fixed'), '[]') AS fixed,
        COALESCE((SELECT json_agg(a.address ORDER BY a.address) FROM instance_addresses a WHERE a.instance_uuid = i.uuid AND a.kind = 'floating'), '[]') AS floating
      FROM instances i WHERE i.uuid = ${uuid}::uuid AND i.deleted_at IS NULL`;
    if (row === undefined) throw notFound(uuid);
    return row;
  }

  /** Replaces all of it, and lets the instance's generation grow: only inside CellDb.transaction. No address twice. @throws ServiceError NOT_FOUND */
  async save(uuid: string, { data, fixed, floating }: InstanceNetwork, at: Date): Promise<void> {
    const network = data === null ? null : JSON.stringify(data);
    const count = await this.#client.$executeRaw`
      UPDATE instances SET network = ${network}::jsonb, updated_at = ${at}::timestamp, generation = generation + 1 WHERE uuid = ${uuid}::uuid AND deleted_at IS NULL`;
    if (count === 0) throw notFound(uuid);
    await this.#client.$executeRaw`DELETE FROM instance_addresses WHERE instance_uuid = ${uuid}::uuid`;
    const rows = [...fixed.map((address) => rowOf(uuid, address, 'fixed')), ...floating.map((address) => rowOf(uuid, address, 'floating'))];
    if (rows.length > 0) await this.#client.$executeRaw`INSERT INTO instance_addresses (instance_uuid, address, kind) VALUES ${Prisma.join(rows)}`;
  }
}

function rowOf(uuid: string, address: string, kind: 'fixed' | 'floating'): Prisma.Sql {
  return Prisma.sql`(${uuid}::uuid, ${address}::text, ${kind}::text)`;
}

function notFound(uuid: string): ServiceError {
  return new ServiceError('NOT_FOUND', `Instance ${uuid} could not be found.`);
}
