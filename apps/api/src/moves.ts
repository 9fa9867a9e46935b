/**
 * Actions that give an instance another host, or none: live and cold migration, resize with its confirmation, shelving,
 * evacuation. What they share is relocation.ts; here is what each asks for first, and what the instance is afterwards.
 */
import type { StoredInstance } from '@gatehouse/cell-db/instances-store';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { ActionName } from './action-rules.ts';
import type { Guests } from './guests.ts';
import type { InstanceTasks } from './instance-tasks.ts';
import type { Instances } from './instances.ts';
import type { MetadataNews } from './metadata-news.ts';
import type { Placement } from './placement.ts';
import type { Move, Relocation } from './relocation.ts';

export interface MovesParts {
  readonly instances: Instances;
  readonly placement: Placement;
  readonly guests: Guests;
  readonly tasks: InstanceTasks;
  readonly news: MetadataNews;
  readonly relocation: Relocation;
}

const NO_VALID_HOST = 'No valid host was found. There are not enough hosts available.';
/** What is remembered of an instance between its resize and the word of its user. */
const OLD_STATE = 'old_vm_state';
const OLD_FLAVOR = 'old_flavor';
const OLD_HOST = 'old_host';

export class Moves {
  readonly #parts: MovesParts;

  constructor(parts: MovesParts) {
    this.#parts = parts;
  }

