// Work done again and again: reports, sweeps, renewals. Rounds never overlap, a failed round is logged
// and the next one comes, and stopping waits for the round that runs.

import type { Clock } from './clock.ts';
import type { Logger } from './logger.ts';

export interface Periodic {
  /** Runs no further round and waits for the one that runs. */
  stop(): Promise<void>;
}

export interface PeriodicOptions {
  /** For the log line of a failed round. */
  readonly name: string;
  readonly everyMs: number;
  /** Share of `everyMs` by which each pause is varied, so that a fleet does not move in step; 0.1. */
  readonly jitter?: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly work: (signal: AbortSignal) => Promise<void>;
}

/** Starts the first round at once, then one after each pause. */
export function periodic(options: PeriodicOptions): Periodic {
  const { name, everyMs, jitter = 0.1, clock, log, work } = options;
  const stopping = new AbortController();
  let failures = 0;
  const rounds = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        await work(stopping.signal);
        if (failures > 0) log.info({ work: name, failures }, `${name} works again`);
        failures = 0;
      } catch (error) {
        failures += 1;
        // The first failure is news; the same one every few seconds is not.
        const level = failures === 1 ? 'warn' : 'debug';
        if (!stopping.signal.aborted) log[level]({ work: name, failures, err: error }, `${name} failed`);
      }
      await clock.sleep(everyMs * (1 + jitter * (Math.random() * 2 - 1)), stopping.signal);
    }
  };
  const running = rounds();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
