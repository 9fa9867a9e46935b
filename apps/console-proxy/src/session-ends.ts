/**
 * Tells consoleauth that sessions are over. What it could not be told is told again, until it was heard or too many
 * wait; a session that nobody tells of ends with its lease.
 */
import type { ConsoleSessionUse } from '@gatehouse/objects/console-session-use';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';

export type Release = (use: ConsoleSessionUse, reason: string) => Promise<void>;

interface Untold {
  readonly use: ConsoleSessionUse;
  readonly reason: string;
  /** Epoch milliseconds. */
  readonly dueAt: number;
}

/** Ends that wait to be told; beyond it they are left to their lease. */
const UNTOLD_MAX = 10_000;
/** Told at a time, so that a consoleauth that comes back is not flooded. */
const ROUND_MAX = 100;
const AGAIN_AFTER_MS = 5_000;

export class SessionEnds {
  readonly #release: Release;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #untold = new Map<string, Untold>();
  readonly #telling = new Set<Promise<void>>();

  constructor(release: Release, clock: Clock, log: Logger) {
    this.#release = release;
    this.#clock = clock;
    this.#log = log;
  }

  /** Now, and again later when consoleauth does not answer. */
  tell(use: ConsoleSessionUse, reason: string): void {
    const told = this.#release(use, reason).catch((error: unknown) => {
      this.#log.warn({ sessionId: use.id, err: error }, 'the end of a session was not told yet');
      this.#keep({ use, reason, dueAt: this.#clock.now().getTime() + AGAIN_AFTER_MS });
    });
    this.#telling.add(told);
    void told.then(() => this.#telling.delete(told));
  }

  /** Not before `dueAt` (epoch milliseconds); whatever is told of it sooner does not count. */
  tellAt(dueAt: number, use: ConsoleSessionUse, reason: string): void {
    this.#keep({ use, reason, dueAt });
  }

  /** About once a second: those that are due. */
  async tellDue(): Promise<void> {
    const now = this.#clock.now().getTime();
    const due = [...this.#untold.values()].filter(({ dueAt }) => dueAt <= now).slice(0, ROUND_MAX);
    for (const { use, reason } of due) {
      this.#untold.delete(keyOf(use));
      this.tell(use, reason);
    }
    await this.settled();
  }

  /** Resolves when what is being told was told, or could not be. */
  async settled(): Promise<void> {
    await Promise.all(this.#telling);
  }

  #keep(untold: Untold): void {
    const key = keyOf(untold.use);
    const dueAt = Math.max(untold.dueAt, this.#untold.get(key)?.dueAt ?? 0);
    if (this.#untold.size < UNTOLD_MAX || this.#untold.has(key)) this.#untold.set(key, { ...untold, dueAt });
  }
}

/** A session that was taken over and came back has several ends to tell, one for each claim. */
function keyOf({ id, claim }: ConsoleSessionUse): string {
  return claim ?? id;
}
