/**
 * A task in an instance's row whose api was killed: nobody ends it any more. Whoever sees such a row takes the task out, before
 * anything else is decided by it, as the api would have done when its work had failed; what is left of the work on the hosts
 * their agents put right once no task is under way. So no row is looked for, and none that somebody looks at stays stuck.
 *
 * Work on a task has an end: after TASK_TIMEOUT_MS nothing more is asked of others. What has stood in the row for longer, by the
 * database's time, is nobody's. The time that the api follows only says when to ask for that: it may just have started on a
 * machine whose clock is wrong.
 */
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { InstanceChanges, StoredInstance } from '@gatehouse/cell-db/instances-store';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';

/** For an action with all that it asks of others. */
export const TASK_TIMEOUT_MS = 300_000;
/** For what is undone afterwards. */
const MARGIN_MS = 60_000;
export const ABANDONED_AFTER_MS = TASK_TIMEOUT_MS + MARGIN_MS;

const RESIZED = 'resize_finish';
/** Written into the row with the new host: the instance is there, and its guest waits to be switched on. */
const ARRIVED: Readonly<Record<string, string>> = { [RESIZED]: 'resized', spawning: 'active', rebuild_spawning: 'active' };

export class AbandonedTasks {
  readonly #cellDb: CellDb;
  readonly #clock: Clock;
  readonly #log: Logger;

  constructor(cellDb: CellDb, clock: Clock, log: Logger) {
    this.#cellDb = cellDb;
    this.#clock = clock;
    this.#log = log;
  }

  /** Any change of the row counts as a sign of life. */
  has(instance: StoredInstance): boolean {
    return isAbandoned(instance, this.#clock.now());
  }

  /** The instance without its task, or as it has become meanwhile; null where it is gone. Not for one that is being deleted. */
  async end({ uuid, generation }: StoredInstance): Promise<StoredInstance | null> {
    const now = await this.#cellDb.now();
    const ended = await this.#cellDb.transaction(async ({ instances }) => {
      const before = await instances.lock(uuid);
      if (before === null || before.generation !== generation || !isAbandoned(before, now)) return { before, after: before };
      return { before, after: await instances.update(uuid, endOf(before), now) };
    });
    const { before, after } = ended;
    if (before !== after) {
      this.#log.warn({ instanceUuid: uuid, task: before?.taskState, vmState: after?.vmState }, 'a task that nobody worked on any more was taken out of an instance');
    }
    return after;
  }
}

function isAbandoned({ taskState, updatedAt, createdAt }: StoredInstance, now: Date): boolean {
  return taskState !== null && now.getTime() - (updatedAt ?? createdAt).getTime() > ABANDONED_AFTER_MS;
}

function endOf({ vmState, taskState }: StoredInstance): InstanceChanges {
  // As where its host could not make the guest.
  if (vmState === 'building') return { vmState: 'error', taskState: null };
  // A guest that was off is off where it has arrived; but a resize waits for its user's word then, too.
  const arrived = vmState === 'stopped' && taskState !== RESIZED ? undefined : ARRIVED[taskState ?? ''];
  return { taskState: null, ...(arrived === undefined ? {} : { vmState: arrived }) };
}
