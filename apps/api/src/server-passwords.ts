/**
 * The password that a guest has posted to its metadata service, encrypted with its owner's key, for the owner to read. The
 * metadata service alone writes it, so it is asked to forget it.
 */
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { metadata } from '@gatehouse/contracts/metadata';
import type { Client } from '@gatehouse/rpc/client';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Instances } from './instances.ts';

/** A metadata service has one statement to do. */
const CLEAR_TIMEOUT_MS = 5_000;

export class ServerPasswords {
  readonly #cellDb: CellDb;
  readonly #instances: Instances;
  readonly #metadata: Pick<Client<typeof metadata>, 'clearPassword'>;

  constructor(cellDb: CellDb, instances: Instances, client: Pick<Client<typeof metadata>, 'clearPassword'>) {
    this.#cellDb = cellDb;
    this.#instances = instances;
    this.#metadata = client;
  }

  /** As it was posted; empty where there is none. Throws NOT_FOUND. */
  async show(context: RequestContext, uuid: string): Promise<string> {
    await this.#instances.show(context, uuid);
    return (await this.#cellDb.instancePasswords.find(uuid)) ?? '';
  }

  /** The guest's own password stays what it is. Throws NOT_FOUND, UNAVAILABLE (no metadata service serves the cell). */
  async clear(context: RequestContext, uuid: string): Promise<void> {
    await this.#instances.show(context, uuid);
    await this.#metadata.clearPassword({ instanceUuid: uuid }, context, { timeoutMs: CLEAR_TIMEOUT_MS });
  }
}
