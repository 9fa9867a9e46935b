// Time as a dependency: whatever waits, expires or measures asks a Clock, so that a test can move
// it by hand (test-clock.ts) and no test sleeps for real.

/** Calls off a timer; harmless after it has fired. */
export type CancelTimer = () => void;

export interface Clock {
  /** The present moment, UTC. */
  now(): Date;
  /** Runs `work` once after `delayMs`. A pending timer does not keep the process alive. */
  after(delayMs: number, work: () => void): CancelTimer;
  /** Resolves after `delayMs`, or at once when `signal` aborts: the caller looks at its signal itself. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** Builds `sleep` on any `after`, so that each clock has one notion of a timer. */
export function sleepOn(
  after: Clock['after'],
  delayMs: number,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const finish = (): void => {
      cancel();
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const cancel = after(delayMs, finish);
    signal?.addEventListener('abort', finish, { once: true });
  });
}

// setTimeout fires at once for anything above 2^31-1 ms; such a delay is cut to 24 days instead.
const LONGEST_TIMER_MS = 2_147_483_647;

const systemAfter: Clock['after'] = (delayMs, work) => {
  const timer = setTimeout(work, Math.min(Math.max(delayMs, 0), LONGEST_TIMER_MS));
  timer.unref();
  return () => clearTimeout(timer);
};

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => new Date(),
  after: systemAfter,
  sleep: (delayMs, signal) => sleepOn(systemAfter, delayMs, signal),
};
