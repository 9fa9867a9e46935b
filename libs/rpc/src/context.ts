/**
 * Who asks, which request it is, and until when an answer is worth anything: travels with every call.
 *
 * On the wire it is oslo's context, `_context_<key>` for each key, with the keys that Nova's RequestContext
 * knows (request_id, global_request_id, user_id, project_id, is_admin, roles) and three of our own that its readers
 * pass over: traceparent, deadline (epoch milliseconds) and rpc_level (see level.ts). What is null or empty is not
 * sent. Of Nova's other keys none is needed here, so none is looked at, and the auth token is never kept.
 */
import { randomUUID } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { JsonObject, JsonValue } from '@gatehouse/objects/field';

export interface RequestContext {
  /** `req-` and a UUID, the same through every service that the request passes. */
  readonly requestId: string;
  /** The request of another service that this one serves, as OpenStack's services pass it on. */
  readonly globalRequestId?: string | undefined;
  /** W3C trace context. */
  readonly traceparent?: string | undefined;
  /** Epoch milliseconds; an answer after it is worth nothing. */
  readonly deadline: number;
  /** Aborts when the caller gives up; on a server at the deadline. */
  readonly signal?: AbortSignal | undefined;
  readonly userId: string | null;
  readonly projectId: string | null;
  readonly isAdmin: boolean;
  readonly roles: readonly string[];
}

export const TIMEOUT_MS_DEFAULT = 60_000;
/** oslo's long calls wait half an hour; nothing waits longer than this. */
const TIMEOUT_MS_MAX = 3_600_000;
/** The context key in which our clients say the level of the contract that they speak. */
export const LEVEL_KEY = 'rpc_level';
const TEXT_LENGTH_MAX = 255;
const ROLES_MAX = 100;

/** A context for a request that begins here: 60 s unless told, nobody's unless told. */
export function newContext(values: Partial<RequestContext> & { readonly timeoutMs?: number } = {}): RequestContext {
  const { timeoutMs = TIMEOUT_MS_DEFAULT, ...given } = values;
  return {
    requestId: `req-${randomUUID()}`,
    deadline: Date.now() + timeoutMs,
    userId: null,
    projectId: null,
    isAdmin: false,
    roles: [],
    ...given,
  };
}

/** The same request with at most this long from now. */
export function withTimeout(context: RequestContext, timeoutMs: number): RequestContext {
  const { requestId, globalRequestId, traceparent, signal, userId, projectId, isAdmin, roles } = context;
  const deadline = Math.min(context.deadline, Date.now() + timeoutMs);
  return { requestId, globalRequestId, traceparent, deadline, signal, userId, projectId, isAdmin, roles };
}

/** The context's keys as oslo carries them; `deadline` is that of this one call, `level` what its client speaks. */
export function contextToWire(context: RequestContext, deadline: number, level?: string): JsonObject {
  const { requestId, globalRequestId, traceparent, userId, projectId, isAdmin, roles } = context;
  const wire: Record<string, JsonValue> = { request_id: requestId, is_admin: isAdmin, deadline: Math.ceil(deadline) };
  if (userId !== null) wire['user_id'] = userId;
  if (projectId !== null) wire['project_id'] = projectId;
  if (roles.length > 0) wire['roles'] = roles;
  if (globalRequestId !== undefined) wire['global_request_id'] = globalRequestId;
  if (traceparent !== undefined) wire['traceparent'] = traceparent;
  if (level !== undefined) wire[LEVEL_KEY] = level;
  return wire;
}

interface Caller {
  readonly wantsReply?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * The context of a request that arrived; absent keys get what an anonymous request would have.
 * `expirationMs` is the lifetime that the sender gave the message; `caller` tells whether it waits and when it has given up.
 * @throws ServiceError INVALID_ARGUMENT naming the key
 */
export function contextFromWire(wire: JsonObject, expirationMs: number | null, caller?: Caller): RequestContext {
  // A cast's deadline was its sender's, for handing it over; its work must not be dropped for having waited in a queue.
  const deadline = caller?.wantsReply === false ? Date.now() + TIMEOUT_MS_DEFAULT : readDeadline(wire, expirationMs);
  const signals = new DeadlineSignal(deadline, caller);
  return {
    requestId: text(wire, 'request_id') ?? `req-${randomUUID()}`,
    globalRequestId: text(wire, 'global_request_id') ?? undefined,
    traceparent: text(wire, 'traceparent') ?? undefined,
    deadline: signals.deadline,
    // Made when somebody asks for it: most handlers never do, and a timer a call costs.
    get signal() {
      return signals.signal;
    },
    // The second names are those of oslo.context alone, under which Nova says the same again.
    userId: text(wire, 'user_id') ?? text(wire, 'user'),
    projectId: text(wire, 'project_id') ?? text(wire, 'project'),
    isAdmin: wire['is_admin'] === true,
    roles: roleNames(wire['roles']),
  };
}

class DeadlineSignal {
  readonly deadline: number;
  readonly #caller: Caller | undefined;
  #signal: AbortSignal | null = null;

  constructor(deadline: number, caller: Caller | undefined) {
    this.deadline = deadline;
    this.#caller = caller;
  }

  get signal(): AbortSignal {
    this.#signal ??= this.#made();
    return this.#signal;
  }

  #made(): AbortSignal {
    const late = AbortSignal.timeout(Math.max(0, Math.min(TIMEOUT_MS_MAX, Math.ceil(this.deadline - Date.now()))));
    const givenUp = this.#caller?.signal;
    return givenUp === undefined ? late : AbortSignal.any([late, givenUp]);
  }
}

/** Two hosts whose clocks differ by less than this are taken to agree. */
const CLOCK_SKEW_MS_MAX = 2_000;

/**
 * The sender's deadline by our clock. A message never lies in a queue longer than its lifetime (the broker drops
 * it), so a deadline farther away than that, or past by more than CLOCK_SKEW_MS_MAX, says that the clocks
 * disagree: then the lifetime counts from now, lest a wrong clock stop every call.
 */
function readDeadline(wire: JsonObject, expirationMs: number | null): number {
  const now = Date.now();
  const timeoutMs = Math.min(expirationMs ?? TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX);
  const deadline = wire['deadline'];
  if (typeof deadline !== 'number' || !Number.isFinite(deadline)) return now + timeoutMs;
  const left = deadline - now;
  return left > timeoutMs || left < -CLOCK_SKEW_MS_MAX ? now + timeoutMs : deadline;
}

function text(wire: JsonObject, key: string): string | null {
  const value = wire[key];
  if (value === undefined || value === null) return null;
  if (typeof value !== 'string' || value.length > TEXT_LENGTH_MAX) {
    throw new ServiceError('INVALID_ARGUMENT', `_context_${key}: expected a text of at most ${TEXT_LENGTH_MAX} characters or null`);
  }
  return value;
}

function roleNames(value: JsonValue | undefined): readonly string[] {
  if (value === undefined || value === null) return [];
  const isRoles = Array.isArray(value) && value.length <= ROLES_MAX && value.every((role) => typeof role === 'string');
  if (!isRoles) throw new ServiceError('INVALID_ARGUMENT', `_context_roles: expected a list of at most ${ROLES_MAX} texts`);
  return value as readonly string[];
}
