/** instance_extra: what an instance carries of its owner's key pairs, whole, as a serialized KeyPairList. Written by the api. */
import { ServiceError } from '@gatehouse/errors/service-error';
import { KeyPairList } from '@gatehouse/objects/key-pair-list';
import type { CellClient } from './cell-client.ts';

export class InstanceExtraStore {
  readonly #client: CellClient;

  constructor(client: CellClient) {
    this.#client = client;
  }

  /** Null: no row, or not migrated yet. An empty list: the instance has no key pair. @throws ServiceError INTERNAL: not a KeyPairList */
  async findKeyPairs(instanceUuid: string): Promise<KeyPairList | null> {
    const row = await this.#client.instanceExtraRow.findUnique({ where: { instanceUuid }, select: { keypairs: true } });
    return row === null || row.keypairs === null ? null : readKeyPairs(instanceUuid, row.keypairs);
  }

  /**
   * Inserts or replaces, and lets the instance's generation grow: only inside CellDb.transaction.
   * @throws ServiceError FAILED_PRECONDITION: no such instance
   */
  async saveKeyPairs(instanceUuid: string, keyPairs: KeyPairList, at: Date): Promise<void> {
    const keypairs = JSON.stringify(KeyPairList.toPrimitive(keyPairs));
    await this.#client.instanceExtraRow.upsert({
      where: { instanceUuid },
      create: { instanceUuid, keypairs, createdAt: at },
      update: { keypairs, setAside: null, updatedAt: at },
      select: { instanceUuid: true },
    });
    await this.#client.instanceRow.updateMany({ where: { uuid: instanceUuid }, data: { generation: { increment: 1 } } });
  }
}

/** @throws ServiceError INTERNAL: not a KeyPairList */
export function readKeyPairs(instanceUuid: string, stored: string): KeyPairList {
  try {
    return KeyPairList.fromPrimitive(JSON.parse(stored));
  } catch (cause) {
    throw new ServiceError('INTERNAL', `the stored key pairs of instance ${instanceUuid} cannot be read`, { cause });
  }
}
