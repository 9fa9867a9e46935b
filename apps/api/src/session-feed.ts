/**
 * Those who watch console sessions, each from a place of their own. One request to consoleauth waits for the next event,
 * however many watch: it only wakes them, and each reads on from its own place, so what it misses costs time and no event.
 */
import { isServiceError, ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleSessionEvents } from '@gatehouse/objects/console-session-events';
import { newContext } from '@gatehouse/rpc/context';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import type { ConsoleSessions, SessionFilter } from './console-sessions.ts';

/** Watchers of one api process, and of one user there. */
export const WATCHERS_MAX = 100;
export const WATCHERS_OF_USER_MAX = 20;
/** How many read at one time, when something has woken them all. */
const READERS_MAX = 8;
/** How long consoleauth lets the one request wait. */
const WAIT_SECONDS = 20;
const WAIT_TIMEOUT_MS = 30_000;
/** Between two wakings, so that many events in a row wake once, and between two requests whatever is answered. */
const PAUSE_MS = 100;
const PAUSE_AFTER_FAILURE_MS = 1_000;

export interface Watched {
  readonly context: RequestContext;
  readonly filter: SessionFilter;
  /** Null: from now on. */
  readonly cursor: string | null;
}

export class SessionFeed {
  /** By which everything here waits. */
  readonly clock: Clock;
  readonly #sessions: ConsoleSessions;
  readonly #log: Logger;
  readonly #watches = new Set<SessionWatch>();
  readonly #bell = new Bell();
  readonly #readers = new Slots(READERS_MAX);
  #listening: AbortController | null = null;
  #isClosed = false;

  constructor(sessions: ConsoleSessions, clock: Clock, log: Logger) {
    this.#sessions = sessions;
    this.clock = clock;
    this.#log = log;
  }

