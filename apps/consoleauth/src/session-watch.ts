/**
 * What happens to sessions, for those who watch: a long poll. Whoever has seen everything up to a place asks for what comes
 * behind it, and is answered when there is something or the time is over. One look at the table, a few times a second,
 * serves all that wait in this process. Places are those of the table (see ConsoleSessionEventsStore), so any
 * consoleauth can go on where another stopped.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { consoleSessionOf } from '@gatehouse/cell-db/console-session-row';
import type { SessionFilter } from '@gatehouse/cell-db/console-session-row';
import type { EventPosition, StoredSessionEvent } from '@gatehouse/cell-db/console-session-events-store';
import type { WatchedSession } from '@gatehouse/cell-db/console-sessions-store';
import type { ConsoleSessionEvents } from '@gatehouse/objects/console-session-events';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import { cursorOf, isBehind, positionOf } from './event-cursor.ts';

export interface WatchRequest extends SessionFilter {
  /** Null: from now on. */
  readonly cursor: string | null;
  readonly waitSeconds: number;
}

type WatchedEvent = StoredSessionEvent & WatchedSession;

interface Page {
  readonly events: readonly WatchedEvent[];
  readonly end: EventPosition;
  readonly isLast: boolean;
}

interface Waiter {
  position: EventPosition;
  readonly filter: SessionFilter;
  /** By the machine's steady clock. */
  readonly until: number;
  readonly resolve: (answer: ConsoleSessionEvents) => void;
  readonly reject: (error: unknown) => void;
}

/** Each takes one of the server's places for as long as it waits. */
export const WATCHERS_MAX = 64;
const EVENTS_MAX = 500;
const LOOK_EVERY_MS = 300;
/** For the answer's way back. */
const SPARE_MS = 500;

export class SessionWatch {
  readonly #db: CellDb;
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiter>();
  #watchers = 0;
  #isLooking = false;
  #isStopped = false;

