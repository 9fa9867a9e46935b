/**
 * What consoleauth does for the others: it mints tokens, admits clients, keeps sessions and knows the services.
 * Versions continue Nova's own: 2.1 was the last of the historic service.
 *
 * Refusals of `connect`: UNAUTHENTICATED (token unknown or expired), NOT_FOUND (the instance is gone),
 * PORT_IN_USE (an exclusive port has a client), UNAVAILABLE (the host of the console does not report).
 */
import { ConsoleConnection, CONSOLE_TYPES } from '@gatehouse/objects/console-connection';
import { ConsoleGrant } from '@gatehouse/objects/console-grant';
import { ACCESS_LEVELS, ConsoleSession } from '@gatehouse/objects/console-session';
import { ConsoleSessionEvents } from '@gatehouse/objects/console-session-events';
import { ConsoleSessionUse } from '@gatehouse/objects/console-session-use';
import { enumeration, integer, listOf, mapOf, object, since, string, uuid } from '@gatehouse/objects/fields';
import { defineContract, method } from '@gatehouse/rpc/contract';

const name = () => string({ minLength: 1, maxLength: 255 });
const reason = () => string({ minLength: 1, maxLength: 255 });

/** Agents and proxies report every 5 s; one that has been silent for longer than this counts as gone. */
export const SERVICE_SILENCE_MS_MAX = 20_000;

/** A renewal carries at most this many sessions; a proxy with more sends several. */
export const RENEW_SESSIONS_MAX = 1_000;

/** Attach secrets that are shown in one request. */
export const ATTACHES_MAX = 64;
/** How an attach secret is refused, whoever tells the proxy. */
export const ATTACH_REFUSAL = 'this session is not open here, or its attach secret was used before; connect again';

/** Ports that one instance may register. */
const CONNECTIONS_MAX = 256;
/** Sessions in one page of a list. */
export const SESSIONS_PAGE_MAX = 500;
/** The longest that a watcher may let its request wait. */
export const WATCH_SECONDS_MAX = 30;
export const SESSION_STATES = ['open', 'ended', 'all'] as const;
export type SessionState = (typeof SESSION_STATES)[number];

/**
 * For whom it is asked: unset means all sessions, else those of this user and those on instances of this project, whoever
 * opened them. What a viewer may not see is not there for him. It narrows, and so is no word of a filter that needs one.
 */
const sessionViewer = () => ({
  viewerUserId: name().optional(),
  viewerProjectId: name().optional(),
});

/** Which sessions are meant: those that match every word that is said. */
const sessionFilter = () => ({
  instanceUuid: uuid().optional(),
  userId: name().optional(),
  projectId: name().optional(),
  host: name().optional(),
  proxy: name().optional(),
  ...sessionViewer(),
});

