// Services start in any order: what one needs may not be there yet. waitFor tries until it is, with
// growing, jittered pauses, so that a fleet does not knock in step, and says now and then that it waits.

import { ServiceError, isServiceError } from '@gatehouse/errors/service-error';
import { systemClock, type Clock } from './clock.ts';
import type { Logger } from './logger.ts';

const ALIVE_EVERY_MS = 60_000;

export interface WaitOptions<T> {
  /** What is waited for, as an operator would say it: `the cell database`. */
  readonly what: string;
  /** One try; its failure is taken as "not there yet". */
  readonly attempt: () => Promise<T>;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Ends the wait with CANCELLED. */
  readonly signal?: AbortSignal;
  /** Total time after which the wait fails with UNAVAILABLE; 10 minutes. */
  readonly timeoutMs?: number;
  readonly firstDelayMs?: number;
  readonly delayMsMax?: number;
  /** How often a line is logged while waiting. */
  readonly logEveryMs?: number;
  /** True for failures that waiting cannot mend, a wrong password for example; they are thrown as they are. */
  readonly isFinal?: (error: unknown) => boolean;
}

/**
 * Resolves with the first success of `attempt`.
 *
 * @throws ServiceError UNAVAILABLE after `timeoutMs`, CANCELLED when `signal` aborts, or the error that
 *   `isFinal` picked out.
 */
export async function waitFor<T>(options: WaitOptions<T>): Promise<T> {
  // The clock's timers let a process end; one that waits has nothing else to do and must not.
  const alive = setInterval(() => {}, ALIVE_EVERY_MS);
  try {
    return await attemptUntil(options);
  } finally {
    clearInterval(alive);
  }
}

async function attemptUntil<T>(options: WaitOptions<T>): Promise<T> {
  const { what, attempt, log, clock = systemClock, signal, timeoutMs = 600_000 } = options;
  const { firstDelayMs = 100, delayMsMax = 5_000, logEveryMs = 10_000 } = options;
  const startMs = clock.now().getTime();
  let lastLogMs = Number.NEGATIVE_INFINITY;
  let delayMs = firstDelayMs;
  for (;;) {
    if (signal?.aborted) throw new ServiceError('CANCELLED', `stopped waiting for ${what}`);
    try {
      const result = await attempt();
      if (lastLogMs > 0) log.info({ what }, `${what} is there`);
      return result;
    } catch (error) {
      if (options.isFinal?.(error)) throw error;
      const nowMs = clock.now().getTime();
      if (nowMs - startMs >= timeoutMs) {
        const seconds = Math.round((nowMs - startMs) / 1000);
        throw new ServiceError('UNAVAILABLE', `${what} was not there within ${seconds} s: ${reasonOf(error)}`, { cause: error });
      }
      if (nowMs - lastLogMs >= logEveryMs) {
        lastLogMs = nowMs;
        log.warn({ what, reason: reasonOf(error) }, `waiting for ${what}`);
      }
    }
    // "Equal jitter": between half and the whole of the pause.
    await clock.sleep(delayMs * (0.5 + Math.random() / 2), signal);
    delayMs = Math.min(delayMs * 2, delayMsMax);
  }
}

// AggregateError (a host with several addresses) has an empty message; its parts or code speak.
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (isServiceError(error) || error instanceof Error) return error.message || error.name;
  return String(error);
}
