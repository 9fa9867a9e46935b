/**
 * console_session_events: what happened to sessions, for those who watch. A row is written in the transaction that
 * makes the change, so no change is without its event. Ids are given out before transactions commit: whoever read in
 * their order would pass over a row that commits late. So rows are read in the order of (transaction, id), and only those
 * whose transaction is older than every one that still runs; what has been read up to a position stays complete.
 *
 * (A write transaction that stays open, of whichever database of the server, holds the readers up; ours end within seconds.)
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { SessionEventKind } from '@gatehouse/objects/console-session-event';
import type { ConsoleSessionEventRow } from './generated/client.ts';
import type { SqlClient } from './sql-client.ts';

export interface NewSessionEvent {
  readonly kind: SessionEventKind;
  readonly sessionId: string;
  readonly at: Date;
  /** Why it ends or has ended; null for the other kinds. */
  readonly reason: string | null;
}

/** A place between events: behind the event (xact, id), or behind all of the transactions before `xact` where id is 0. */
export interface EventPosition {
  readonly xact: bigint;
  readonly id: bigint;
}

export interface StoredSessionEvent extends NewSessionEvent {
  readonly position: EventPosition;
}

export interface EventsPage {
  readonly events: readonly StoredSessionEvent[];
  /** Where to go on from. */
  readonly end: EventPosition;
  /** Everything that can be read now has been. */
  readonly isLast: boolean;
}

export class ConsoleSessionEventsStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
    this.#client = client;
  }

  /** In the transaction that makes the change. */
  async add(events: readonly NewSessionEvent[]): Promise<void> {
    if (events.length === 0) return;
    await this.#client.$executeRaw`
      INSERT INTO console_session_events (at, kind, reason, session_id)
      SELECT e.at, e.kind, e.reason, e."sessionId"
      FROM jsonb_to_recordset(${JSON.stringify(events)}::jsonb) AS e (at timestamp(3), kind text, reason text, "sessionId" uuid)`;
  }

  /**
   * At most `limit` events behind a position, in order.
   * @throws ServiceError INVALID_ARGUMENT: this database has not come to that position yet; it was another's
   */
  async listAfter({ xact, id }: EventPosition, limit: number): Promise<EventsPage> {
    const rows = await this.#client.$queryRaw<readonly (Partial<ConsoleSessionEventRow> & { readonly before: bigint })[]>`
      WITH readable AS (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS before)
      SELECT readable.before, e.id, e.xact, e.at, e.kind, e.reason, e.session_id::text AS "sessionId"
      FROM readable LEFT JOIN console_session_events AS e
        ON (e.xact, e.id) > (${xact}::bigint, ${id}::bigint) AND e.xact < readable.before
      ORDER BY e.xact, e.id LIMIT ${limit}::integer`;
    const before = rows[0]?.before ?? xact;
    const events = rows.flatMap((row) => (isWhole(row) ? [eventOfRow(row)] : []));
    if (events.length === limit) return { events, end: events.at(-1)?.position ?? { xact, id }, isLast: false };
    if (before < xact) throw new ServiceError('INVALID_ARGUMENT', 'the events of this database have not come to that place yet; it was told by another');
    return { events, end: before > xact ? { xact: before, id: 0n } : { xact, id }, isLast: true };
  }

  /** The place behind everything that can be read now. */
  async newest(): Promise<EventPosition> {
    const [row] = await this.#client.$queryRaw<readonly { readonly before: bigint }[]>`
      SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS before`;
    return { xact: row?.before ?? 0n, id: 0n };
  }

  /** Forgets at most `limit` events from before `before`. Rows that another holds are left to it. @returns how many */
  async deleteBefore(before: Date, limit: number): Promise<number> {
    return this.#client.$executeRaw`
      DELETE FROM console_session_events WHERE id IN (
        SELECT id FROM console_session_events WHERE at < ${before}::timestamp(3) ORDER BY at LIMIT ${limit}::integer FOR UPDATE SKIP LOCKED)`;
  }
}

function isWhole(row: Partial<ConsoleSessionEventRow>): row is ConsoleSessionEventRow {
  return row.id != null;
}

function eventOfRow({ id, xact, at, kind, reason, sessionId }: ConsoleSessionEventRow): StoredSessionEvent {
  return Object.freeze({ kind: kind as SessionEventKind, sessionId, at, reason, position: { xact, id } });
}