export const consoleauth = defineContract({
  topic: 'consoleauth',
  version: '3.2',
  objects: {
    '3.0': { ConsoleConnection: '1.0', ConsoleGrant: '1.0', ConsoleSession: '1.0', ConsoleSessionUse: '1.0' },
    '3.1': { ConsoleGrant: '1.1', ConsoleSession: '1.1' },
    '3.2': { ConsoleGrant: '1.2', ConsoleSession: '1.2', ConsoleSessionEvent: '1.0', ConsoleSessionEvents: '1.0', ConsoleSessionUse: '1.1' },
  },
  methods: {
    /** One of `connections` (an instance's ports of one console type, in order), reserved, with its access URL. PORT_IN_USE when none is free. */
    authorize: method({
      since: '3.0',
      args: { connections: listOf(object(ConsoleConnection), { maxItems: 64 }), access: enumeration(ACCESS_LEVELS).default('full') },
      result: object(ConsoleConnection),
    }),
    /** Admits a client that shows a token: claims its session and says how to reach the console. */
    connect: method({
      since: '3.0',
      args: {
        /** Chosen by the proxy, so that it can release a session whose grant never reached it. */
        sessionId: uuid(),
        token: string({ maxLength: 512 }),
        proxy: name(),
        clientAddress: string({ maxLength: 255 }),
        /** Console types that the asking page can show; unset means any. */
        consoleTypes: listOf(enumeration(CONSOLE_TYPES)).optional(),
        /** Goes on with the session that it belongs to, from whichever proxy; where that is over, `token` counts. */
        resumeGrant: since('3.2', string({ maxLength: 128 }).optional(), undefined),
      },
      result: object(ConsoleGrant),
    }),
    /** Prolongs the leases of a proxy's sessions; answers those that must end, with the reason. */
    renew: method({
      since: '3.0',
      idempotent: true,
      args: {
        proxy: name(),
        sessions: listOf(object(ConsoleSessionUse), { maxItems: RENEW_SESSIONS_MAX }),
      },
      /** Session id to the reason why it must end (or had ended, or `lease_lost` when it is not known). */
      result: mapOf(reason()),
    }),
    /** A session is over: its port is free from now on. */
    release: method({
      since: '3.0',
      idempotent: true,
      args: { proxy: name(), session: object(ConsoleSessionUse), reason: reason() },
    }),
    /** An agent shows the one-time secret that a client's stream brought; the answer is what may be opened. UNAUTHENTICATED otherwise. */
    attach: method({
      since: '3.0',
      args: { sessionId: uuid(), attachSecret: string({ maxLength: 128 }), host: name() },
      result: object(ConsoleConnection),
    }),
    /**
     * The same for several sessions, each once, with their secrets in the same order: session id to what may be opened. Those that
     * `attach` would answer UNAUTHENTICATED are left out; nothing of one hinders another.
     */
    attachAll: method({
      since: '3.2',
      args: {
        host: name(),
        sessionIds: listOf(uuid(), { maxItems: ATTACHES_MAX }),
        attachSecrets: listOf(string({ maxLength: 128 }), { maxItems: ATTACHES_MAX }),
      },
      result: mapOf(object(ConsoleConnection)),
    }),
    /** A service says that it lives; `endpoint` is where its console stream listens. */
    report: method({
      since: '3.0',
      idempotent: true,
      args: { binary: name(), host: name(), topic: name(), version: string({ maxLength: 32 }), endpoint: string({ maxLength: 300 }).nullable() },
    }),
    /** Topic to the oldest version of its contract among the services that live: what `auto` pins follow. */
    levels: method({ since: '3.1', idempotent: true, result: mapOf(string({ maxLength: 32 })) }),
    /** Removes the expired tokens and dead sessions of a host's guests, in batches and for some seconds at most; answers how many. */
    sweep: method({ since: '3.0', idempotent: true, args: { host: name() }, result: integer({ min: 0 }) }),
    /**
     * The consoles that a guest has now on its host: others of that instance and host are gone, with their tokens and
     * sessions. Answers how many sessions were ended.
     */
    register: method({
      since: '3.2',
      idempotent: true,
      args: { host: name(), instanceUuid: uuid(), connections: listOf(object(ConsoleConnection), { maxItems: CONNECTIONS_MAX }) },
      result: integer({ min: 0 }),
    }),
    /** Where a token leads, as Nova's os-console-auth-tokens tells external proxies; nothing is claimed. NOT_FOUND when it is unknown or has expired. */
    showToken: method({ since: '3.2', args: { token: string({ maxLength: 512 }) }, result: object(ConsoleConnection) }),
    /** Newest first; the next page begins after `marker`, the last id of this one. */
    listSessions: method({
      since: '3.2',
      args: {
        ...sessionFilter(),
        consoleType: enumeration(CONSOLE_TYPES).optional(),
        state: enumeration(SESSION_STATES).default('open'),
        limit: integer({ min: 1, max: SESSIONS_PAGE_MAX }).default(SESSIONS_PAGE_MAX),
        marker: uuid().optional(),
      },
      result: listOf(object(ConsoleSession)),
    }),
    /** NOT_FOUND when it is not known (any more). */
    showSession: method({ since: '3.2', args: { sessionId: uuid(), ...sessionViewer() }, result: object(ConsoleSession) }),
    /**
     * Ends one session, or all open ones that the filter names (at least one word of it is needed). Answers them as they
     * are when their proxies have confirmed, or after some seconds: a session whose `endedAt` is null is still being ended.
     * One call ends at most 10,000 and answers at most 1,000 of them; the others are listed.
     */
    endSessions: method({
      since: '3.2',
      idempotent: true,
      args: { sessionId: uuid().optional(), ...sessionFilter(), reason: reason().default('ended_by_operator') },
      result: listOf(object(ConsoleSession)),
    }),
    /**
     * What happened after `cursor` (null: from now on), at once when there is something, else within `waitSeconds`.
     * INVALID_ARGUMENT for a cursor that is none, or older than what is kept.
     */
    watchSessions: method({
      since: '3.2',
      args: { cursor: string({ maxLength: 64 }).nullable(), ...sessionFilter(), waitSeconds: integer({ min: 0, max: WATCH_SECONDS_MAX }).default(0) },
      result: object(ConsoleSessionEvents),
    }),
    /** Revokes an instance's tokens and ends its sessions; answers how many sessions were ended. */
    revokeInstance: method({ since: '3.0', idempotent: true, args: { instanceUuid: uuid(), reason: reason() }, result: integer({ min: 0 }) }),
  },
});
