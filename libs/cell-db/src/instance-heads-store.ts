/** instances, as much of them as consoles need: whether one is there, what it is called, and where it is. Nothing is written. */
import { Prisma } from './generated/client.ts';
import type { InstanceRow } from './generated/client.ts';
import type { SqlClient } from './sql-client.ts';

export type InstanceHead = Pick<InstanceRow, 'uuid' | 'host' | 'displayName'>;

/**
 * That an instance which is named by its uuid is not deleted. The same as `deleted_at IS NULL`, but no index of those answers it, or a plan
 * that was made while there were few would read it whole for ever after: see IS_OPEN in console-session-row.ts.
 */
export const IS_THERE = Prisma.raw("coalesce(deleted_at, 'infinity') = 'infinity'");

export class InstanceHeadsStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
    this.#client = client;
  }

  /** Never a deleted one. */
  async find(uuid: string): Promise<InstanceHead | null> {
    const [row] = await this.#client.$queryRaw<readonly InstanceHead[]>`
      SELECT uuid::text AS uuid, host, display_name AS "displayName" FROM instances WHERE uuid = ${uuid}::uuid AND ${IS_THERE}`;
    return row ?? null;
  }

  /** find, with the row locked until the transaction ends: nobody deletes the instance or chooses one of its ports meanwhile. */
  async lock(uuid: string): Promise<InstanceHead | null> {
    const [row] = await this.#client.$queryRaw<readonly InstanceHead[]>`
      SELECT uuid::text AS uuid, host, display_name AS "displayName" FROM instances
      WHERE uuid = ${uuid}::uuid AND ${IS_THERE} FOR NO KEY UPDATE`;
    return row ?? null;
  }

  /** False for one that was never known here, too. */
  async isDeleted(uuid: string): Promise<boolean> {
    const rows = await this.#client.$queryRaw<readonly unknown[]>`
      SELECT uuid::text AS uuid FROM instances WHERE uuid = ${uuid}::uuid AND deleted_at IS NOT NULL`;
    return rows.length > 0;
  }
}
