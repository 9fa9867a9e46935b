/** What a proxy writes down of its clients: lines for people, and counts of who was let in, turned away and why it ended. */
import { END_REASONS } from '@gatehouse/errors/endings';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import type { Logger } from '@gatehouse/runtime/logger';
import type { Metrics } from '@gatehouse/runtime/metrics';

export class ProxyRecord {
  readonly log: Logger;
  readonly #metrics: Metrics;

  constructor(log: Logger, metrics: Metrics) {
    this.log = log;
    this.#metrics = metrics;
  }

  /** A client was turned away: after the upgrade, where a load balancer sees only success. */
  refused(code: ErrorCode): void {
    this.#metrics.counter({ name: 'proxy_refusals_total', help: 'Clients turned away, by error code', labels: ['code'] }).inc({ code });
  }

  opened(): void {
    this.#metrics.counter({ name: 'proxy_sessions_opened_total', help: 'Consoles opened' }).inc();
  }

  /** `reason` may be an operator's own words, which are one label together. */
  ended(reason: string): void {
    const known = END_REASONS.find((each) => each === reason) ?? 'other';
    this.#metrics.counter({ name: 'proxy_sessions_ended_total', help: 'Consoles that were open and ended, by reason', labels: ['reason'] }).inc({ reason: known });
  }
}
