/**
 * Calls that wait for their answer: each ends once, by an answer, its deadline, the silence of a server that was to
 * give signs of life, its caller, or the loss of the way.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import { MONITOR_MS_MIN } from './transport.ts';
import type { OutgoingRequest, Reply } from './transport.ts';

/** A caller that has this many unanswered gets RESOURCE_EXHAUSTED instead of a place. */
const PENDING_CALLS_MAX = 10_000;
const TIMER_MS_MAX = 2_147_483_647;

type Asked = Pick<OutgoingRequest, 'topic' | 'server' | 'message' | 'deadline' | 'signal' | 'monitorTimeoutMs'>;

export interface PendingCall {
  readonly msgId: string;
  readonly request: Asked;
  /** Epoch milliseconds. */
  readonly since: number;
  /** A server has said that it works on it. */
  isAtWork: boolean;
  readonly timer: NodeJS.Timeout;
  /** Runs out when there is no sign of life; null when the caller asked for none. */
  readonly monitor: NodeJS.Timeout | null;
  readonly onAbort: (() => void) | null;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: ServiceError) => void;
}

export class PendingCalls {
  readonly #calls = new Map<string, PendingCall>();
  readonly #onAbandoned: (call: PendingCall) => void;

  /** `onAbandoned` hears of calls that nobody waits for any more, though their server may still work on them. */
  constructor(onAbandoned: (call: PendingCall) => void) {
    this.#onAbandoned = onAbandoned;
  }

  get size(): number {
    return this.#calls.size;
  }

  values(): Iterable<PendingCall> {
    return this.#calls.values();
  }

  /** @throws ServiceError RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED, CANCELLED, INVALID_ARGUMENT, and what `reject` or `rejectAll` say */
  wait(msgId: string, request: Asked): Promise<Reply> {
    return new Promise<Reply>((resolve, reject) => {
      const { deadline, signal, monitorTimeoutMs } = request;
      const since = Date.now();
      const leftMs = deadline - since;
      if (leftMs <= 0) return reject(deadlineExceeded(titleOf(request), 0));
      if (signal?.aborted) return reject(cancelled(titleOf(request)));
      if (monitorTimeoutMs !== undefined && !(monitorTimeoutMs >= MONITOR_MS_MIN)) {
        return reject(new ServiceError('INVALID_ARGUMENT', `monitorTimeoutMs: expected at least ${MONITOR_MS_MIN}, got ${monitorTimeoutMs}`));
      }
      if (this.#calls.size >= PENDING_CALLS_MAX) {
        return reject(new ServiceError('RESOURCE_EXHAUSTED', `${PENDING_CALLS_MAX} calls wait for an answer; ${titleOf(request)} was not sent`));
      }
      const timer = setTimeout(expire, Math.min(leftMs, TIMER_MS_MAX), this, msgId);
      const monitor = monitorTimeoutMs === undefined ? null : setTimeout(silence, Math.min(monitorTimeoutMs, TIMER_MS_MAX), this, msgId);
      const onAbort = signal === undefined ? null : () => this.#abandon(msgId, cancelled(titleOf(request)));
      if (onAbort !== null) signal?.addEventListener('abort', onAbort);
      this.#calls.set(msgId, { msgId, request, since, isAtWork: false, timer, monitor, onAbort, resolve, reject });
    });
  }

  /** Whether the call still waits: one that was refused a place does not, and must not be sent. */
  has(msgId: string): boolean {
    return this.#calls.has(msgId);
  }

  /** The call that ended so; undefined when nobody waits for it any more. */
  resolve(msgId: string, reply: Reply): PendingCall | undefined {
    const call = this.#take(msgId);
    call?.resolve(reply);
    return call;
  }

  get(msgId: string): PendingCall | undefined {
    return this.#calls.get(msgId);
  }

  reject(msgId: string, error: ServiceError): void {
    this.#take(msgId)?.reject(error);
  }

  markAtWork(msgId: string): void {
    const call = this.#calls.get(msgId);
    if (call === undefined) return;
    call.isAtWork = true;
    call.monitor?.refresh();
  }

  /** The way is lost: whether the requests have run is unknown. */
  rejectAll(reason: string): void {
    for (const { msgId, request } of [...this.#calls.values()]) {
      this.reject(msgId, new ServiceError('UNAVAILABLE', `${reason} before ${titleOf(request)} was answered; it may have run`));
    }
  }

  expire(msgId: string): void {
    const call = this.#calls.get(msgId);
    if (call !== undefined) this.#abandon(msgId, deadlineExceeded(titleOf(call.request), call.request.deadline - call.since));
  }

  silence(msgId: string): void {
    const call = this.#calls.get(msgId);
    if (call === undefined) return;
    const words = `no sign of life from ${titleOf(call.request)} within ${call.request.monitorTimeoutMs} ms`;
    this.#abandon(msgId, new ServiceError('DEADLINE_EXCEEDED', words));
  }

  #abandon(msgId: string, error: ServiceError): void {
    const call = this.#take(msgId);
    if (call === undefined) return;
    call.reject(error);
    this.#onAbandoned(call);
  }

  #take(msgId: string): PendingCall | undefined {
    const call = this.#calls.get(msgId);
    if (call === undefined) return undefined;
    this.#calls.delete(msgId);
    clearTimeout(call.timer);
    if (call.monitor !== null) clearTimeout(call.monitor);
    if (call.onAbort !== null) call.request.signal?.removeEventListener('abort', call.onAbort);
    return call;
  }
}

function expire(calls: PendingCalls, msgId: string): void {
  calls.expire(msgId);
}

function silence(calls: PendingCalls, msgId: string): void {
  calls.silence(msgId);
}

export function titleOf(request: Pick<OutgoingRequest, 'topic' | 'server' | 'message'>): string {
  return `${request.message.method} to ${addressOf(request)}`;
}

/** `topic` or `topic.server`, which is also the name of the queue. */
export function addressOf({ topic, server }: Pick<OutgoingRequest, 'topic' | 'server'>): string {
  return server === undefined ? topic : `${topic}.${server}`;
}

export function nobodyListens(address: string): ServiceError {
  return new ServiceError('UNAVAILABLE', `nobody serves ${address}`);
}

export function deadlineExceeded(title: string, waitedMs: number): ServiceError {
  const words = waitedMs > 0 ? `no answer to ${title} within ${Math.round(waitedMs)} ms` : `the deadline of ${title} had passed before it was sent`;
  return new ServiceError('DEADLINE_EXCEEDED', words);
}

export function cancelled(title: string): ServiceError {
  return new ServiceError('CANCELLED', `the caller gave up waiting for ${title}`);
}