  /** To `host`, or the live host with the fewest instances. Throws PERMISSION_DENIED, NOT_FOUND, INVALID_ARGUMENT (host), FAILED_PRECONDITION (state). */
  async liveMigrate(context: RequestContext, uuid: string, host: string | null): Promise<void> {
    const instance = await this.#ofAdmin(context, uuid, 'os-migrate-server:migrate_live');
    await this.#requireHost(instance);
    const to = await this.#destination(instance, host, `Unable to migrate instance (${uuid}) to current host (${host ?? ''}).`);
    await this.#move(context, uuid, 'os-migrateLive', () => ({
      to, live: true, runs: true, reason: 'instance_migrated', nextTask: 'migrating', arrived: { vmState: 'active' },
    }));
  }

  /** As a resize without another flavor: it is done when it is confirmed. Throws as liveMigrate. */
  async migrate(context: RequestContext, uuid: string, host: string | null): Promise<void> {
    const instance = await this.#ofAdmin(context, uuid, 'os-migrate-server:migrate');
    await this.#requireHost(instance);
    const to = await this.#destination(instance, host, `Unable to migrate instance (${uuid}) to current host (${host ?? ''}).`);
    await this.#move(context, uuid, 'migrate', (begun) => resizing(begun, to, 'instance_migrated'));
  }

  /** To another live host, or anew where it is when there is none. Throws INVALID_ARGUMENT for the flavor that it has. */
  async resize(context: RequestContext, uuid: string, flavorRef: string): Promise<void> {
    const { placement, instances } = this.#parts;
    const instance = await instances.show(context, uuid);
    await this.#requireHost(instance);
    if (instance.flavorRef === flavorRef) throw new ServiceError('INVALID_ARGUMENT', 'When resizing, instances must change flavor!');
    const to = (await placement.findOther(instance.host)) ?? instance.host ?? '';
    await this.#move(context, uuid, 'resize', (begun) => resizing(begun, to, 'instance_resized', flavorRef));
  }

  async confirmResize(context: RequestContext, uuid: string): Promise<void> {
    const { instances, tasks } = this.#parts;
    await instances.show(context, uuid);
    const begun = await tasks.begin(uuid, 'confirmResize');
    await tasks.change(begun, { ...beforeResize(begun), taskState: null });
  }

  /** Back to the host that it came from, with its old flavor. Throws FAILED_PRECONDITION while that host does not report. */
  async revertResize(context: RequestContext, uuid: string): Promise<void> {
    const { instances, placement } = this.#parts;
    const { systemMetadata, host, vmState } = await instances.show(context, uuid);
    const to = systemMetadata[OLD_HOST] ?? host ?? '';
    if (vmState === 'resized' && !(await placement.isLive(to))) {
      throw new ServiceError('FAILED_PRECONDITION', `Instance ${uuid} cannot go back: its host ${to} has not reported lately; confirm the resize, or wait for it`);
    }
    await this.#move(context, uuid, 'revertResize', (begun) => {
      const { vmState: before, systemMetadata: kept } = beforeResize(begun);
      const changes = { vmState: before, systemMetadata: kept, flavorRef: begun.systemMetadata[OLD_FLAVOR] ?? null };
      return { to, live: false, runs: before === 'active', reason: 'instance_resized', nextTask: 'resize_reverting', arrived: { vmState: before }, changes };
    });
  }

  /** Its guest is removed and it belongs to no host, until it is unshelved. One whose host does not let it go stays shelved there. */
  async shelve(context: RequestContext, uuid: string): Promise<void> {
    const { instances, tasks, guests } = this.#parts;
    await this.#requireHost(await instances.show(context, uuid));
    const begun = await tasks.begin(uuid, 'shelve');
    const work = async (own: RequestContext): Promise<void> => {
      await guests.endSessions(uuid, 'instance_shelved', own);
      await guests.stop(begun, 'instance_shelved', own);
      await this.#offload({ ...begun, taskState: 'shelving_offloading' }, own);
    };
    await tasks.run(begun, context, work, async () => {
      await tasks.change(begun, { taskState: null });
      await tasks.change({ ...begun, taskState: 'shelving_offloading' }, { taskState: null });
    });
  }

  /** Throws PERMISSION_DENIED, and as shelve. */
  async shelveOffload(context: RequestContext, uuid: string): Promise<void> {
    const { tasks } = this.#parts;
    await this.#requireHost(await this.#ofAdmin(context, uuid, 'os-shelve:shelve_offload'));
    const begun = await tasks.begin(uuid, 'shelveOffload');
    await tasks.run(begun, context, (own) => this.#offload(begun, own), () => tasks.change(begun, { taskState: null }));
  }

  /** On its own host where that still has it, else on `host` or one that is chosen. Throws INVALID_ARGUMENT (zone, host), UNAVAILABLE (none). */
  async unshelve(context: RequestContext, uuid: string, wanted: { readonly zone?: string | undefined; readonly host?: string | undefined }): Promise<void> {
    const { instances, placement, tasks, guests } = this.#parts;
    const { vmState } = await instances.show(context, uuid);
    if (wanted.host !== undefined) this.#requireAdmin(context, 'os-shelve:unshelve_to_host');
    if (vmState !== 'shelved') {
      const to = await placement.choose(wanted.host === undefined ? wanted.zone : `nova:${wanted.host}`);
      return this.#move(context, uuid, 'unshelve', () => ({
        to, live: false, runs: true, reason: 'instance_shelved', nextTask: 'spawning', arrived: { vmState: 'active' },
      }));
    }
    const begun = await tasks.begin(uuid, 'unshelve');
    return tasks.run(begun, context, (own) => guests.start(begun, own), () => tasks.change(begun, { taskState: null }));
  }

  /** From a host that does not report any more, anew on another. Throws INVALID_ARGUMENT where it does, or no other is there; NOT_FOUND (host). */
  async evacuate(context: RequestContext, uuid: string, host: string | null): Promise<void> {
    const { placement } = this.#parts;
    const instance = await this.#ofAdmin(context, uuid, 'os-evacuate');
    if (host !== null && !(await placement.isLive(host))) throw new ServiceError('NOT_FOUND', `Compute host ${host} not found.`);
    if (host !== null && instance.host === host) throw new ServiceError('INVALID_ARGUMENT', "The target host can't be the same one.");
    if (instance.host === null) throw new ServiceError('FAILED_PRECONDITION', `Instance ${uuid} is not ready`);
    if (await placement.isLive(instance.host)) throw new ServiceError('INVALID_ARGUMENT', `Compute service of ${instance.host} is still in use.`);
    const to = await this.#destination(instance, host, '');
    await this.#move(context, uuid, 'evacuate', ({ vmState }) => {
      const after = vmState === 'stopped' ? 'stopped' : 'active';
      return { to, live: false, runs: after === 'active', reason: 'instance_evacuated', nextTask: 'rebuild_spawning', arrived: { vmState: after } };
    });
  }

  /** The way out of a task that nobody ends any more. Throws PERMISSION_DENIED. */
  async resetState(context: RequestContext, uuid: string, vmState: 'active' | 'error'): Promise<void> {
    await this.#ofAdmin(context, uuid, 'os-admin-actions:reset_state');
    await this.#parts.tasks.giveUp(uuid, vmState);
  }

  async #move(context: RequestContext, uuid: string, action: ActionName, moveOf: (begun: StoredInstance) => Move): Promise<void> {
    const { tasks, relocation, guests, news } = this.#parts;
    const begun = await tasks.begin(uuid, action);
    const move = moveOf(begun);
    const work = async (own: RequestContext): Promise<void> => {
      if (move.to !== begun.host) return relocation.move(begun, move, own);
      await guests.endSessions(uuid, move.reason, own);
      const changed = await tasks.change(begun, { ...move.changes, taskState: move.nextTask });
      if (changed === null) return;
      if (move.runs) await guests.rebuild(changed, own);
      else await tasks.change(changed, { ...move.arrived, taskState: null });
      await guests.endSessions(uuid, move.reason, own);
    };
    // Its flavor is another then.
    const told = (own: RequestContext): Promise<void> => work(own).finally(() => news.tell(uuid, own));
    await tasks.run(begun, context, told, async () => {
      await tasks.change(begun, { taskState: null });
      await tasks.change({ ...begun, taskState: move.nextTask }, { ...move.arrived, taskState: null });
    });
  }

  async #offload(begun: StoredInstance, context: RequestContext): Promise<void> {
    const { guests, tasks } = this.#parts;
    if (!(await guests.destroy(begun, 'instance_shelved', context))) {
      throw new ServiceError('UNAVAILABLE', `The compute host ${begun.host ?? ''} did not let the guest go; it stays shelved there`);
    }
    await tasks.change(begun, { host: null, vmState: 'shelved_offloaded', taskState: null });
    await guests.endSessions(begun.uuid, 'instance_shelved', context);
  }

  /** Nova shows who may not a refusal only when the instance is there for them. */
  async #ofAdmin(context: RequestContext, uuid: string, policy: string): Promise<StoredInstance> {
    const instance = await this.#parts.instances.show(context, uuid);
    this.#requireAdmin(context, policy);
    return instance;
  }

  #requireAdmin(context: RequestContext, policy: string): void {
    if (!context.isAdmin) throw new ServiceError('PERMISSION_DENIED', `Policy doesn't allow os_compute_api:${policy} to be performed.`);
  }

  async #destination(instance: StoredInstance, host: string | null, whenSame: string): Promise<string> {
    const { placement } = this.#parts;
    if (host === null) {
      const found = await placement.findOther(instance.host);
      if (found === null) throw new ServiceError('INVALID_ARGUMENT', NO_VALID_HOST);
      return found;
    }
    if (host === instance.host) throw new ServiceError('INVALID_ARGUMENT', whenSame);
    if (!(await placement.isLive(host))) throw new ServiceError('INVALID_ARGUMENT', `Compute host ${host} could not be found, or has not reported lately.`);
    return host;
  }

  async #requireHost({ uuid, host, vmState }: StoredInstance): Promise<void> {
    if (vmState === 'shelved_offloaded' || (host !== null && (await this.#parts.placement.isLive(host)))) return;
    throw new ServiceError('FAILED_PRECONDITION', host === null ? `Instance ${uuid} is not ready` : `The compute host ${host} has not reported lately`);
  }
}

function resizing(begun: StoredInstance, to: string, reason: 'instance_resized' | 'instance_migrated', flavorRef?: string): Move {
  const { vmState, host, systemMetadata } = begun;
  const remembered: Record<string, string> = { ...systemMetadata, [OLD_STATE]: vmState ?? 'active', [OLD_HOST]: host ?? '' };
  if (begun.flavorRef !== null) remembered[OLD_FLAVOR] = begun.flavorRef;
  return {
    to, reason, live: false, runs: vmState === 'active', nextTask: 'resize_finish', arrived: { vmState: 'resized' },
    changes: { systemMetadata: remembered, ...(flavorRef === undefined ? {} : { flavorRef }) },
  };
}

/** The state of a resized instance as it was, and what is remembered of it without the resize. */
function beforeResize({ systemMetadata }: StoredInstance): { readonly vmState: string; readonly systemMetadata: StoredInstance['systemMetadata'] } {
  const { [OLD_STATE]: vmState = 'active', [OLD_FLAVOR]: _, [OLD_HOST]: __, ...others } = systemMetadata;
  return { vmState, systemMetadata: others };
}
