/** The RPC edge of the metadata service. */
import type { InstancePasswordsStore } from '@gatehouse/cell-db/instance-passwords-store';
import type { metadata } from '@gatehouse/contracts/metadata';
import type { Handlers } from '@gatehouse/rpc/server';
import type { InstanceCache } from './instance-cache.ts';

export function metadataHandlers(cache: InstanceCache, passwords: Pick<InstancePasswordsStore, 'deleteOf'>): Handlers<typeof metadata> {
  return {
    instanceChanged({ instanceUuid }) {
      cache.forget(instanceUuid);
    },
    async clearPassword({ instanceUuid }) {
      await passwords.deleteOf(instanceUuid);
    },
  };
}
