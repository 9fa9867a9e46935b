// A clock that stands still until a test moves it.

import { sleepOn, type CancelTimer, type Clock } from './clock.ts';

interface PendingTimer {
  readonly dueMs: number;
  readonly work: () => void;
}

export class TestClock implements Clock {
  #nowMs: number;
  readonly #timers = new Set<PendingTimer>();

  constructor(start: Date = new Date('2026-01-01T00:00:00Z')) {
    this.#nowMs = start.getTime();
  }

  now(): Date {
    return new Date(this.#nowMs);
  }

  after(delayMs: number, work: () => void): CancelTimer {
    const timer = { dueMs: this.#nowMs + Math.max(delayMs, 0), work };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn((delay, work) => this.after(delay, work), delayMs, signal);
  }

  /** How many timers wait to fire: lets a test see that nothing was left behind. */
  get pending(): number {
    return this.#timers.size;
  }

  /**
   * Moves time on by `byMs`, firing due timers in order; what a timer starts gets a turn to run, and
   * timers it sets fire too when they fall within the same stretch.
   */
  async advance(byMs: number): Promise<void> {
    const endMs = this.#nowMs + byMs;
    await turn();
    for (let next = this.#nextDue(endMs); next !== null; next = this.#nextDue(endMs)) {
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.work();
      await turn();
    }
    this.#nowMs = endMs;
  }

  #nextDue(endMs: number): PendingTimer | null {
    let next: PendingTimer | null = null;
    for (const timer of this.#timers) {
      if (timer.dueMs <= endMs && (next === null || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
