/** How an instance's guest may read its metadata: with a session token or without one, where that is not as the metadata service is set. */
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { MetadataTokens } from '@gatehouse/cell-db/instance-facts-store';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { InstanceChange, SeenGenerations } from './instance-change.ts';
import type { Instances } from './instances.ts';

export const METADATA_TOKENS = ['off', 'optional', 'required'] as const satisfies readonly MetadataTokens[];

export interface MetadataOptions {
  /** Null: as the metadata service is set. */
  readonly tokens: MetadataTokens | null;
  readonly generation: number;
}

export class InstanceMetadataOptions {
  readonly #cellDb: CellDb;
  readonly #instances: Instances;
  readonly #change: InstanceChange;

  constructor(cellDb: CellDb, instances: Instances, change: InstanceChange) {
    this.#cellDb = cellDb;
    this.#instances = instances;
    this.#change = change;
  }

  /** Throws NOT_FOUND. */
  async show(context: RequestContext, uuid: string): Promise<MetadataOptions> {
    await this.#instances.show(context, uuid);
    return this.#read(uuid);
  }

  /** Throws NOT_FOUND, FAILED_PRECONDITION (instance-change.ts). */
  async replace(context: RequestContext, uuid: string, tokens: MetadataTokens | null, seen: SeenGenerations): Promise<MetadataOptions> {
    await this.#instances.show(context, uuid);
    await this.#change.make(context, {
      uuid, seen,
      what: 'the metadata options',
      // Under the name of what it rules the log would take it for a secret.
      facts: { rule: tokens ?? 'as the service is set' },
      async write({ instances, instanceFacts }, _, at) {
        if ((await instanceFacts.find(uuid))?.metadataTokens === tokens) return false;
        await instances.update(uuid, { metadataTokens: tokens }, at);
        return true;
      },
    });
    return this.#read(uuid);
  }

  async #read(uuid: string): Promise<MetadataOptions> {
    const facts = await this.#cellDb.instanceFacts.find(uuid);
    if (facts === null) throw new ServiceError('NOT_FOUND', `Instance ${uuid} could not be found.`);
    return { tokens: facts.metadataTokens, generation: facts.generation };
  }
}