  constructor(db: CellDb, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /**
   * @throws ServiceError INVALID_ARGUMENT: the cursor is none, or older than what is kept; RESOURCE_EXHAUSTED: too many watch here
   */
  async watch(request: WatchRequest, context: RequestContext): Promise<ConsoleSessionEvents> {
    if (this.#watchers >= WATCHERS_MAX) {
      throw new ServiceError('RESOURCE_EXHAUSTED', `${WATCHERS_MAX} watch the sessions here already; try again in some seconds, or let one watch for several`);
    }
    this.#watchers += 1;
    try {
      return await this.#watch(request, context);
    } finally {
      this.#watchers -= 1;
    }
  }

  /** Answers all that wait: they go on elsewhere. */
  stop(): void {
    this.#isStopped = true;
    for (const waiter of [...this.#waiting]) this.#answer(waiter, []);
  }

  async #watch({ cursor, waitSeconds, ...filter }: WatchRequest, { deadline, signal }: RequestContext): Promise<ConsoleSessionEvents> {
    const waitMs = Math.min(waitSeconds * 1_000, deadline - Date.now() - SPARE_MS);
    const until = performance.now() + waitMs;
    const start = cursor === null ? await this.#db.consoleSessionEvents.newest() : positionOf(cursor, this.#clock.now());
    const page = await this.#readUpTo(start, filter);
    const events = page.events.filter((event) => matches(event, filter));
    if (events.length > 0 || performance.now() >= until || this.#isStopped) return this.#eventsOf(events, page);
    return this.#wait(page.end, filter, until, signal);
  }

  /** The next page in which something matches, or the last there is. */
  async #readUpTo(start: EventPosition, filter: SessionFilter): Promise<Page> {
    for (let position = start; ;) {
      const page = await this.#read(position);
      if (page.isLast || page.events.some((event) => matches(event, filter))) return page;
      position = page.end;
    }
  }

  #wait(position: EventPosition, filter: SessionFilter, until: number, signal: AbortSignal | undefined): Promise<ConsoleSessionEvents> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#waiting.delete(waiter);
        reject(new ServiceError('CANCELLED', 'whoever watched has gone'));
      };
      const settled = (): void => signal?.removeEventListener('abort', giveUp);
      const waiter: Waiter = {
        ...{ position, filter, until },
        resolve: (answer) => (settled(), resolve(answer)),
        reject: (error) => (settled(), reject(error)),
      };
      // Whoever left while the past was read is told like one who leaves now.
      if (signal?.aborted) return giveUp();
      signal?.addEventListener('abort', giveUp, { once: true });
      this.#waiting.add(waiter);
      if (!this.#isLooking) void this.#look();
    });
  }

  /** While anybody waits. */
  async #look(): Promise<void> {
    this.#isLooking = true;
    for (let isLast = true; this.#waiting.size > 0;) {
      if (isLast) await pause(LOOK_EVERY_MS);
      try {
        isLast = await this.#serve();
      } catch (error) {
        for (const waiter of [...this.#waiting]) this.#forget(waiter).reject(error);
      }
    }
    this.#isLooking = false;
  }

  /** One page for all: from where the last of them stands. @returns false when there is more */
  async #serve(): Promise<boolean> {
    const [first, ...others] = [...this.#waiting].map(({ position }) => position);
    if (first === undefined) return true;
    const page = await this.#read(others.reduce((lowest, position) => (isBehind(lowest, position) ? position : lowest), first));
    for (const waiter of [...this.#waiting]) {
      const events = page.events.filter((event) => isBehind(event.position, waiter.position) && matches(event, waiter.filter));
      if (isBehind(page.end, waiter.position)) waiter.position = page.end;
      if (events.length > 0 || performance.now() >= waiter.until) this.#answer(waiter, events, page.isLast);
    }
    return page.isLast;
  }

  async #read(position: EventPosition): Promise<Page> {
    const page = await this.#db.consoleSessionEvents.listAfter(position, EVENTS_MAX);
    const ids = [...new Set(page.events.map(({ sessionId }) => sessionId))];
    const sessions = ids.length === 0 ? [] : await this.#db.consoleSessions.listWatched(ids);
    const byId = new Map(sessions.map((each) => [each.session.id, each]));
    return { ...page, events: page.events.flatMap((event) => withSession(event, byId.get(event.sessionId))) };
  }

  #answer(waiter: Waiter, events: readonly WatchedEvent[], isLast = true): void {
    this.#forget(waiter).resolve(this.#eventsOf(events, { end: waiter.position, isLast }));
  }

  #forget(waiter: Waiter): Waiter {
    this.#waiting.delete(waiter);
    return waiter;
  }

  #eventsOf(events: readonly WatchedEvent[], { end, isLast }: Pick<Page, 'end' | 'isLast'>): ConsoleSessionEvents {
    // Everything up to now has been read, or only what happened up to the last of these.
    const upTo = isLast ? this.#clock.now() : (events.at(-1)?.at ?? this.#clock.now());
    return {
      events: events.map(({ kind, at, reason, session, position }) => ({ kind, at, reason, session: consoleSessionOf(session), cursor: cursorOf(position, at) })),
      cursor: cursorOf(end, upTo),
    };
  }
}

function withSession(event: StoredSessionEvent, watched: WatchedSession | undefined): readonly WatchedEvent[] {
  return watched === undefined ? [] : [{ ...event, ...watched }];
}

function matches({ session, instanceProjectId }: WatchedSession, filter: SessionFilter): boolean {
  const { instanceUuid, userId, projectId, host, proxy, viewerUserId, viewerProjectId } = filter;
  const isMeant = (wanted: string | undefined, is: string | null): boolean => wanted === undefined || wanted === is;
  const isSeen = (viewerUserId === undefined && viewerProjectId === undefined)
    || (viewerUserId !== undefined && viewerUserId === session.userId)
    || (viewerProjectId !== undefined && viewerProjectId === instanceProjectId);
  return isSeen && isMeant(instanceUuid?.toLowerCase(), session.instanceUuid) && isMeant(userId, session.userId)
    && isMeant(projectId, session.projectId) && isMeant(host, session.host) && isMeant(proxy, session.proxy);
}
