/** What the metadata services of a cell do for the api. */
import { uuid } from '@gatehouse/objects/fields';
import { defineContract, method } from '@gatehouse/rpc/contract';

export const metadata = defineContract({
  topic: 'metadata',
  version: '1.0',
  methods: {
    /** Sent to all of them when anything changed that the instance may be told of itself, its deletion too: what they hold of it is stale. */
    instanceChanged: method({ since: '1.0', kind: 'fanout', args: { instanceUuid: uuid() } }),
    /** Forgets the password that the guest posted, so that it may post another; asked of any one of them. */
    clearPassword: method({ since: '1.0', idempotent: true, args: { instanceUuid: uuid() } }),
  },
});