  /** To be closed by whoever opened it. Throws RESOURCE_EXHAUSTED (too many watch), UNAVAILABLE (the api stops). */
  open(watched: Watched): SessionWatch {
    if (this.#isClosed) throw closed();
    const { userId } = watched.context;
    const own = [...this.#watches].filter((each) => each.userId === userId).length;
    if (this.#watches.size >= WATCHERS_MAX) throw new ServiceError('RESOURCE_EXHAUSTED', `${WATCHERS_MAX} already watch here; try again later`);
    if (own >= WATCHERS_OF_USER_MAX) throw new ServiceError('RESOURCE_EXHAUSTED', `you already watch ${own} times here; close one of them first`);
    const watch = new SessionWatch(watched, { read: (place) => this.#read(place), bell: this.#bell, clock: this.clock }, () => this.#leave(watch));
    this.#watches.add(watch);
    if (this.#listening === null) {
      this.#listening = new AbortController();
      void this.#listen(this.#listening.signal);
    }
    return watch;
  }

  /** Nobody is let in any more, and those who watch are told. */
  close(): void {
    this.#isClosed = true;
    for (const watch of this.#watches) watch.close();
  }

  #leave(watch: SessionWatch): void {
    this.#watches.delete(watch);
    if (this.#watches.size > 0) return;
    this.#listening?.abort();
    this.#listening = null;
  }

  #read({ context, cursor, filter }: Watched): Promise<ConsoleSessionEvents> {
    return this.#readers.run(() => this.#sessions.eventsAfter(context, cursor, filter));
  }

  /** Rings for every event, and whenever it may have missed one: at its beginning, and after each failure. */
  async #listen(signal: AbortSignal): Promise<void> {
    let cursor: string | null = null;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const context = newContext({ timeoutMs: WAIT_TIMEOUT_MS, signal });
        const isSure: boolean = cursor !== null && failures === 0;
        const page: ConsoleSessionEvents = await this.#sessions.nextEvents(context, cursor, isSure ? WAIT_SECONDS : 0);
        cursor = page.cursor;
        failures = 0;
        if (!isSure || page.events.length > 0) this.#bell.ring();
        await this.clock.sleep(PAUSE_MS, signal);
      } catch (error) {
        if (signal.aborted) return;
        // A place that is too old to go on from is given up; the ring that follows lets each watcher see to its own.
        if (isServiceError(error) && error.code === 'INVALID_ARGUMENT') cursor = null;
        failures += 1;
        // Once more: those who watch see at their own requests what is wrong, and say so.
        if (failures === 1) this.#bell.ring();
        this.#log[failures === 1 ? 'warn' : 'debug']({ err: error, failures }, 'the console sessions cannot be watched at the moment');
        await this.clock.sleep(PAUSE_AFTER_FAILURE_MS, signal);
      }
    }
  }
}

interface Source {
  read(place: Watched): Promise<ConsoleSessionEvents>;
  readonly bell: Bell;
  readonly clock: Clock;
}

export class SessionWatch {
  readonly userId: string | null;
  readonly #source: Source;
  readonly #closing = new AbortController();
  readonly #left: () => void;
  #place: Watched;
  #seenRings = 0;

  constructor(watched: Watched, source: Source, left: () => void) {
    this.userId = watched.context.userId;
    this.#place = watched;
    this.#source = source;
    this.#left = left;
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /**
   * The next events, at once where there are some, else when there are; a page without any when `waitMs` are over. What
   * fails may be asked again: the place stays. Throws as ConsoleSessions.eventsAfter, and UNAVAILABLE once it is closed.
   */
  async next(waitMs: number): Promise<ConsoleSessionEvents> {
    const until = performance.now() + waitMs;
    for (;;) {
      const page = await this.#read();
      this.#place = { ...this.#place, cursor: page.cursor };
      const leftMs = until - performance.now();
      if (page.events.length > 0 || leftMs <= 0) return page;
      if (!(await this.changed(leftMs)) && !this.isClosed) return page;
    }
  }

  /** Resolves with whether something may have changed since the last request for events began, at the latest after `waitMs`. */
  changed(waitMs: number): Promise<boolean> {
    const { bell, clock } = this.#source;
    return bell.wait(this.#seenRings, waitMs, clock, this.#closing.signal);
  }

  /** Each time as a request of its own: the one that began to watch has a deadline, and ended long ago. */
  async #read(): Promise<ConsoleSessionEvents> {
    const { requestId, traceparent, userId, projectId, isAdmin, roles } = this.#place.context;
    const context = newContext({ requestId, traceparent, userId, projectId, isAdmin, roles, signal: this.#closing.signal });
    if (this.isClosed) throw closed();
    this.#seenRings = this.#source.bell.rings;
    try {
      return await this.#source.read({ ...this.#place, context });
    } catch (error) {
      throw this.isClosed ? closed() : error;
    }
  }

  /** Harmless when it is closed already. */
  close(): void {
    if (this.isClosed) return;
    this.#closing.abort();
    this.#left();
  }
}

function closed(): ServiceError {
  return new ServiceError('UNAVAILABLE', 'this api is stopping; ask again');
}

/** Rung for all who wait; whoever saw fewer rings does not wait. */
class Bell {
  rings = 0;
  readonly #waiting = new Set<() => void>();

  ring(): void {
    this.rings += 1;
    for (const wake of this.#waiting) wake();
  }

  /** Resolves with whether it has rung since `seen`, at the latest after `waitMs` or when the signal aborts. */
  async wait(seen: number, waitMs: number, clock: Clock, signal: AbortSignal): Promise<boolean> {
    if (this.rings !== seen) return true;
    const over = new AbortController();
    const finish = (): void => over.abort();
    this.#waiting.add(finish);
    signal.addEventListener('abort', finish, { once: true });
    if (!signal.aborted) await clock.sleep(waitMs, over.signal);
    this.#waiting.delete(finish);
    signal.removeEventListener('abort', finish);
    return this.rings !== seen;
  }
}

/** At most so many at work; the others wait for their turn, in the order in which they came. */
class Slots {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(free: number) {
    this.#free = free;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
