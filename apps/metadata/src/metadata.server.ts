/** The RPC edge of the metadata service. */
import type { metadata } from '@gatehouse/contracts/metadata';
import type { Handlers } from '@gatehouse/rpc/server';
import type { InstanceCache } from './instance-cache.ts';
import type { Passwords } from './passwords.ts';

export function metadataHandlers(cache: InstanceCache, passwords: Passwords): Handlers<typeof metadata> {
  return {
    instanceChanged({ instanceUuid }) {
      cache.forget(instanceUuid.toLowerCase());
    },
    async clearPassword({ instanceUuid }) {
      await passwords.clear(instanceUuid);
    },
  };
}
