/**
 * Sessions as operators and users see them: listed, shown, ended. Nobody ends a session but its proxy, or time: asking
 * for it marks the rows, tells the proxies at once, and answers what has become of them within a few seconds. The session of
 * a proxy that died stays `ending` until its lease has run out.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { consoleSessionOf } from '@gatehouse/cell-db/console-session-row';
import type { SessionFilter, SessionViewer, StoredSession } from '@gatehouse/cell-db/console-session-row';
import type { SessionsPage } from '@gatehouse/cell-db/console-sessions-store';
import type { ConsoleSession } from '@gatehouse/objects/console-session';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import type { SessionEnds } from './session-ends.ts';

export interface EndRequest extends Omit<SessionFilter, 'ids' | 'connectionId' | 'consoleType'> {
  readonly sessionId?: string | undefined;
  readonly reason: string;
}

const BATCH_MAX = 1_000;
/** Ended by one request; who has more asks again. */
const ENDED_MAX = 10_000;
/** In one answer; the others can be listed. */
const ANSWERED_MAX = 1_000;
const CONFIRM_MS_MAX = 3_000;
const LOOK_MS_MIN = 20;
const LOOK_MS_MAX = 250;

export class ConsoleSessions {
  readonly #db: CellDb;
  readonly #ends: SessionEnds;
  readonly #clock: Clock;

  constructor(db: CellDb, ends: SessionEnds, clock: Clock) {
    this.#db = db;
    this.#ends = ends;
    this.#clock = clock;
  }

  /** @throws ServiceError INVALID_ARGUMENT: the marker is not known (any more) */
  async list({ state, limit, marker, ...filter }: SessionFilter & SessionsPage): Promise<readonly ConsoleSession[]> {
    return (await this.#db.consoleSessions.list(filter, { state, limit, marker })).map(consoleSessionOf);
  }

  /** @throws ServiceError NOT_FOUND */
  async show(id: string, viewer: SessionViewer): Promise<ConsoleSession> {
    return consoleSessionOf(await this.#db.consoleSessions.get(id, viewer));
  }

  /**
   * Ends one session, or all open ones that the filter names. Answers them as they are when their proxies have confirmed, or
   * after 3 s; a session that had ended before is answered when it is named itself. At most 1,000 are answered.
   * @throws ServiceError INVALID_ARGUMENT: nothing says which sessions are meant; NOT_FOUND: the one that is named is not known
   */
  async end(request: EndRequest, context: RequestContext): Promise<readonly ConsoleSession[]> {
    const { sessionId, reason, ...filter } = request;
    refuseAll(request);
    if (sessionId !== undefined) await this.#db.consoleSessions.get(sessionId, filter);
    const meant: SessionFilter = { ...filter, ...(sessionId === undefined ? {} : { ids: [sessionId] }) };
    const until = performance.now() + CONFIRM_MS_MAX;
    const asked = await this.#markAndTell(meant, reason, context);
    await this.#confirmed(await asked.told, until, context.signal);
    const ids = sessionId === undefined ? asked.ids.slice(0, ANSWERED_MAX) : [sessionId];
    return this.list({ ids, state: 'all', limit: ANSWERED_MAX });
  }

  /** @returns those that were open, and, later, those whose proxy has been told */
  async #markAndTell(filter: SessionFilter, reason: string, context: RequestContext): Promise<{ readonly ids: readonly string[]; readonly told: Promise<readonly string[]> }> {
    const ids = new Set<string>();
    const telling: Promise<readonly StoredSession[]>[] = [];
    const tell = (sessions: readonly StoredSession[]): void => {
      for (const { id } of sessions) ids.add(id);
      if (sessions.length > 0) telling.push(this.#ends.tellProxies(sessions, reason, context));
    };
    for (let count = BATCH_MAX; count === BATCH_MAX && ids.size < ENDED_MAX;) {
      const marked = await this.#db.consoleSessionEnds.mark(filter, reason, this.#clock.now(), BATCH_MAX);
      tell(marked);
      count = marked.length;
    }
    // Somebody asked before, and the proxies may not have heard it.
    const open = await this.#db.consoleSessions.listOpen(filter, ENDED_MAX);
    tell(open.filter(({ id }) => !ids.has(id)));
    return { ids: [...ids], told: Promise.all(telling).then((told) => told.flat().map(({ id }) => id)) };
  }

  /** Resolves when these have ended, or the time is over, or nobody waits for it any more. */
  async #confirmed(ids: readonly string[], until: number, signal: AbortSignal | undefined): Promise<void> {
    let open = ids;
    for (let waitMs = LOOK_MS_MIN; open.length > 0 && performance.now() < until && !signal?.aborted; waitMs = Math.min(waitMs * 2, LOOK_MS_MAX)) {
      open = await this.#db.consoleSessions.listOpenIds(open);
      if (open.length > 0) await pause(waitMs);
    }
  }
}

/** A viewer narrows, but is not meant as "all of mine". */
function refuseAll({ sessionId, instanceUuid, userId, projectId, host, proxy }: EndRequest): void {
  if ([sessionId, instanceUuid, userId, projectId, host, proxy].some((word) => word !== undefined)) return;
  throw new ServiceError('INVALID_ARGUMENT', 'say which sessions are to end: by sessionId, instanceUuid, userId, projectId, host or proxy');
}
