/**
 * How long a session may last: without input, and altogether. It is asked once a second and holds no timer of its
 * own, so that ten thousand sessions cost one. Before it ends a session it warns, and it takes the warning back when
 * that no longer holds.
 */
import type { EndReason } from '@gatehouse/errors/endings';

export interface TimerSettings {
  /** Milliseconds without input; 0: any. */
  readonly idleTimeoutMs: number;
  /** Milliseconds from the session's start, whoever carries it; 0: any. */
  readonly lifetimeMaxMs: number;
}

export type TimedReason = Extract<EndReason, 'idle_timeout' | 'lifetime_over'>;

/** Who is warned and ended. */
export interface Timed {
  /** `seconds` until the end; null: it is not ended for this reason after all. */
  warn(reason: TimedReason, seconds: number | null): void;
  end(reason: TimedReason): void;
}

/** A warning comes this long before the end, and not before half of the time is over. */
export const WARN_MS = 60_000;

export class SessionTimers {
  readonly #settings: TimerSettings;
  readonly #bornAtMs: number;
  #inputAtMs: number;
  #inputSeen = false;
  readonly #warned = new Set<TimedReason>();

  /** `ageMs`: how old the session is at `nowMs`, milliseconds of a clock that never goes back. */
  constructor(settings: TimerSettings, ageMs: number, nowMs: number) {
    this.#settings = settings;
    this.#bornAtMs = nowMs - Math.max(0, ageMs);
    this.#inputAtMs = nowMs;
  }

  /** A person's input came; to be called as often as there is any. */
  input(): void {
    this.#inputSeen = true;
  }

  /** About once a second. */
  beat(nowMs: number, timed: Timed): void {
    if (this.#inputSeen) {
      this.#inputSeen = false;
      this.#inputAtMs = nowMs;
    }
    const { idleTimeoutMs, lifetimeMaxMs } = this.#settings;
    const isOver = this.#check('lifetime_over', lifetimeMaxMs, nowMs - this.#bornAtMs, timed);
    if (!isOver) this.#check('idle_timeout', idleTimeoutMs, nowMs - this.#inputAtMs, timed);
  }

  /** True when the session was ended. */
  #check(reason: TimedReason, limitMs: number, passedMs: number, timed: Timed): boolean {
    if (limitMs === 0) return false;
    const leftMs = limitMs - passedMs;
    if (leftMs <= 0) {
      timed.end(reason);
      return true;
    }
    const isNear = leftMs <= Math.min(WARN_MS, limitMs / 2);
    if (isNear && !this.#warned.has(reason)) {
      this.#warned.add(reason);
      timed.warn(reason, Math.ceil(leftMs / 1_000));
    } else if (!isNear && this.#warned.delete(reason)) {
      timed.warn(reason, null);
    }
    return false;
  }
}
