/**
 * How an instance is on the network, as its operator's address management says it: there is no Neutron here to ask. The guest
 * reads it as network_data.json, and who asks for metadata by address is found by the fixed ones.
 */
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { InstanceNetwork, StoredInstanceNetwork } from '@gatehouse/cell-db/instance-networks-store';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { InstanceChange, SeenGenerations } from './instance-change.ts';
import type { Instances } from './instances.ts';

export class InstanceNetworks {
  readonly #cellDb: CellDb;
  readonly #instances: Instances;
  readonly #change: InstanceChange;

  constructor(cellDb: CellDb, instances: Instances, change: InstanceChange) {
    this.#cellDb = cellDb;
    this.#instances = instances;
    this.#change = change;
  }

  /** Throws NOT_FOUND, PERMISSION_DENIED. */
  async show(context: RequestContext, uuid: string): Promise<StoredInstanceNetwork> {
    await this.#instances.show(context, uuid);
    permit(context);
    return this.#cellDb.instanceNetworks.get(uuid);
  }

  /** Replaces all of it; saying the same again changes nothing. Throws NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION (instance-change.ts). */
  async replace(context: RequestContext, uuid: string, network: InstanceNetwork, seen: SeenGenerations): Promise<StoredInstanceNetwork> {
    await this.#instances.show(context, uuid);
    permit(context);
    await this.#change.make(context, {
      uuid, seen,
      what: 'the network',
      facts: { fixed: network.fixed, floating: network.floating },
      async write({ instanceNetworks }, _, at) {
        const before = await instanceNetworks.get(uuid);
        if (sameText(before) === sameText(network)) return false;
        await instanceNetworks.save(uuid, network, at);
        return true;
      },
    });
    return this.#cellDb.instanceNetworks.get(uuid);
  }
}

/** The same for the same, whichever order the database keeps an object's names in. */
function sameText({ data, fixed, floating }: InstanceNetwork): string {
  return JSON.stringify([data, [...fixed].sort(), [...floating].sort()], (_, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value);
}

function permit(context: RequestContext): void {
  if (!context.isAdmin) throw new ServiceError('PERMISSION_DENIED', "an instance's network is the administrator's to read and to write");
}
