/**
 * A bound on the audit's lines about refusals: whoever has no token can be refused as often as they like, and must not fill a
 * disk or bury the others' lines with that. Of each address (of each user, where no address is known), and of all
 * together, a stated number of lines is written in a stretch of time; of the rest it is written how many there were, when the
 * stretch is over. All other events are written whatever happens, for whoever causes them has shown a token.
 */
import type { Audit, AuditEvent, AuditFacts } from './audit.ts';
import type { CancelTimer, Clock } from './clock.ts';

export interface RefusalLimits {
  readonly stretchMs: number;
  readonly ofEach: number;
  readonly ofAll: number;
}

export const REFUSAL_LIMITS: RefusalLimits = { stretchMs: 10_000, ofEach: 100, ofAll: 1_000 };

interface Count {
  readonly from: Pick<AuditFacts, 'proxy' | 'clientAddress' | 'userId'>;
  /** Lines that were written, and refusals that were not. */
  written: number;
  leftOut: number;
}

export class RefusalLimit implements Audit {
  readonly #audit: Audit;
  readonly #clock: Clock;
  readonly #limits: RefusalLimits;
  /** Of this stretch: at most `ofAll` of them, for each has a line. */
  readonly #counts = new Map<string, Count>();
  #written = 0;
  /** Of those who came when all lines of the stretch had been written. */
  #leftOutOfOthers = 0;
  #stretch: CancelTimer | null = null;

  constructor(audit: Audit, clock: Clock, limits: RefusalLimits = REFUSAL_LIMITS) {
    this.#audit = audit;
    this.#clock = clock;
    this.#limits = limits;
  }

  write(event: AuditEvent, facts: AuditFacts): void {
    if (event !== 'refused' || this.#hasRoom(facts)) this.#audit.write(event, facts);
  }

  check(): void {
    this.#audit.check();
  }

  /** Writes what was left out so far. */
  flush(): void {
    this.#stretch?.();
    this.#stretch = null;
    for (const { from, leftOut } of this.#counts.values()) if (leftOut > 0) this.#audit.write('refused', { ...from, leftOut });
    if (this.#leftOutOfOthers > 0) this.#audit.write('refused', { leftOut: this.#leftOutOfOthers });
    this.#counts.clear();
    this.#written = 0;
    this.#leftOutOfOthers = 0;
  }

  #hasRoom({ proxy, clientAddress, userId }: AuditFacts): boolean {
    this.#stretch ??= this.#clock.after(this.#limits.stretchMs, () => this.flush());
    const key = clientAddress === undefined ? `user ${userId ?? ''}` : `address ${clientAddress}`;
    const isFull = this.#written >= this.#limits.ofAll;
    const count = this.#counts.get(key);
    if (count !== undefined && (isFull || count.written >= this.#limits.ofEach)) {
      count.leftOut += 1;
      return false;
    }
    if (isFull) {
      this.#leftOutOfOthers += 1;
      return false;
    }
    this.#written += 1;
    if (count === undefined) this.#counts.set(key, { from: clientAddress === undefined ? { userId } : { proxy, clientAddress }, written: 1, leftOut: 0 });
    else count.written += 1;
    return true;
  }
}
