/** instance_extra: what an instance carries of its owner's key pairs, whole, as a serialized KeyPairList. Written by the api. */
import { ServiceError } from '@gatehouse/errors/service-error';
import { KeyPairList } from '@gatehouse/objects/key-pair-list';
import type { CellClient } from './cell-client.ts';
import { Prisma } from './generated/client.ts';
import type { InjectedFile } from './instance-facts-store.ts';

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
    await this.#grow(instanceUuid);
  }

  /**
   * Replaces what there was of files, none by an empty list, and lets the instance's generation grow: only inside CellDb.transaction.
   * @throws ServiceError FAILED_PRECONDITION: no such instance
   */
  async saveInjectedFiles(instanceUuid: string, files: readonly InjectedFile[], at: Date): Promise<void> {
    if (files.length === 0) {
      const { count } = await this.#client.instanceExtraRow.updateMany({ where: { instanceUuid, NOT: { injectedFiles: { equals: Prisma.DbNull } } }, data: { injectedFiles: Prisma.DbNull, updatedAt: at } });
      if (count > 0) await this.#grow(instanceUuid);
      return;
    }
    const injectedFiles = files.map(({ path, contents }) => ({ path, contents }));
    await this.#client.instanceExtraRow.upsert({
      where: { instanceUuid },
      create: { instanceUuid, injectedFiles, createdAt: at },
      update: { injectedFiles, updatedAt: at },
      select: { instanceUuid: true },
    });
    await this.#grow(instanceUuid);
  }

  async #grow(uuid: string): Promise<void> {
    await this.#client.instanceRow.updateMany({ where: { uuid }, data: { generation: { increment: 1 } } });
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
