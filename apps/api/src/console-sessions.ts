/**
 * Console sessions as people see them: listed, shown, ended, watched. consoleauth keeps them and is asked by RPC; here
 * it is decided who sees what. A user has their own sessions and those on their project's instances, whoever opened them;
 * the rest does not exist for them. The administrator has all, and alone asks by host, proxy, other users and projects.
 */
import type { SessionState } from '@gatehouse/contracts/consoleauth';
import { END_REASONS } from '@gatehouse/errors/endings';
import type { EndReason } from '@gatehouse/errors/endings';
import { ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import { isUuid } from '@gatehouse/objects/fields';
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import type { ConsoleSession } from '@gatehouse/objects/console-session';
import type { ConsoleSessionEvents } from '@gatehouse/objects/console-session-events';
import { withTimeout } from '@gatehouse/rpc/context';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { RpcClients } from './guests.ts';

/** Which sessions are meant: those that match every word that is said. */
export interface SessionFilter {
  readonly instanceUuid?: string | undefined;
  readonly userId?: string | undefined;
  readonly projectId?: string | undefined;
  readonly host?: string | undefined;
  readonly proxy?: string | undefined;
}

export interface SessionPage {
  readonly filter: SessionFilter;
  readonly consoleType?: ConsoleType | undefined;
  readonly state: SessionState;
  readonly limit: number;
  /** The last session of the page before. */
  readonly marker?: string | undefined;
}

/** What is answered at once, in milliseconds. */
const ASK_TIMEOUT_MS = 10_000;
/** Ends are answered when their proxies have confirmed, or after some seconds. */
const END_TIMEOUT_MS = 30_000;

/** Reasons that Gatehouse gives itself: whoever reads them later must be able to believe them. */
const OWN_REASONS: ReadonlySet<string> = new Set(END_REASONS.filter((reason) => reason !== 'ended_by_operator' && reason !== 'ended_by_user'));
/** Shown to the session's user whole, in a close frame. */
const REASON = /^[\p{L}\p{N}\p{P}\p{S} ]{1,60}$/u;

export class ConsoleSessions {
  readonly #consoleauth: RpcClients['consoleauth'];

  /** `consoleauth` speaks the newest level: what is asked for here came with it, and has no older form. */
  constructor(consoleauth: RpcClients['consoleauth']) {
    this.#consoleauth = consoleauth;
  }

  /** Newest first. Throws PERMISSION_DENIED (a word of the administrator's), INVALID_ARGUMENT (marker). */
  list(context: RequestContext, { filter, consoleType, state, limit, marker }: SessionPage): Promise<readonly ConsoleSession[]> {
    const args = { ...allowed(filter, context), ...said({ consoleType, marker }), state, limit };
    return asked(this.#consoleauth.listSessions(args, withTimeout(context, ASK_TIMEOUT_MS)));
  }

  /** Throws NOT_FOUND. */
  async show(context: RequestContext, id: string): Promise<ConsoleSession> {
    if (!isUuid(id)) throw unknownSession(id);
    const args = { sessionId: id, ...viewer(context) };
    return asked(this.#consoleauth.showSession(args, withTimeout(context, ASK_TIMEOUT_MS)));
  }

  /** The session as it is then: ended, or still being ended where `endedAt` is null. Throws NOT_FOUND, INVALID_ARGUMENT (reason). */
  async end(context: RequestContext, id: string, reason: string | undefined): Promise<ConsoleSession> {
    if (!isUuid(id)) throw unknownSession(id);
    const args = { sessionId: id, ...viewer(context), reason: reasonOf(reason, context) };
    const [session] = await asked(this.#consoleauth.endSessions(args, withTimeout(context, END_TIMEOUT_MS)));
    // It had ended before, or is not there.
    return session ?? this.show(context, id);
  }

  /** All open sessions that the filter names, as they are then. Throws INVALID_ARGUMENT (no filter at all, reason), PERMISSION_DENIED. */
  endAll(context: RequestContext, filter: SessionFilter, reason: string | undefined): Promise<readonly ConsoleSession[]> {
    if (Object.keys(said(filter)).length === 0) {
      throw new ServiceError('INVALID_ARGUMENT', 'name the sessions to end: by instance_id, user_id, project_id, proxy or host');
    }
    const args = { ...allowed(filter, context), reason: reasonOf(reason, context) };
    return asked(this.#consoleauth.endSessions(args, withTimeout(context, END_TIMEOUT_MS)));
  }

  /**
   * What happened after the cursor, as far as it is known now; null: from now on. Throws INVALID_ARGUMENT for a cursor that
   * is none or older than what is kept, PERMISSION_DENIED.
   */
  eventsAfter(context: RequestContext, cursor: string | null, filter: SessionFilter): Promise<ConsoleSessionEvents> {
    const args = { cursor, ...allowed(filter, context), waitSeconds: 0 };
    return asked(this.#consoleauth.watchSessions(args, withTimeout(context, ASK_TIMEOUT_MS)));
  }

  /** The same of all sessions, when something happens or the seconds are over: for whoever wakes those that watch. */
  nextEvents(context: RequestContext, cursor: string | null, waitSeconds: number): Promise<ConsoleSessionEvents> {
    return asked(this.#consoleauth.watchSessions({ cursor, waitSeconds }, context));
  }
}

/** @throws ServiceError PERMISSION_DENIED: a word that only the administrator may say */
function allowed(filter: SessionFilter, context: RequestContext): SessionFilter & ReturnType<typeof viewer> {
  const words = said(filter);
  if (context.isAdmin) return words;
  const { userId, projectId, host, proxy } = filter;
  if (host !== undefined || proxy !== undefined) throw adminsOnly(host === undefined ? 'proxy' : 'host');
  if (userId !== undefined && userId !== context.userId) throw adminsOnly('user_id of somebody else');
  if (projectId !== undefined && projectId !== context.projectId) throw adminsOnly('project_id of another project');
  return { ...words, ...viewer(context) };
}

function adminsOnly(word: string): ServiceError {
  return new ServiceError('PERMISSION_DENIED', `only the administrator asks for sessions by ${word}`);
}

/** Nobody in particular for the administrator, who sees all. */
function viewer({ isAdmin, userId, projectId }: RequestContext): { readonly viewerUserId?: string; readonly viewerProjectId?: string } {
  if (isAdmin) return {};
  if (userId === null || projectId === null) throw new ServiceError('UNAUTHENTICATED', 'the request names no user and project');
  return { viewerUserId: userId, viewerProjectId: projectId };
}

function reasonOf(reason: string | undefined, { isAdmin }: RequestContext): string {
  if (reason === undefined) return (isAdmin ? 'ended_by_operator' : 'ended_by_user') satisfies EndReason;
  if (!REASON.test(reason)) throw new ServiceError('INVALID_ARGUMENT', 'reason: expected 1 to 60 printable characters');
  if (OWN_REASONS.has(reason)) throw new ServiceError('INVALID_ARGUMENT', `reason: ${reason} is what Gatehouse itself says of such an end; say it in other words`);
  return reason;
}

function unknownSession(id: string): ServiceError {
  return new ServiceError('NOT_FOUND', `there is no console session ${id.slice(0, 100)}`);
}

/** The properties that have a value. */
function said<T extends object>(words: T): T {
  return Object.fromEntries(Object.entries(words).filter(([, value]) => value !== undefined)) as T;
}

/** What consoleauth refused with, in words for whoever asked the api. */
async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (thrown) {
    throw explain(toServiceError(thrown));
  }
}

function explain(error: ServiceError): ServiceError {
  switch (error.code) {
    case 'UNIMPLEMENTED':
      return new ServiceError('UNIMPLEMENTED', 'consoleauth is older than this api and does not know of this yet: upgrade every consoleauth to level 3.2', { cause: error });
    case 'UNAVAILABLE':
      return new ServiceError('UNAVAILABLE', 'consoleauth, which keeps the console sessions, cannot be reached at the moment; try again', { cause: error });
    case 'DEADLINE_EXCEEDED':
      return new ServiceError('DEADLINE_EXCEEDED', 'consoleauth, which keeps the console sessions, did not answer in time; try again', { cause: error });
    default:
      return error;
  }
}
