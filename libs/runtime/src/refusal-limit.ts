/**
 * A bound on the audit's lines about refusals (refusal-counts.ts). All other events are written whatever happens, for whoever
 * causes them has shown a token.
 */
import type { Audit, AuditEvent, AuditFacts } from './audit.ts';
import type { Clock } from './clock.ts';
import { RefusalCounts, type RefusalLimits } from './refusal-counts.ts';

export const REFUSAL_LIMITS: RefusalLimits = { stretchMs: 10_000, ofEach: 100, ofAll: 1_000 };

export class RefusalLimit implements Audit {
  readonly #audit: Audit;
  readonly #counts: RefusalCounts;

  constructor(audit: Audit, clock: Clock, limits: RefusalLimits = REFUSAL_LIMITS) {
    this.#audit = audit;
    this.#counts = new RefusalCounts(limits, clock, (source, leftOut) => this.#audit.write('refused', { ...source, leftOut }));
  }

  write(event: AuditEvent, facts: AuditFacts): void {
    if (event !== 'refused' || this.#hasRoom(facts)) this.#audit.write(event, facts);
  }

  check(): void {
    this.#audit.check();
  }

  /** Writes what was left out so far. */
  flush(): void {
    this.#counts.flush();
  }

  #hasRoom({ proxy, clientAddress, userId, reason }: AuditFacts): boolean {
    return this.#counts.admits(clientAddress === undefined ? { userId, reason } : { proxy, clientAddress, reason });
  }
}
