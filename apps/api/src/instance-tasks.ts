/**
 * One thing at a time with an instance: an action begins by writing its task into the row, if the state of that moment lets it,
 * and ends by taking it out. Who comes meanwhile is told what is under way. The work goes on when the request was answered.
 *
 * An api that is killed leaves the task in the row: the guest and its consoles go on as they are, until the task is taken
 * out of the row (abandoned-tasks.ts).
 */
import type { CellDb, CellStores } from '@gatehouse/cell-db/cell-db';
import type { InstanceChanges, StoredInstance } from '@gatehouse/cell-db/instances-store';
import { ServiceError, isServiceError } from '@gatehouse/errors/service-error';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import { TASK_TIMEOUT_MS } from './abandoned-tasks.ts';
import { ACTION_RULES, whyNot } from './action-rules.ts';
import type { ActionName, ActionRule } from './action-rules.ts';
import { ownContext } from './guests.ts';

/** Actions under way at once; more are refused. */
const TASKS_MAX = 256;
/** A request waits this long, so that what a quick host has done, or refused, is in the answer. */
const ANSWER_WAIT_MS = 1_000;

export class InstanceTasks {
  readonly #cellDb: CellDb;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #running = new Set<Promise<void>>();

  constructor(cellDb: CellDb, clock: Clock, log: Logger) {
    this.#cellDb = cellDb;
    this.#clock = clock;
    this.#log = log;
  }

  /** Writes the action's task, and in the same transaction what `also` does. Throws FAILED_PRECONDITION, in Nova's words, where the instance's state does not let it begin; NOT_FOUND. */
  async begin(uuid: string, action: ActionName, changes: InstanceChanges = {}, also?: (stores: CellStores, at: Date) => Promise<void>): Promise<StoredInstance> {
    if (this.#running.size >= TASKS_MAX) throw new ServiceError('UNAVAILABLE', `${TASKS_MAX} instances are being worked on; try again in a few seconds`);
    const { task, ...state }: ActionRule = ACTION_RULES[action];
    const at = this.#clock.now();
    const write = ({ instances }: Pick<CellStores, 'instances'>): Promise<StoredInstance | null> => instances.updateIf(uuid, state, { ...changes, taskState: task }, at);
    const begun = also === undefined ? await write(this.#cellDb) : await this.#cellDb.transaction(async (stores) => {
      const written = await write(stores);
      if (written !== null) await also(stores, at);
      return written;
    });
    if (begun !== null) return begun;
    const { vmState, taskState } = await this.#cellDb.instances.get(uuid);
    throw new ServiceError('FAILED_PRECONDITION', whyNot(action, uuid, vmState, taskState));
  }

  /** Changes an instance whose task is still this one. @returns null when it is not, or the instance was deleted */
  change({ uuid, taskState }: StoredInstance, changes: InstanceChanges): Promise<StoredInstance | null> {
    return this.#cellDb.instances.updateIf(uuid, { taskStates: [taskState] }, changes, this.#clock.now());
  }

  /** As it is now; null when it was deleted or its task is not this one any more. */
  async now({ uuid, taskState }: Pick<StoredInstance, 'uuid' | 'taskState'>): Promise<StoredInstance | null> {
    const found = await this.#cellDb.instances.find(uuid);
    return found?.taskState === taskState ? found : null;
  }

  /** The instance is idle and in that state, whatever was under way; work that still goes on finds its task gone. Throws NOT_FOUND. */
  async giveUp(uuid: string, vmState: string): Promise<void> {
    await this.#cellDb.instances.update(uuid, { vmState, taskState: null }, this.#clock.now());
  }

  /**
   * Does the work, with a context of its own, and comes back when it is done, or after a second while it goes on. Where it
   * fails, `undo` runs; a refusal within that second is thrown, and a later one stands in the log.
   */
  async run(task: StoredInstance, context: RequestContext, work: (own: RequestContext) => Promise<void>, undo: () => Promise<unknown>): Promise<void> {
    const { uuid: instanceUuid, taskState } = task;
    let refusal: ServiceError | null = null;
    const done = this.#finish(task, () => work(ownContext(context, TASK_TIMEOUT_MS)), undo).catch((error: unknown) => {
      this.#log.error({ requestId: context.requestId, instanceUuid, task: taskState, err: error }, 'an action on an instance failed');
      refusal = isServiceError(error) ? error : new ServiceError('INTERNAL', 'the action failed; the log of the api says why', { cause: error });
    });
    this.#running.add(done);
    void done.then(() => this.#running.delete(done));
    await Promise.race([done, this.#clock.sleep(ANSWER_WAIT_MS)]);
    if (refusal !== null) throw refusal as ServiceError;
  }

  /** Resolves when no action is under way any more. */
  async idle(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #finish(task: StoredInstance, work: () => Promise<void>, undo: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await undo().catch((undoing: unknown) => {
        this.#log.error({ instanceUuid: task.uuid, task: task.taskState, err: undoing }, 'the task of an instance could not be taken back; os-resetState does it');
      });
      throw error;
    }
  }
}
