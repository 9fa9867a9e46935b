/**
 * A transport carries requests between a client and a server, as bytes, in two verbs: request and listen.
 * It knows topics, servers and deadlines, and nothing of contracts.
 */
import type { JsonObject, JsonValue } from '@gatehouse/objects/field';
import type { MethodKind } from './contract.ts';

/** What a request says, as it stands on the wire. */
export interface RequestMessage {
  readonly method: string;
  readonly args: JsonObject;
  readonly namespace: string | null;
  readonly version: string | null;
  /** The `_context_*` keys without their prefix. */
  readonly context: JsonObject;
}

/** What a server answers. `failure` is oslo's failure JSON as text; then the result is null. */
export interface Reply {
  readonly result: JsonValue;
  readonly failure: string | null;
}

export interface OutgoingRequest {
  readonly kind: MethodKind;
  readonly topic: string;
  /** One server of the topic; any of them when absent. */
  readonly server?: string | undefined;
  readonly message: RequestMessage;
  /** Epoch milliseconds. */
  readonly deadline: number;
  /** Aborted: a call rejects with CANCELLED, and a server of ours that has it aborts its own signal. */
  readonly signal?: AbortSignal | undefined;
  /** A call rejects with DEADLINE_EXCEEDED when its server gives no sign of life for this long; at least MONITOR_MS_MIN. */
  readonly monitorTimeoutMs?: number | undefined;
}

/** oslo's servers send signs of life twice in the whole seconds asked for, and none more often than each second. */
export const MONITOR_MS_MIN = 2_000;

export interface IncomingRequest {
  readonly message: RequestMessage;
  /** Whether somebody waits for the answer. */
  readonly wantsReply: boolean;
  /** The broker gave it out before, to a server that was lost or cut off: it may have run, in part or whole. */
  readonly redelivered: boolean;
  /** The message's own lifetime in milliseconds, when it has one. */
  readonly expirationMs: number | null;
  /** Aborts when the caller has given up. Made when first read: most handlers never do. */
  readonly signal?: AbortSignal;
}

export interface Listener {
  readonly topic: string;
  readonly server: string;
  /** At most this many requests are handed over and not answered yet. */
  readonly requestsMax: number;
  /** Never rejects: a failure is a reply. */
  handle(request: IncomingRequest): Promise<Reply>;
}

export interface Listening {
  /** No request is handed over after this; those that run still answer. */
  pause(): Promise<void>;
  /** Ends it; what was handed over and not answered goes back to the queue where the transport has one. */
  close(): Promise<void>;
}

export interface Transport {
  /**
   * call: resolves with the server's reply. cast and fanout: resolves with null when the request is handed over.
   * @throws ServiceError UNAVAILABLE (nobody listens, or the way there was lost), DEADLINE_EXCEEDED, CANCELLED,
   * RESOURCE_EXHAUSTED (too many requests wait), INVALID_ARGUMENT (too large)
   */
  request(request: OutgoingRequest): Promise<Reply | null>;
  /** Resolves when requests arrive; waits for a broker that is not there yet. */
  listen(listener: Listener): Promise<Listening>;
  /** Every waiting request rejects with UNAVAILABLE. */
  close(): Promise<void>;
  readonly connected: boolean;
}

/** The part of a logger that this room needs; pino's fits. */
export interface RpcLog {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

const nothing = (): void => {};
export const SILENT: RpcLog = { debug: nothing, info: nothing, warn: nothing, error: nothing };
