/** Calls that wait for their answer: each ends once, by an answer, its deadline, its caller, or the loss of the way. */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { OutgoingRequest, Reply } from './transport.ts';

/** A caller that has this many unanswered gets RESOURCE_EXHAUSTED instead of a place. */
export const PENDING_CALLS_MAX = 10_000;
const TIMER_MS_MAX = 2_147_483_647;

interface Pending {
  readonly title: string;
  readonly finish: (outcome: Reply | ServiceError) => void;
}

export class PendingCalls {
  readonly #calls = new Map<string, Pending>();

  get size(): number {
    return this.#calls.size;
  }

  /** @throws ServiceError RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED, CANCELLED; the promise also as rejectAll and reject say */
  wait(msgId: string, request: Pick<OutgoingRequest, 'topic' | 'server' | 'message' | 'deadline' | 'signal'>): Promise<Reply> {
    const title = titleOf(request);
    return new Promise<Reply>((resolve, reject) => {
      if (this.#calls.size >= PENDING_CALLS_MAX) {
        return reject(new ServiceError('RESOURCE_EXHAUSTED', `${PENDING_CALLS_MAX} calls wait for an answer; ${title} was not sent`));
      }
      const { deadline, signal } = request;
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) return reject(deadlineExceeded(title, 0));
      if (signal?.aborted) return reject(cancelled(title));
      const timer = setTimeout(() => finish(deadlineExceeded(title, leftMs)), Math.min(leftMs, TIMER_MS_MAX));
      const onAbort = (): void => finish(cancelled(title));
      const finish = (outcome: Reply | ServiceError): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        this.#calls.delete(msgId);
        if (outcome instanceof ServiceError) reject(outcome);
        else resolve(outcome);
      };
      signal?.addEventListener('abort', onAbort);
      this.#calls.set(msgId, { title, finish });
    });
  }

  /** Whether the call still waits: one that was refused a place does not, and must not be sent. */
  has(msgId: string): boolean {
    return this.#calls.has(msgId);
  }

  /** False when nobody waits for it any more. */
  resolve(msgId: string, reply: Reply): boolean {
    const call = this.#calls.get(msgId);
    call?.finish(reply);
    return call !== undefined;
  }

  reject(msgId: string, error: ServiceError): void {
    this.#calls.get(msgId)?.finish(error);
  }

  /** The way is lost: whether the requests have run is unknown. */
  rejectAll(reason: string): void {
    for (const { title, finish } of [...this.#calls.values()]) {
      finish(new ServiceError('UNAVAILABLE', `${reason} before ${title} was answered; it may have run`));
    }
  }
}

export function titleOf(request: Pick<OutgoingRequest, 'topic' | 'server' | 'message'>): string {
  const to = request.server === undefined ? request.topic : `${request.topic}.${request.server}`;
  return `${request.message.method} to ${to}`;
}

export function deadlineExceeded(title: string, waitedMs: number): ServiceError {
  const words = waitedMs > 0 ? `no answer to ${title} within ${Math.round(waitedMs)} ms` : `the deadline of ${title} had passed before it was sent`;
  return new ServiceError('DEADLINE_EXCEEDED', words);
}

export function cancelled(title: string): ServiceError {
  return new ServiceError('CANCELLED', `the caller gave up waiting for ${title}`);
}
