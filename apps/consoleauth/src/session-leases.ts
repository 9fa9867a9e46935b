/**
 * A session lives while its proxy renews its lease. What this file knows and nothing else: when a lease counts as
 * run out. After consoleauth itself was away nobody could renew, so for one lease from its start none has.
 */
import type { CellDb, CellStores } from '@gatehouse/cell-db/cell-db';
import type { StoredSession } from '@gatehouse/cell-db/console-session-row';
import type { ConsoleSessionUse } from '@gatehouse/objects/console-session-use';
import type { Clock } from '@gatehouse/runtime/clock';
import type { ReachedConnection } from './historic-tokens.ts';

const SWEEP_ROWS_MAX = 1_000;
const DAY_MS = 86_400_000;
/** How long ended sessions, and services that report no more, are remembered. */
const ENDED_KEPT_MS = 30 * DAY_MS;
const SERVICES_KEPT_MS = 7 * DAY_MS;

export class SessionLeases {
  readonly #db: CellDb;
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #graceUntil: Date;

  constructor(db: CellDb, clock: Clock, leaseSeconds: number) {
    this.#db = db;
    this.#clock = clock;
    this.#leaseMs = leaseSeconds * 1_000;
    this.#graceUntil = this.from(clock.now());
  }

  /** When a lease granted now runs out. */
  from(now: Date): Date {
    return new Date(now.getTime() + this.#leaseMs);
  }

  /** The open sessions of an instance whose lease holds. */
  async listLive(stores: CellStores, instanceUuid: string, now: Date): Promise<readonly StoredSession[]> {
    const open = await stores.consoleSessions.listOpenByInstance(instanceUuid);
    return open.filter((session) => !this.#hasRunOut(session, now));
  }

  /** The live session that holds an exclusive connection; one whose lease has run out is ended on the way. */
  async holderOf({ consoleSessions, consoleSessionEnds }: CellStores, { id, host, port }: ReachedConnection, now: Date): Promise<StoredSession | null> {
    const holder = id === null ? await consoleSessions.findOpenForAddress(host, port) : await consoleSessions.findOpenForConnection(id);
    if (holder === null || !this.#hasRunOut(holder, now)) return holder;
    await consoleSessionEnds.close(holder.id, { reason: 'lease_lost', at: now });
    return null;
  }

  /** @returns session id to the reason, for those that must end or have ended */
  async renew(proxy: string, sessions: readonly ConsoleSessionUse[]): Promise<Readonly<Record<string, string>>> {
    const renewals = await this.#db.consoleSessions.renew(proxy, sessions, this.from(this.#clock.now()));
    const known = new Map(renewals.map((renewal) => [renewal.id, renewal]));
    return Object.fromEntries(
      sessions.flatMap(({ id }) => {
        const renewal = known.get(id.toLowerCase());
        if (renewal === undefined) return [[id, 'lease_lost']];
        return renewal.isOpen && renewal.reason === null ? [] : [[id, renewal.reason ?? 'lease_lost']];
      }),
    );
  }

  /** The proxy says that a session is over. One that another proxy or another connect carries on is left alone. */
  async release(proxy: string, { id, bytesIn, bytesOut, claim }: ConsoleSessionUse, reason: string): Promise<void> {
    await this.#db.consoleSessionEnds.close(id, { reason, bytesIn, bytesOut, proxy, claim, at: this.#clock.now() });
  }

  /** Removes one batch of expired tokens and dead sessions, of one host or of all. @returns how many rows */
  async sweep(host: string | null): Promise<number> {
    const now = this.#clock.now();
    const tokens = await this.#db.consoleTokens.deleteExpired(now, SWEEP_ROWS_MAX, host);
    if (now < this.#graceUntil) return tokens;
    const sessions = await this.#db.consoleSessionEnds.closeExpired(now, 'lease_lost', SWEEP_ROWS_MAX, host);
    return tokens + sessions.length;
  }

  /** What nobody else looks after: sessions of instances deleted while this was away, and what is too old to keep. */
  async tidy(): Promise<void> {
    const now = this.#clock.now();
    await this.sweep(null);
    await this.#db.consoleSessionEnds.markOfDeleted('instance_deleted', now, SWEEP_ROWS_MAX);
    await this.#db.consoleSessionEnds.deleteEnded(new Date(now.getTime() - ENDED_KEPT_MS), SWEEP_ROWS_MAX);
    await this.#db.services.deleteUnseen(new Date(now.getTime() - SERVICES_KEPT_MS));
  }

  #hasRunOut(session: StoredSession, now: Date): boolean {
    return session.leaseExpires <= now && now >= this.#graceUntil;
  }
}
