/** Servers that are made with key pairs while these move: the key is in both trees of the guest from the first moment. Their guests are never made: nobody answers on their host. */
import assert from 'node:assert/strict';
import { ComputeClient } from './compute-client.ts';
import type { GuestTraffic } from './guest-traffic.ts';
import type { KeyPairTraffic } from './key-pair-traffic.ts';
import type { ServingHouse } from './moving-house.ts';
import type { TrafficLoop } from './traffic-record.ts';

export function serverLoop({ apiUrl, metadataUrls }: ServingHouse, users: KeyPairTraffic, guests: GuestTraffic): TrafficLoop {
  return {
    what: 'server',
    async turn() {
      const { userId, name, publicKey } = users.someKey();
      const compute = new ComputeClient(apiUrl, `${userId}:moving`);
      const uuid = await compute.createServer('moving', { key_name: name });
      const guest = { uuid, projectId: 'moving', metadataUrl: metadataUrls[0], key: { name, publicKey }, hasOwnCopy: true };
      assert.ok(await guests.readOne(guest), `server ${uuid} was made without its key`);
    },
  };
}
