/**
 * How rows of console_sessions end: first somebody asks for it (`ending_at`), then it is so (`ended_at`), and some time
 * later the row goes. Each change writes its event in the same statement, so that no end is without one. Written by consoleauth.
 *
 * Statements that wait for several rows take them in the order of their ids, so that two of them never wait for each other.
 */
import { IS_OPEN, SESSION_COLUMNS, sessionOfRow, whereOf } from './console-session-row.ts';
import type { SessionFilter, StoredSession } from './console-session-row.ts';
import { Prisma } from './generated/client.ts';
import type { ConsoleSessionRow } from './generated/client.ts';
import type { SqlClient } from './sql-client.ts';

export interface SessionEnd {
  /** For a session that was not to end for another reason before. */
  readonly reason: string;
  readonly at: Date;
  readonly bytesIn?: number;
  readonly bytesOut?: number;
  /** Only while this proxy carries it. */
  readonly proxy?: string;
  /** Only while this connect of it counts. */
  readonly claim?: string | undefined;
}

export class ConsoleSessionEndsStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
    this.#client = client;
  }

  /**
   * Notes that at most `limit` open sessions must end, and why; the first reason stays.
   * @returns those that were not to end before
   */
  mark(filter: SessionFilter, reason: string, at: Date, limit: number): Promise<readonly StoredSession[]> {
    return this.#mark(Prisma.sql`
      SELECT id FROM console_sessions WHERE ${whereOf(filter)} AND ended_at IS NULL AND ending_at IS NULL
      ORDER BY id LIMIT ${limit}::integer FOR UPDATE`, reason, at);
  }

  /** The same for sessions of instances that are deleted. */
  markOfDeleted(reason: string, at: Date, limit: number): Promise<readonly StoredSession[]> {
    return this.#mark(Prisma.sql`
      SELECT s.id FROM console_sessions AS s JOIN instances AS i ON i.uuid = s.instance_uuid
      WHERE s.ended_at IS NULL AND s.ending_at IS NULL AND i.deleted_at IS NOT NULL
      ORDER BY s.id LIMIT ${limit}::integer FOR UPDATE OF s`, reason, at);
  }

  /** @returns the session as it ended; null when it had ended before, is not known, or is not that connect's to end */
  async close(id: string, end: SessionEnd): Promise<StoredSession | null> {
    const ofProxy = end.proxy === undefined ? Prisma.empty : Prisma.sql`AND proxy = ${end.proxy}::text`;
    const ofClaim = end.claim === undefined ? Prisma.empty : Prisma.sql`AND coalesce(claim, ${end.claim}::uuid) = ${end.claim}::uuid`;
    const [ended] = await this.#end(Prisma.sql`
      SELECT id FROM console_sessions WHERE id = ${id}::uuid AND ${IS_OPEN} ${ofProxy} ${ofClaim} FOR UPDATE`, end);
    return ended ?? null;
  }

  /**
   * Ends at most `limit` sessions whose lease ran out at or before `now`, of one host or of all: for the reason
   * they were to end for, or else for `reason`. Rows that another sweep holds are left to it.
   * @returns the sessions it ended
   */
  closeExpired(now: Date, reason: string, limit: number, host: string | null = null): Promise<readonly StoredSession[]> {
    return this.#end(Prisma.sql`
      SELECT id FROM console_sessions
      WHERE ended_at IS NULL AND lease_expires <= ${now}::timestamp(3) AND (${host}::text IS NULL OR host = ${host}::text)
      ORDER BY lease_expires LIMIT ${limit}::integer FOR UPDATE SKIP LOCKED`, { reason, at: now });
  }

  /** Forgets at most `limit` sessions that ended at or before `before`. */
  async deleteEnded(before: Date, limit: number): Promise<number> {
    return this.#client.$executeRaw`
      DELETE FROM console_sessions WHERE id IN (
        SELECT id FROM console_sessions WHERE ended_at <= ${before}::timestamp(3) LIMIT ${limit}::integer FOR UPDATE SKIP LOCKED)`;
  }

  async #mark(ids: Prisma.Sql, reason: string, at: Date): Promise<readonly StoredSession[]> {
    const rows = await this.#client.$queryRaw<readonly ConsoleSessionRow[]>`
      WITH marked AS (
        UPDATE console_sessions SET ending_at = ${at}::timestamp(3), ending_reason = ${reason}::text WHERE id IN (${ids}) RETURNING *
      ), told AS (
        INSERT INTO console_session_events (at, kind, reason, session_id) SELECT ending_at, 'ending', ending_reason, id FROM marked
      )
      SELECT ${SESSION_COLUMNS} FROM marked`;
    return rows.map(sessionOfRow);
  }

  async #end(ids: Prisma.Sql, { reason, at, bytesIn = 0, bytesOut = 0 }: SessionEnd): Promise<readonly StoredSession[]> {
    const rows = await this.#client.$queryRaw<readonly ConsoleSessionRow[]>`
      WITH ended AS (
        UPDATE console_sessions
        SET ended_at = ${at}::timestamp(3), end_reason = coalesce(ending_reason, ${reason}::text), attach_secret_hash = NULL, resume_hash = NULL,
          bytes_in = greatest(bytes_in, ${bytesIn}::bigint), bytes_out = greatest(bytes_out, ${bytesOut}::bigint)
        WHERE id IN (${ids}) RETURNING *
      ), told AS (
        INSERT INTO console_session_events (at, kind, reason, session_id) SELECT ended_at, 'ended', end_reason, id FROM ended
      )
      SELECT ${SESSION_COLUMNS} FROM ended`;
    return rows.map(sessionOfRow);
  }
}
