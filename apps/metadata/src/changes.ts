/**
 * Those who wait for an instance to change. Each has a place, which there are only so many of; news wake all of the instance's, and
 * news that come while its waiter looks are there when it waits again. Whether what they wait for has changed they see themselves.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Clock } from '@gatehouse/runtime/clock';

/** One guest has one agent or a few that wait; what is beyond is a loop gone wrong. */
export const WAITING_PER_INSTANCE_MAX = 8;
/** Half of the connections that the service takes. */
export const WAITING_MAX = 512;
const COME_BACK_SECONDS = 5;

export interface Place {
  /** Resolves at news, those since the last time included; after `timeoutMs`, when `signal` aborts, and when the service stops. */
  next(timeoutMs: number, signal: AbortSignal): Promise<void>;
  /** Frees it; to be called in any case. */
  leave(): void;
}

interface Waiter {
  hasNews: boolean;
  wake: (() => void) | null;
}

export class Changes {
  readonly #clock: Clock;
  readonly #waiters = new Map<string, Set<Waiter>>();
  #waiting = 0;
  #isDraining = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Nobody is to wait any more. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** @throws ServiceError RESOURCE_EXHAUSTED: so many wait for this instance; UNAVAILABLE: so many wait in all */
  enter(instanceUuid: string): Place {
    const waiters = this.#waiters.get(instanceUuid) ?? new Set();
    if (waiters.size >= WAITING_PER_INSTANCE_MAX) {
      throw new ServiceError('RESOURCE_EXHAUSTED', `${WAITING_PER_INSTANCE_MAX} requests wait for this instance to change already.`, { details: { retryAfter: COME_BACK_SECONDS } });
    }
    if (this.#waiting >= WAITING_MAX) {
      throw new ServiceError('UNAVAILABLE', `${WAITING_MAX} requests wait for a change already.`, { details: { retryAfter: COME_BACK_SECONDS } });
    }
    const waiter: Waiter = { hasNews: false, wake: null };
    this.#waiters.set(instanceUuid, waiters.add(waiter));
    this.#waiting += 1;
    return {
      next: (timeoutMs, signal) => this.#next(waiter, timeoutMs, signal),
      leave: () => {
        if (!waiters.delete(waiter)) return;
        this.#waiting -= 1;
        if (waiters.size === 0) this.#waiters.delete(instanceUuid);
      },
    };
  }

  tell(instanceUuid: string): void {
    for (const waiter of this.#waiters.get(instanceUuid) ?? []) wake(waiter);
  }

  /** Wakes everybody, for good. */
  drain(): void {
    this.#isDraining = true;
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) wake(waiter);
  }

  async #next(waiter: Waiter, timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (!waiter.hasNews && !this.#isDraining) {
      const woken = new AbortController();
      waiter.wake = () => woken.abort();
      await this.#clock.sleep(timeoutMs, AbortSignal.any([woken.signal, signal]));
      waiter.wake = null;
    }
    waiter.hasNews = false;
  }
}

function wake(waiter: Waiter): void {
  waiter.hasNews = true;
  waiter.wake?.();
}
