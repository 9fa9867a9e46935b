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
  /** Stops taking work, finishes what runs, closes. Safe to call once; the caller sets the time limit. */
  drain(): Promise<void>;
}

/** Something opened before the apps and closed after them: a database, a broker connection, a lock file. */
export interface Resource {
  readonly name: string;
  close(): Promise<void>;
}

/**
 * Makes one App of several. `apps` and `resources` are in the order in which they were started;
 * drain goes backwards, one at a time: the last app first, then the resources that they stood on.
 * A part that fails to stop is logged and does not keep the others from stopping.
 */
export function composeApp(
  name: string,
  parts: { readonly apps: readonly App[]; readonly resources?: readonly Resource[]; readonly log: Logger },
): App {
  const { apps, resources = [], log } = parts;
  return {
    name,
    addresses: apps.flatMap((app) => app.addresses),
    async checkReady() {
      await Promise.all(apps.map((app) => app.checkReady()));
    },
    async drain() {
      for (const app of apps.toReversed()) await stopPart(app.name, () => app.drain(), log);
      for (const resource of resources.toReversed()) {
        await stopPart(resource.name, () => resource.close(), log);
      }
    },
  };
}

async function stopPart(name: string, stop: () => Promise<void>, log: Logger): Promise<void> {
  const startedMs = performance.now();
  try {
    await stop();
    log.debug({ part: name, durationMs: Math.round(performance.now() - startedMs) }, 'stopped');
  } catch (error) {
    log.error({ part: name, err: error }, 'did not stop cleanly');
  }
}
