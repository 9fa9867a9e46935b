/**
 * When proxies could last renew their leases here. While they cannot (this process was not there or stood still, its broker
 * or its database is away) no lease counts as run out, and afterwards none does for as long as one lease lasts, so that
 * every proxy gets its turn. Looked at once a second by doing what a renewal needs: a request through this server's own
 * queue, and a query.
 */
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';

/** Proxies renew at half of a lease and ask again each second when they failed: shorter gaps cost nobody a lease. */
const TOLERANCE_SHARE = 1 / 4;
const TOLERANCE_MS_MIN = 2_000;
const TOLERANCE_MS_MAX = 5_000;

export class Outages {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #leaseMs: number;
  readonly #toleranceMs: number;
  #graceUntilMs: number;
  #lastGoodMs: number;
  #hasFailed = false;
  /** Of the look that is under way, by the machine's steady clock: a look that hangs is an outage too. */
  #lookingSince: number | null = null;

  constructor(leaseSeconds: number, clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
    this.#leaseMs = leaseSeconds * 1_000;
    this.#toleranceMs = Math.min(Math.max(this.#leaseMs * TOLERANCE_SHARE, TOLERANCE_MS_MIN), TOLERANCE_MS_MAX);
    // Before this start nobody could renew here.
    this.#lastGoodMs = clock.now().getTime();
    this.#graceUntilMs = this.#lastGoodMs + this.#leaseMs;
  }

  /** True while a lease whose time is over may be so because its proxy could not renew it. */
  excuse(now: Date): boolean {
    return now.getTime() < this.#graceUntilMs || this.#isAway(now.getTime());
  }

  /**
   * One look, about once a second.
   * @throws what `check` throws; whether it is an outage already, `excuse` says
   */
  async look(check: () => Promise<void>): Promise<void> {
    // This process may have stood still since the last look.
    const wasAway = this.#isAway(this.#clock.now().getTime());
    const since = performance.now();
    this.#lookingSince = since;
    try {
      await check();
      this.#worked(wasAway || performance.now() - since > this.#toleranceMs);
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    } finally {
      this.#lookingSince = null;
    }
  }

  #worked(wasAway: boolean): void {
    const now = this.#clock.now().getTime();
    if (wasAway) {
      this.#graceUntilMs = now + this.#leaseMs;
      this.#log.info({ awayMs: now - this.#lastGoodMs, graceMs: this.#leaseMs }, 'leases could not be renewed for a while; for one lease none counts as run out');
    }
    this.#lastGoodMs = now;
    this.#hasFailed = false;
  }

  #isAway(nowMs: number): boolean {
    // A look under way is judged by how long it takes, not by when the one before it was.
    if (this.#lookingSince !== null && !this.#hasFailed) return performance.now() - this.#lookingSince > this.#toleranceMs;
    return nowMs - this.#lastGoodMs > this.#toleranceMs;
  }
}
