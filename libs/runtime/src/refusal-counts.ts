/**
 * Which refusals get a line. Whoever has no token can be refused as often as they like, and must not fill a disk or bury the
 * others' lines with that. In a stretch of time each address (each user, where no address is known) has a stated number
 * of lines for each reason, and all together have one; of the rest it is told how many there were, when the stretch is over.
 */
import type { CancelTimer, Clock } from './clock.ts';
import { networkOf } from './network-of.ts';

export interface RefusalLimits {
  readonly stretchMs: number;
  readonly ofEach: number;
  readonly ofAll: number;
}

/** Whose refusals these are, and why they were refused. */
export interface RefusalSource {
  readonly proxy?: string | undefined;
  /** An IPv6 /64 is one. */
  readonly clientAddress?: string | undefined;
  readonly userId?: string | null | undefined;
  readonly reason?: string | undefined;
  /** The compute host, where that is why. */
  readonly host?: string | undefined;
}

interface Count {
  readonly source: RefusalSource;
  /** Lines that were written, and refusals that were not. */
  written: number;
  leftOut: number;
}

export class RefusalCounts {
  readonly #limits: RefusalLimits;
  readonly #clock: Clock;
  readonly #tell: (source: RefusalSource, leftOut: number) => void;
  /** Of this stretch: at most `ofAll` of them, for each has a line. */
  readonly #counts = new Map<string, Count>();
  /** By reason, of those who came when all lines of the stretch had been written. */
  readonly #ofOthers = new Map<string | undefined, number>();
  #written = 0;
  #stretch: CancelTimer | null = null;

  /** `tell` hears at the end of a stretch how many of whose refusals had no line; of those who had none at all, by their reason alone. */
  constructor(limits: RefusalLimits, clock: Clock, tell: (source: RefusalSource, leftOut: number) => void) {
    this.#limits = limits;
    this.#clock = clock;
    this.#tell = tell;
  }

  /** Whether this one has a line. */
  admits(source: RefusalSource): boolean {
    this.#stretch ??= this.#clock.after(this.#limits.stretchMs, () => this.flush());
    const { clientAddress, userId, reason, host } = source;
    const network = clientAddress === undefined ? undefined : networkOf(clientAddress);
    const key = JSON.stringify([network ?? ['user', userId], reason, host]);
    const isFull = this.#written >= this.#limits.ofAll;
    const count = this.#counts.get(key);
    if (count !== undefined && (isFull || count.written >= this.#limits.ofEach)) {
      count.leftOut += 1;
      return false;
    }
    if (isFull) {
      this.#ofOthers.set(reason, (this.#ofOthers.get(reason) ?? 0) + 1);
      return false;
    }
    this.#written += 1;
    if (count === undefined) this.#counts.set(key, { source: network === undefined ? source : { ...source, clientAddress: network }, written: 1, leftOut: 0 });
    else count.written += 1;
    return true;
  }

  /** Tells what was left out so far. */
  flush(): void {
    this.#stretch?.();
    this.#stretch = null;
    for (const { source, leftOut } of this.#counts.values()) if (leftOut > 0) this.#tell(source, leftOut);
    for (const [reason, leftOut] of this.#ofOthers) this.#tell({ reason }, leftOut);
    this.#counts.clear();
    this.#ofOthers.clear();
    this.#written = 0;
  }
}
