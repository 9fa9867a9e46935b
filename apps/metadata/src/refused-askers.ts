/**
 * Those who were refused because they could not prove who they are: an address that is refused too often is not even looked
 * at any more until it has waited, so that guessing is slow; and of each address a few lines are logged, not all of them.
 */
import { isServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import type { RefusalLimits } from '@gatehouse/runtime/refusal-counts';
import { RefusalLimit } from '@gatehouse/runtime/refusal-limit';
import { RateLimit } from './rate-limit.ts';
import type { RateLimits } from './rate-limit.ts';

/** Of one address. Whoever proves who they are takes none of it. */
export const REFUSED_LIMITS: RateLimits = { perSecond: 10, burst: 100 };
const LOGGED: RefusalLimits = { stretchMs: 10_000, ofEach: 5, ofAll: 100 };

/** A wrong signature, an address of no network or of no instance, or of several. A header that is missing is no guess. */
const COUNTED: ReadonlySet<ErrorCode> = new Set(['PERMISSION_DENIED', 'NOT_FOUND', 'FAILED_PRECONDITION']);

export class RefusedAskers {
  readonly #rates: RateLimit;
  readonly #lines: RefusalLimit;

  constructor(clock: Clock, log: Logger, limits: RateLimits = REFUSED_LIMITS) {
    this.#rates = new RateLimit(limits, clock);
    const lines = { write: (_event: string, facts: object) => log.warn(facts, 'who asks for metadata could not be told'), check() {} };
    this.#lines = new RefusalLimit(lines, clock, LOGGED);
  }

  /** @throws ServiceError RESOURCE_EXHAUSTED: this address was refused too often */
  admit(clientAddress: string): void {
    this.#rates.check(clientAddress);
  }

  note(clientAddress: string, instanceUuid: string | undefined, error: unknown): void {
    if (!isServiceError(error) || !COUNTED.has(error.code)) return;
    // Many may have been let in at once.
    try {
      this.#rates.take(clientAddress);
    } catch {
      // It is empty already.
    }
    this.#lines.write('refused', { clientAddress, instanceUuid, problem: error.message });
  }

  /** Logs how many were left out so far. */
  flush(): void {
    this.#lines.flush();
  }
}
