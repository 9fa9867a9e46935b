/**
 * Actions on a guest where it is: on, off, off and on, made anew. Each writes its task first, ends the consoles with
 * their reason, asks the host's agent, which writes the state that follows, and ends the consoles once more: a token that
 * was minted meanwhile is found by the second look. Where the agent does not do it, the instance is as it was before.
 */
import type { InjectedFile } from '@gatehouse/cell-db/instance-facts-store';
import type { StoredInstance } from '@gatehouse/cell-db/instances-store';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { EndReason } from '@gatehouse/errors/endings';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { ActionName } from './action-rules.ts';
import type { Guests } from './guests.ts';
import { checkInjectedFiles } from './injected-files.ts';
import type { InstanceTasks } from './instance-tasks.ts';
import { checkMetadata, ownerOf } from './instances.ts';
import type { Instances } from './instances.ts';
import type { MetadataNews } from './metadata-news.ts';
import type { Placement } from './placement.ts';

/** What is said anew of an instance; what is undefined stays as it is, null takes it away. */
export interface Rebuilt {
  readonly imageRef: string;
  readonly name?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly hostName?: string | undefined;
  readonly keyName?: string | null | undefined;
  /** base64 */
  readonly userData?: string | null | undefined;
  /** None where undefined: they are put into a guest as it is made, this time with these. */
  readonly files?: readonly InjectedFile[] | undefined;
}

export interface PowerParts {
  readonly instances: Instances;
  readonly placement: Placement;
  readonly guests: Guests;
  readonly tasks: InstanceTasks;
  readonly news: MetadataNews;
}

export class Power {
  readonly #instances: Instances;
  readonly #placement: Placement;
  readonly #guests: Guests;
  readonly #tasks: InstanceTasks;
  readonly #news: MetadataNews;

  constructor({ instances, placement, guests, tasks, news }: PowerParts) {
    this.#instances = instances;
    this.#placement = placement;
    this.#guests = guests;
    this.#tasks = tasks;
    this.#news = news;
  }

  /** Each throws NOT_FOUND, FAILED_PRECONDITION (state, or a host that does not report), and what its agent refuses with at once. */
  async start(context: RequestContext, uuid: string): Promise<void> {
    await this.#act(context, uuid, 'start', null, (instance, own) => this.#guests.start(instance, own));
  }

  async stop(context: RequestContext, uuid: string): Promise<void> {
    await this.#act(context, uuid, 'stop', 'instance_stopped', (instance, own) => this.#guests.stop(instance, 'instance_stopped', own));
  }

  async reboot(context: RequestContext, uuid: string, kind: 'softReboot' | 'hardReboot'): Promise<void> {
    await this.#act(context, uuid, kind, 'instance_rebooted', (instance, own) => this.#guests.reboot(instance, own));
  }

  /** @returns the instance as it is being rebuilt. Throws INVALID_ARGUMENT too: key name, metadata; PERMISSION_DENIED: quotas. */
  async rebuild(context: RequestContext, uuid: string, rebuilt: Rebuilt): Promise<StoredInstance> {
    const { imageRef, name, metadata, hostName, keyName, userData, files = [] } = rebuilt;
    const before = await this.#instances.show(context, uuid);
    if (metadata !== undefined) checkMetadata(metadata);
    checkInjectedFiles(files);
    const keyPair = await this.#instances.keyPairOf(ownerOf(context).userId, keyName ?? undefined);
    await this.#requireHost(before);
    const begun = await this.#tasks.begin(uuid, 'rebuild', {
      imageRef,
      ...(name === undefined ? {} : { displayName: name }),
      ...(metadata === undefined ? {} : { metadata }),
      ...(hostName === undefined ? {} : { hostname: hostName }),
      ...(userData === undefined ? {} : { userData }),
      ...(keyName === undefined ? {} : { keyName: keyPair?.name ?? null, keyData: keyPair?.publicKey ?? null }),
    }, async ({ instanceExtra }, at) => {
      // Nova once left the old list there (bug 1843708).
      if (keyName !== undefined) await instanceExtra.saveKeyPairs(uuid, { objects: keyPair === null ? [] : [keyPair] }, at);
      await instanceExtra.saveInjectedFiles(uuid, files, at);
    });
    this.#news.tell(uuid, context);
    await this.#run(begun, context, 'instance_rebuilt', (instance, own) => this.#guests.rebuild(instance, own));
    return begun;
  }

  async #act(
    context: RequestContext,
    uuid: string,
    action: ActionName,
    reason: EndReason | null,
    ask: (instance: StoredInstance, own: RequestContext) => Promise<void>,
  ): Promise<void> {
    await this.#requireHost(await this.#instances.show(context, uuid));
    await this.#run(await this.#tasks.begin(uuid, action), context, reason, ask);
  }

  async #run(
    begun: StoredInstance,
    context: RequestContext,
    reason: EndReason | null,
    ask: (instance: StoredInstance, own: RequestContext) => Promise<void>,
  ): Promise<void> {
    const endSessions = async (own: RequestContext): Promise<void> => {
      if (reason !== null) await this.#guests.endSessions(begun.uuid, reason, own);
    };
    const work = async (own: RequestContext): Promise<void> => {
      await endSessions(own);
      try {
        await ask(begun, own);
      } finally {
        await endSessions(own);
      }
    };
    await this.#tasks.run(begun, context, work, () => this.#tasks.change(begun, { taskState: null }));
  }

  /** What is not there cannot be asked; better to say so than to leave a task in the row. */
  async #requireHost({ uuid, host, vmState }: StoredInstance): Promise<void> {
    // A state that refuses the action says more than that there is no host.
    if (vmState === 'shelved_offloaded' || (host !== null && (await this.#placement.isLive(host)))) return;
    const words = host === null ? `Instance ${uuid} is not ready` : `The compute host ${host} has not reported lately; the instance can only be evacuated or deleted`;
    throw new ServiceError('FAILED_PRECONDITION', words);
  }
}
