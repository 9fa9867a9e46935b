/**
 * What a proxy writes down of its clients: lines for people, counts of who was let in, turned away and why it ended,
 * and an audit line for whom it turned away itself. What consoleauth decides, consoleauth audits.
 */
import { seldom } from '@gatehouse/console-stream/seldom';
import { END_REASONS } from '@gatehouse/errors/endings';
import { isServiceError, type ServiceError } from '@gatehouse/errors/service-error';
import type { Audit, AuditFacts } from '@gatehouse/runtime/audit';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import type { Metrics } from '@gatehouse/runtime/metrics';
import { RefusalCounts, type RefusalLimits } from '@gatehouse/runtime/refusal-counts';

export type VisitFacts = Pick<AuditFacts, 'requestId' | 'sessionId' | 'instanceUuid' | 'consoleType' | 'host' | 'port' | 'clientAddress' | 'userId' | 'projectId' | 'access'>;

/** Whoever floods us shall not flood the log. */
const CUTS_TOLD_EVERY_MS = 60_000;
/** Fewer than the audit has: what the log has been told of an address is not news again. */
const LOG_LIMITS: RefusalLimits = { stretchMs: 10_000, ofEach: 10, ofAll: 200 };

export class ProxyRecord {
  readonly log: Logger;
  readonly #proxyName: string;
  readonly #metrics: Metrics;
  readonly #audit: Audit;
  readonly #logged: RefusalCounts;
  readonly #tellDropped: () => void;
  #quietUntilMs = 0;

  constructor(proxyName: string, log: Logger, metrics: Metrics, audit: Audit, clock: Clock) {
    this.#proxyName = proxyName;
    this.log = log;
    this.#metrics = metrics;
    this.#audit = audit;
    this.#logged = new RefusalCounts(LOG_LIMITS, clock, ({ clientAddress, reason: code, host }, leftOut) => {
      log.warn({ clientAddress, host, code, leftOut }, 'more consoles were refused than have a line of their own');
    });
    this.#tellDropped = seldom((times) => log.warn({ times }, 'connections are closed as they come: there are as many as there may be'));
  }

  /** A client was turned away: after the upgrade, where a load balancer sees only success. */
  refused(error: ServiceError, facts: VisitFacts): void {
    const { code, message: problem } = error;
    this.#metrics.counter({ name: 'proxy_refusals_total', help: 'Clients turned away, by error code', labels: ['code'] }).inc({ code });
    if (this.#logged.admits({ clientAddress: facts.clientAddress, host: facts.host, reason: code })) this.#logRefusal(error, facts);
    // A client that left meanwhile was not turned away.
    if (code !== 'CANCELLED' && !isRemoteWord(error)) this.#audit.write('refused', { ...facts, proxy: this.#proxyName, reason: code, problem });
  }

  #logRefusal(error: ServiceError, facts: VisitFacts): void {
    const { code, message: problem } = error;
    if (code === 'INTERNAL') this.log.error({ ...facts, code, problem, err: error }, 'console not opened');
    else if (isServiceError(error.cause) || !(error.cause instanceof Error)) this.log.info({ ...facts, code, problem }, 'console refused');
    // The console's host did what its operator wants to know, and its user is not told.
    else this.log.warn({ ...facts, code, problem, detail: error.cause.message }, 'console refused');
  }

  /** Says in the log what of refusals it has left out so far. */
  flush(): void {
    this.#logged.flush();
  }

  /** A connection that was no console made room for a newer one, because its address (null: all together) had as many as it may. */
  cutWaiting(network: string | null): void {
    const bound = network === null ? 'all' : 'address';
    this.#metrics.counter({ name: 'proxy_connections_cut_total', help: 'Connections that were no console and made room for newer ones, by whose bound was reached', labels: ['bound'] }).inc({ bound });
    if (performance.now() < this.#quietUntilMs) return;
    this.#quietUntilMs = performance.now() + CUTS_TOLD_EVERY_MS;
    this.log.warn({ bound, network }, 'too many connections that are no console: the oldest are closed');
  }

  /** A connection was closed as it came, because there were as many as there may be. */
  dropped(): void {
    this.#metrics.counter({ name: 'proxy_connections_dropped_total', help: 'Connections closed as they came, because there were as many as there may be' }).inc();
    this.#tellDropped();
  }

  /** Somebody said whose connection it is, and nobody had asked. */
  unaskedPeer(peer: string): void {
    if (!this.#logged.admits({ clientAddress: peer, reason: 'PROXY_HEADER' })) return;
    this.log.warn({ peer }, 'a connection began with a PROXY header, and was refused: if that is a balancer, GATEHOUSE_PROXY_PROTOCOL_FROM does not name it');
  }

  /** A balancer that must say whose connection it opens did not. */
  unsaidPeer(balancer: string, why: string): void {
    if (!this.#logged.admits({ clientAddress: balancer, reason: 'PROXY_HEADER' })) return;
    this.log.warn({ balancer, why }, 'a connection was closed, because it did not begin with a PROXY header as all do from GATEHOUSE_PROXY_PROTOCOL_FROM');
  }

  opened(facts: VisitFacts): void {
    this.#metrics.counter({ name: 'proxy_sessions_opened_total', help: 'Consoles opened' }).inc();
    this.log.info(facts, 'console open');
  }

  /** `reason` may be an operator's own words, which are one label together. */
  ended(reason: string, facts: VisitFacts & Pick<AuditFacts, 'bytesIn' | 'bytesOut'>): void {
    this.log.info({ ...facts, reason }, 'console closed');
    const known = END_REASONS.find((each) => each === reason) ?? 'other';
    this.#metrics.counter({ name: 'proxy_sessions_ended_total', help: 'Consoles that were open and ended, by reason', labels: ['reason'] }).inc({ reason: known });
  }
}

/** True for consoleauth's own word; false where it was not heard, or was not asked. */
export function isRemoteWord(error: ServiceError): boolean {
  return error.details['remoteClass'] !== undefined;
}
