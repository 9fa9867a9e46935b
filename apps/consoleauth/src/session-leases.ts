/**
 * A session lives while its proxy renews its lease. What this file knows and nothing else: when a lease counts as
 * run out. While nobody could renew (see outages.ts) none has.
 */
import type { CellDb, ConsoleStores } from '@gatehouse/cell-db/cell-db';
import type { StoredSession } from '@gatehouse/cell-db/console-session-row';
import type { ConsoleSessionUse } from '@gatehouse/objects/console-session-use';
import type { Audit } from '@gatehouse/runtime/audit';
import type { Clock } from '@gatehouse/runtime/clock';
import type { ReachedConnection } from './historic-tokens.ts';
import type { Outages } from './outages.ts';
import { auditEnds } from './session-audit.ts';

/** Who holds an exclusive connection. */
export interface Holder {
  readonly session: StoredSession | null;
  /** Whose lease had run out, and who was ended on the way; `noteEnds` once that is stored. */
  readonly ended: readonly StoredSession[];
}

export class SessionLeases {
  readonly #db: CellDb;
  readonly #outages: Outages;
  readonly #audit: Audit;
  readonly #clock: Clock;
  readonly #leaseMs: number;

  constructor(db: CellDb, outages: Outages, audit: Audit, clock: Clock, leaseSeconds: number) {
    this.#db = db;
    this.#outages = outages;
    this.#audit = audit;
    this.#clock = clock;
    this.#leaseMs = leaseSeconds * 1_000;
  }

  /** When a lease granted now runs out. */
  from(now: Date): Date {
    return new Date(now.getTime() + this.#leaseMs);
  }

  hasRunOut({ leaseExpires }: StoredSession, now: Date): boolean {
    return leaseExpires <= this.liveAfter(now);
  }

  /** Open sessions whose lease ends later than this are live. */
  liveAfter(now: Date): Date {
    return this.#outages.excuse(now) ? new Date(0) : now;
  }

  /** The open sessions of an instance whose lease holds. */
  async listLive(stores: ConsoleStores, instanceUuid: string, now: Date): Promise<readonly StoredSession[]> {
    const open = await stores.consoleSessions.listOpenByInstance(instanceUuid);
    return open.filter((session) => !this.hasRunOut(session, now));
  }

  /** The live session that holds an exclusive connection; one whose lease has run out is ended on the way. */
  async holderOf(stores: ConsoleStores, { id, instanceUuid, host, port }: ReachedConnection, now: Date): Promise<Holder> {
    const { consoleSessions, consoleSessionEnds } = stores;
    const session = id === null ? await consoleSessions.findOpenForAddress(host, port) : await consoleSessions.findOpenForConnection({ id, instanceUuid });
    if (session === null || !this.hasRunOut(session, now)) return { session, ended: [] };
    const ended = await consoleSessionEnds.close(session.id, { reason: 'lease_lost', at: now });
    return { session: null, ended: ended === null ? [] : [ended] };
  }

  /** Sessions have ended, and that is stored. */
  noteEnds(ended: readonly StoredSession[]): void {
    auditEnds(this.#audit, ended);
  }

  /** @returns session id to the reason, for those that must end or have ended */
  async renew(proxy: string, uses: readonly ConsoleSessionUse[]): Promise<Readonly<Record<string, string>>> {
    const leaseExpires = this.from(this.#clock.now());
    const renewals = await this.#db.consoleTransaction(({ consoleSessions }) => consoleSessions.renew(proxy, uses, leaseExpires));
    const known = new Map(renewals.map((renewal) => [renewal.id, renewal]));
    return Object.fromEntries(
      uses.flatMap(({ id }) => {
        const renewal = known.get(id.toLowerCase());
        if (renewal === undefined) return [[id, 'lease_lost']];
        return renewal.isOpen && renewal.reason === null ? [] : [[id, renewal.reason ?? 'lease_lost']];
      }),
    );
  }

  /** The proxy says that a session is over. One that another proxy or another connect carries on is left alone. */
  async release(proxy: string, { id, bytesIn, bytesOut, claim }: ConsoleSessionUse, reason: string): Promise<void> {
    const ended = await this.#db.consoleSessionEnds.close(id, { reason, bytesIn, bytesOut, proxy, claim, at: this.#clock.now() });
    if (ended !== null) this.noteEnds([ended]);
  }

  /** Ends one batch of the sessions whose lease has run out, of one host or of all. @returns how many */
  async endRunOut(limit: number, host: string | null = null): Promise<number> {
    const now = this.#clock.now();
    if (this.#outages.excuse(now)) return 0;
    const ended = await this.#db.consoleSessionEnds.closeExpired(now, 'lease_lost', limit, host);
    this.noteEnds(ended);
    return ended.length;
  }
}
