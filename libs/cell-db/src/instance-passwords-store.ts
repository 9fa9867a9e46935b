/**
 * instance_passwords: the password that a guest has posted for its owner. The first one stays until it is cleared: which of
 * several that come at once is the first, one statement decides. Written by the metadata service, through the cell's every process.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { SqlClient } from './sql-client.ts';

/** saved: this one. set: another was there before, and stays. gone: there is no such instance, or it is deleted. */
export type PasswordSaved = 'saved' | 'set' | 'gone';

export class InstancePasswordsStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
    this.#client = client;
  }

  /** Null: none, also of an instance that is deleted or was never there. */
  async find(instanceUuid: string): Promise<string | null> {
    const [row] = await this.#client.$queryRaw<readonly { readonly password: string }[]>`
      SELECT p.password FROM instance_passwords p JOIN instances i ON i.uuid = p.instance_uuid
      WHERE p.instance_uuid = ${instanceUuid}::uuid AND i.deleted_at IS NULL`;
    return row?.password ?? null;
  }

  /** Inserts and never replaces; `password` has at most 1020 characters, none of them NUL. */
  async save(instanceUuid: string, password: string, at: Date): Promise<PasswordSaved> {
    // Locked, so that it is not deleted meanwhile.
    const [row] = await this.#client.$queryRaw<readonly { readonly isLive: boolean; readonly isSaved: boolean }[]>`
      WITH live AS (SELECT uuid FROM instances WHERE uuid = ${instanceUuid}::uuid AND deleted_at IS NULL FOR SHARE),
        saved AS (
          INSERT INTO instance_passwords (instance_uuid, password, created_at)
          SELECT uuid, ${password}::text, ${at}::timestamp(3) FROM live
          ON CONFLICT (instance_uuid) DO NOTHING RETURNING instance_uuid)
      SELECT EXISTS (SELECT FROM live) AS "isLive", EXISTS (SELECT FROM saved) AS "isSaved"`;
    if (row === undefined) throw new ServiceError('INTERNAL', 'the database did not say whether a password was saved');
    if (row.isSaved) return 'saved';
    return row.isLive ? 'set' : 'gone';
  }

  /** @returns how many there were, 0 or 1 */
  deleteOf(instanceUuid: string): Promise<number> {
    return this.#client.$executeRaw`DELETE FROM instance_passwords WHERE instance_uuid = ${instanceUuid}::uuid`;
  }
}
