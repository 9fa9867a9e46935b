/**
 * How often each of many may do something: a bucket that refills evenly. Of each one moment is kept, the one at which its
 * bucket will be full again (GCRA, as ATM's traffic control has it); whoever's bucket is full is forgotten.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Clock } from '@gatehouse/runtime/clock';

export interface RateLimits {
  /** In the long run; 0: no limit. */
  readonly perSecond: number;
  /** At once, from a full bucket. */
  readonly burst: number;
}

/** Beyond this many, the one that has been quiet for the longest is forgotten, which is in its favour. */
const KEYS_MAX = 100_000;
/** Looked at, at each request, of those that have been quiet for the longest. */
const FORGOTTEN_AT_ONCE = 2;

export class RateLimit {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #capacityMs: number;
  readonly #keysMax: number;
  /** key -> when its bucket is full again, in ms; in the order of their last requests. */
  readonly #fullAt = new Map<string, number>();

  constructor({ perSecond, burst }: RateLimits, clock: Clock, keysMax = KEYS_MAX) {
    this.#clock = clock;
    this.#intervalMs = perSecond === 0 ? 0 : 1_000 / perSecond;
    this.#capacityMs = this.#intervalMs * burst;
    this.#keysMax = keysMax;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#fullAt.size;
  }

  /** Takes one from the bucket. @throws ServiceError RESOURCE_EXHAUSTED: it is empty; details: retryAfter, whole and at least 1 */
  take(key: string): void {
    if (this.#intervalMs === 0) return;
    const now = this.#clock.now().getTime();
    this.#forget(now);
    const fullAt = this.#since(key, now) + this.#intervalMs;
    this.#refuse(fullAt - this.#capacityMs - now);
    this.#fullAt.delete(key);
    this.#fullAt.set(key, fullAt);
    if (this.#fullAt.size > this.#keysMax) this.#dropOldest();
  }

  /** Takes nothing. @throws ServiceError RESOURCE_EXHAUSTED, as `take` would */
  check(key: string): void {
    if (this.#intervalMs === 0) return;
    const now = this.#clock.now().getTime();
    this.#refuse(this.#since(key, now) + this.#intervalMs - this.#capacityMs - now);
  }

  #since(key: string, now: number): number {
    const fullAt = Math.max(this.#fullAt.get(key) ?? now, now);
    const latest = now + this.#capacityMs;
    if (fullAt <= latest) return fullAt;
    // The clock was set back, which must not lock anybody out.
    this.#fullAt.set(key, latest);
    return latest;
  }

  #refuse(waitMs: number): void {
    if (waitMs <= 0) return;
    const seconds = Math.max(1, Math.ceil(waitMs / 1_000));
    throw new ServiceError('RESOURCE_EXHAUSTED', `Too many requests: ask again in ${seconds} s.`, { details: { retryAfter: seconds } });
  }

  #forget(now: number): void {
    let looked = 0;
    for (const [key, fullAt] of this.#fullAt) {
      if (fullAt > now || looked === FORGOTTEN_AT_ONCE) return;
      this.#fullAt.delete(key);
      looked += 1;
    }
  }

  #dropOldest(): void {
    for (const key of this.#fullAt.keys()) {
      this.#fullAt.delete(key);
      return;
    }
  }
}
