/**
 * A change of what a running instance may be told of itself: under the lock of its row, only if it still is as the caller has
 * seen it, and told to the metadata services once it is stored. Refused while the instance goes away or is made anew, for
 * then the change would be lost, or the guest be made of half of it.
 */
import type { CellDb, CellStores } from '@gatehouse/cell-db/cell-db';
import type { StoredInstance } from '@gatehouse/cell-db/instances-store';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import type { MetadataNews } from './metadata-news.ts';

/** The generations that the caller takes the instance to be in, one of them; null: whichever it is. */
export type SeenGenerations = readonly number[] | null;

export interface InstanceChangeParts {
  readonly cellDb: CellDb;
  readonly news: MetadataNews;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Change {
  readonly uuid: string;
  readonly seen: SeenGenerations;
  /** What is written, for the log. */
  readonly what: string;
  /** Names and numbers for the log; never a key, never a password. */
  readonly facts?: Readonly<Record<string, unknown>>;
  /** @returns false where everything is so already, and nothing was written */
  write(stores: CellStores, locked: StoredInstance, at: Date): Promise<boolean>;
}

const LOSING: ReadonlySet<string | null> = new Set(['deleting', 'rebuilding', 'rebuild_spawning']);

export class InstanceChange {
  readonly #parts: InstanceChangeParts;

  constructor(parts: InstanceChangeParts) {
    this.#parts = parts;
  }

  /** Of an instance that was shown to this caller. Throws NOT_FOUND; FAILED_PRECONDITION: being deleted or rebuilt (409), or changed since the caller looked (412); what `write` throws. */
  async make(context: RequestContext, change: Change): Promise<void> {
    const { cellDb, news, clock, log } = this.#parts;
    const { uuid, what, facts = {} } = change;
    const isWritten = await cellDb.transaction(async (stores) => {
      const locked = await stores.instances.lock(uuid);
      if (locked === null) throw new ServiceError('NOT_FOUND', `Instance ${uuid} could not be found.`);
      requireStill(locked, change);
      return change.write(stores, locked, clock.now());
    });
    if (isWritten) {
      const { requestId, userId, projectId } = context;
      log.info({ requestId, userId, projectId, instanceUuid: uuid, ...facts }, `${what} of an instance changed`);
    }
    // Also where nothing was written: whoever asks again may do so because the first news was lost.
    news.tell(uuid, context);
  }
}

function requireStill({ uuid, taskState, generation }: StoredInstance, { what, seen }: Change): void {
  if (LOSING.has(taskState)) {
    throw new ServiceError('FAILED_PRECONDITION', `${what} of instance ${uuid} cannot be changed while it is in task_state ${taskState}; try again when that is over`);
  }
  if (seen === null || seen.includes(generation)) return;
  throw new ServiceError('FAILED_PRECONDITION', `instance ${uuid} has changed since: its ETag is "${generation}" now; read it again and decide anew`, { details: { status: 412 } });
}
