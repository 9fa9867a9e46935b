// What an app shows to whoever runs it: where it listens, whether it can serve, how it stops.

import type { Logger } from './logger.ts';

export interface AppAddress {
  /** What is reached there, in a word or two: `api`, `console proxy`. */
  readonly name: string;
  readonly url: string;
}

export interface App {
  readonly name: string;
  readonly addresses: readonly AppAddress[];
  /** Resolves only when a request through the app's own queue, or a query, was answered; throws with the reason. */
  checkReady(): Promise<void>;
  /** Reads again what has changed on disk (certificates), when SIGHUP asks for it; never rejects for what it found there. */
  reload?(): Promise<void>;
  /** Stops taking work, finishes what runs, closes. Safe to call once; the caller sets the time limit. */
  drain(): Promise<void>;
}

/** Something opened before the apps and closed after them: a database, a broker connection, a lock file. */
export interface Resource {
  readonly name: string;
  close(): Promise<void>;
}

export interface AppParts {
  readonly apps: readonly App[];
  readonly resources?: readonly Resource[];
  readonly log: Logger;
  /** For all parts together; somewhat less than the process has (runProcess), 9 s. */
  readonly drainTimeoutMs?: number;
}

/** What is kept for each of the parts that follow, however long one takes. */
const RESERVE_MS = 500;

/**
 * Makes one App of several. `apps` and `resources` are in the order in which they were started;
 * drain goes backwards, one at a time: the last app first, then the resources that they stood on.
 * A part that fails to stop, or does not in its time, is logged and does not keep the others from stopping.
 */
export function composeApp(name: string, parts: AppParts): App {
  const { apps, resources = [], log, drainTimeoutMs = 9_000 } = parts;
  return {
    name,
    addresses: apps.flatMap((app) => app.addresses),
    async checkReady() {
      await Promise.all(apps.map((app) => app.checkReady()));
    },
    ...(apps.some((app) => app.reload !== undefined) ? { reload: async () => void (await Promise.all(apps.map(async (app) => app.reload?.()))) } : {}),
    async drain() {
      const stops: readonly Stop[] = [
        ...apps.toReversed().map((app) => ({ part: app.name, stop: () => app.drain() })),
        ...resources.toReversed().map((resource) => ({ part: resource.name, stop: () => resource.close() })),
      ];
      const untilMs = performance.now() + drainTimeoutMs;
      const reserveMs = Math.min(RESERVE_MS, drainTimeoutMs / (2 * stops.length));
      for (const [index, { part, stop }] of stops.entries()) {
        const partsAfter = stops.length - index - 1;
        await stopPart(part, stop, untilMs - performance.now() - partsAfter * reserveMs, log);
      }
    },
  };
}

interface Stop {
  readonly part: string;
  readonly stop: () => Promise<void>;
}

async function stopPart(part: string, stop: () => Promise<void>, timeoutMs: number, log: Logger): Promise<void> {
  const startedMs = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${Math.round(timeoutMs)} ms`)), timeoutMs);
  });
  try {
    await Promise.race([stop(), late]);
    log.debug({ part, durationMs: Math.round(performance.now() - startedMs) }, 'stopped');
  } catch (error) {
    log.error({ part, err: error }, 'did not stop cleanly');
  } finally {
    clearTimeout(timer);
  }
}
