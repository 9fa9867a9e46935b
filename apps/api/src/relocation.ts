/**
 * An instance changes its host, whatever the reason: its consoles end, the guest is made where it goes and gets ports of its
 * own there, the row names the new host, what stayed behind is removed, and what was minted meanwhile is revoked.
 *
 * The row's host is the turning point. What fails before it is undone: the instance is where and as it was. What fails
 * after it is gone through with: the instance is at its new host, whose agent starts its guest when it next looks.
 * A host that may hold something of the instance stands in the row (left_hosts) from before it can until it is known to
 * hold nothing: its agent removes what it finds there, whenever it comes back.
 */
import type { InstanceChanges, StoredInstance } from '@gatehouse/cell-db/instances-store';
import { leftHostsOf, withLeftHosts } from '@gatehouse/cell-db/instances-store';
import type { EndReason } from '@gatehouse/errors/endings';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Logger } from '@gatehouse/runtime/logger';
import type { Guests } from './guests.ts';
import type { InstanceTasks } from './instance-tasks.ts';

export interface Move {
  readonly to: string;
  readonly reason: EndReason;
  /** The guest goes on running. */
  readonly live: boolean;
  /** Whether there is a guest to run where it goes; one that is off is only written down. */
  readonly runs: boolean;
  /** The task from the turning point on; the agent at the new host knows from it what follows. */
  readonly nextTask: string;
  /** The instance when it has arrived. */
  readonly arrived: { readonly vmState: string };
  /** Written with the new host. */
  readonly changes?: InstanceChanges;
}

export class Relocation {
  readonly #guests: Guests;
  readonly #tasks: InstanceTasks;
  readonly #log: Logger;

  constructor(guests: Guests, tasks: InstanceTasks, log: Logger) {
    this.#guests = guests;
    this.#tasks = tasks;
    this.#log = log;
  }

  /** Moves an instance whose task was begun. Throws what was refused before the turning point, all undone but the task. */
  async move(begun: StoredInstance, move: Move, context: RequestContext): Promise<void> {
    const { reason, to } = move;
    await this.#guests.endSessions(begun.uuid, reason, context);
    const noted = await this.#change(begun, { systemMetadata: withLeftHosts(begun.systemMetadata, [...leftHostsOf(begun), to]) });
    let moved: StoredInstance;
    try {
      if (move.runs) await this.#guests.receive({ ...noted, host: to, taskState: move.nextTask }, move.live, context);
      const systemMetadata = move.changes?.systemMetadata ?? noted.systemMetadata;
      const left = [...leftHostsOf(noted).filter((host) => host !== to), ...(begun.host === null ? [] : [begun.host])];
      moved = await this.#change(noted, { ...move.changes, host: to, taskState: move.nextTask, systemMetadata: withLeftHosts(systemMetadata, left) });
    } catch (error) {
      // A database that broke off may have written it. One that cannot say holds up both: nothing is removed, and when the task
      // is gone the agents remove what is on the wrong host.
      const now = await this.#tasks.now({ uuid: begun.uuid, taskState: move.nextTask });
      if (now?.host !== to) {
        await this.#takeBack(noted, to, reason, context);
        throw error;
      }
      moved = now;
    }
    await this.#arrive(begun.host, moved, move, context);
  }

  /** Nothing that fails here turns it back. */
  async #arrive(from: string | null, moved: StoredInstance, { reason, runs, arrived }: Move, context: RequestContext): Promise<void> {
    const facts = { requestId: context.requestId, instanceUuid: moved.uuid, from, to: moved.host };
    const isGone = await this.#guests.destroy({ uuid: moved.uuid, host: from }, reason, context).catch((error: unknown) => {
      this.#log.error({ ...facts, err: error }, 'the guest that an instance left behind was not removed yet; its agent will');
      return false;
    });
    const systemMetadata = isGone ? withLeftHosts(moved.systemMetadata, leftHostsOf(moved).filter((host) => host !== from)) : moved.systemMetadata;
    const settled = (await this.#tasks.change(moved, { systemMetadata })) ?? moved;
    await this.#guests.endSessions(moved.uuid, reason, context);
    try {
      if (runs) return await this.#guests.start(settled, context);
    } catch (error) {
      this.#log.error({ ...facts, err: error }, 'the guest of an instance that has moved was not started yet; its agent will');
    }
    await this.#tasks.change(settled, { ...arrived, taskState: null });
  }

  async #takeBack(noted: StoredInstance, to: string, reason: EndReason, context: RequestContext): Promise<void> {
    const facts = { requestId: context.requestId, instanceUuid: noted.uuid, to };
    const isGone = await this.#guests.destroy({ uuid: noted.uuid, host: to }, reason, context).catch((error: unknown) => {
      this.#log.error({ ...facts, err: error }, 'the guest of an instance that has not moved was not removed yet; its agent will');
      return false;
    });
    if (isGone) await this.#tasks.change(noted, { systemMetadata: withLeftHosts(noted.systemMetadata, leftHostsOf(noted).filter((host) => host !== to)) });
    await this.#guests.endSessions(noted.uuid, reason, context);
  }

  async #change(begun: StoredInstance, changes: InstanceChanges): Promise<StoredInstance> {
    const changed = await this.#tasks.change(begun, changes);
    if (changed === null) throw new ServiceError('CANCELLED', `Instance ${begun.uuid} was deleted, or given up, while it moved`);
    return changed;
  }
}
