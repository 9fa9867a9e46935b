/**
 * Takes away what is over, in batches and with pauses between them, so that whoever connects meanwhile does not feel it.
 * Sessions whose lease has run out are ended within a second or two, wherever they are, because lists must tell the
 * truth. Rows that only take space are each agent's to have removed, for its own host; those of hosts whose agent is gone,
 * and what belongs to no host, are removed here.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { Clock } from '@gatehouse/runtime/clock';
import type { SessionLeases } from './session-leases.ts';

const ROWS_MAX = 1_000;
/** Of one call or round; what is left then waits for the next. */
const WORK_MS_MAX = 5_000;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** An agent reports every few seconds; after this silence others clear up behind it. */
const AGENT_GONE_MS = MINUTE_MS;
/** A host that is gone for so long gets its consoles registered anew if it ever comes back. */
const HOST_GONE_MS = 3 * DAY_MS;
/** How long ended sessions, what happened to sessions, and services that report no more are remembered. */
const ENDED_KEPT_MS = 30 * DAY_MS;
export const EVENTS_KEPT_MS = DAY_MS;
const SERVICES_KEPT_MS = 7 * DAY_MS;
/** Whoever reads events from a place that is just not too old must still find them. */
const EVENTS_SPARE_MS = 60 * MINUTE_MS;

export class Sweeps {
  readonly #db: CellDb;
  readonly #leases: SessionLeases;
  readonly #clock: Clock;

  constructor(db: CellDb, leases: SessionLeases, clock: Clock) {
    this.#db = db;
    this.#leases = leases;
    this.#clock = clock;
  }

  /** For the agent of a host: its expired tokens and dead sessions, as many as can be removed in some seconds. @returns how many rows */
  async sweep(host: string): Promise<number> {
    const ended = await inBatches(() => this.#leases.endRunOut(ROWS_MAX, host));
    return ended + (await this.#deleteTokens(host));
  }

  /** About once a second. */
  async endRunOut(): Promise<void> {
    await inBatches(() => this.#leases.endRunOut(ROWS_MAX));
  }

  /** Now and then: what nobody else looks after. */
  async tidy(): Promise<void> {
    const { consoleSessionEnds, consoleSessionEvents, services } = this.#db;
    const now = this.#clock.now();
    // Instances that were deleted while this was not there; their proxies hear of it at the next renewal.
    await inBatches(async () => (await consoleSessionEnds.markOfDeleted('instance_deleted', now, ROWS_MAX)).length);
    await inBatches(() => consoleSessionEvents.deleteBefore(before(now, EVENTS_KEPT_MS + EVENTS_SPARE_MS), ROWS_MAX));
    await inBatches(() => consoleSessionEnds.deleteEnded(before(now, ENDED_KEPT_MS), ROWS_MAX));
    for (const host of await services.listHostsOfTokensWithout('compute', before(now, AGENT_GONE_MS))) await this.#deleteTokens(host);
    for (const host of await services.listHostsOfConnectionsWithout('compute', before(now, HOST_GONE_MS))) await this.#deleteConnections(host, now);
    await services.deleteUnseen(before(now, SERVICES_KEPT_MS));
  }

  #deleteTokens(host: string): Promise<number> {
    return inBatches(() => this.#db.consoleTokens.deleteExpired(this.#clock.now(), ROWS_MAX, host));
  }

  #deleteConnections(host: string, now: Date): Promise<number> {
    return inBatches(() => this.#db.consoleConnections.deleteForHost(host, before(now, HOST_GONE_MS), ROWS_MAX));
  }
}

/** Until a batch is not full or the time is over; each pause is as long as the batch before it took. */
async function inBatches(batch: () => Promise<number>): Promise<number> {
  const started = performance.now();
  for (let total = 0; ; ) {
    const began = performance.now();
    const count = await batch();
    const now = performance.now();
    total += count;
    if (count < ROWS_MAX || now - started > WORK_MS_MAX) return total;
    await pause(now - began);
  }
}

function before(now: Date, ms: number): Date {
  return new Date(now.getTime() - ms);
}
