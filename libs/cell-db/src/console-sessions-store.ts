/**
 * console_sessions: each use of a console by a client. Open while endedAt is null; the database itself keeps an
 * exclusive connection to one open session (a partial unique index), whoever races. Written by consoleauth.
 */
import type { Access, ConsoleSession } from '@gatehouse/objects/console-session';
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { CellClient } from './cell-client.ts';
import type { ConsoleSessionRow, Prisma } from './generated/client.ts';

export interface NewSession {
  readonly id: string;
  /** Which connect of the session counts, by the id that its proxy chose for it; at first the session's own. */
  readonly claim: string | null;
  readonly connectionId: number | null;
  readonly exclusive: boolean;
  readonly instanceUuid: string;
  readonly host: string;
  readonly port: number;
  readonly consoleType: ConsoleType;
  readonly proxy: string;
  readonly clientAddress: string;
  readonly userId: string | null;
  readonly projectId: string | null;
  readonly access: Access;
  /** Hex digests, never the secrets. */
  readonly attachSecretHash: string | null;
  readonly resumeHash: string | null;
  readonly startedAt: Date;
  readonly leaseExpires: Date;
}

export interface StoredSession extends NewSession {
  /** Somebody asked for its end, for this reason; it has not ended yet. */
  readonly endingAt: Date | null;
  readonly endingReason: string | null;
  readonly endedAt: Date | null;
  readonly endReason: string | null;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** The connect that carries a session on. */
export type Takeover = Pick<NewSession, 'claim' | 'proxy' | 'clientAddress' | 'attachSecretHash' | 'leaseExpires'>;

export interface SessionFilter {
  readonly ids?: readonly string[];
  readonly connectionId?: number;
  readonly instanceUuid?: string;
  readonly host?: string;
  readonly proxy?: string;
  readonly userId?: string;
  readonly projectId?: string;
}

export interface SessionBytes {
  readonly id: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** What a proxy must know of a session it asked to renew. */
export interface Renewal {
  readonly id: string;
  /** False: it has ended, for `reason`; a session that was never known is not listed. */
  readonly isOpen: boolean;
  /** Why it ended, or why it must end now; null: carry on. */
  readonly reason: string | null;
}

/** Sessions in one renewal or one list, unless a smaller limit is given. */
const SESSIONS_MAX = 10_000;
/** Looks at a port whose holders come and go. */
const OPEN_ATTEMPTS = 3;

export class ConsoleSessionsStore {
  readonly #client: CellClient;

  constructor(client: CellClient) {
    this.#client = client;
  }

  /**
   * Records the session as open. The transaction lives on after a refusal.
   * @throws ServiceError PORT_IN_USE: the connection (or the address, where there is none) is exclusive and has an open
   * session (details.startedAt, details.sessionId)
   * @throws ServiceError ALREADY_EXISTS: this id is known
   */
  async open(session: NewSession): Promise<StoredSession> {
    for (let attempt = 1; attempt <= OPEN_ATTEMPTS; attempt += 1) {
      // ON CONFLICT DO NOTHING: waits for a racing transaction, then makes no row instead of aborting this one.
      const [made] = await this.#client.consoleSessionRow.createManyAndReturn({ data: [session], skipDuplicates: true });
      if (made !== undefined) return sessionOfRow(made);
      if ((await this.find(session.id)) !== null) throw new ServiceError('ALREADY_EXISTS', `the console session ${session.id} exists already`);
      const { connectionId, host, port } = session;
      const holder = connectionId === null ? await this.findOpenForAddress(host, port) : await this.findOpenForConnection(connectionId);
      if (holder !== null) throw inUse(holder);
      // Its holder ended between the two looks.
    }
    throw new ServiceError('UNAVAILABLE', 'this console changes hands too fast; try again');
  }

  /** The open session that a resume grant with this hash belongs to. */
  async findOpenByResumeHash(resumeHash: string): Promise<StoredSession | null> {
    const row = await this.#client.consoleSessionRow.findFirst({ where: { resumeHash, endedAt: null } });
    return row && sessionOfRow(row);
  }

  /** Gives the session to another connect, whose attach secret alone counts from now on. @returns null when it has ended or is to end */
  async takeOver(id: string, takeover: Takeover): Promise<StoredSession | null> {
    const rows = await this.#client.consoleSessionRow.updateManyAndReturn({ where: { id, endedAt: null, endingAt: null }, data: takeover });
    return rows[0] === undefined ? null : sessionOfRow(rows[0]);
  }

  async find(id: string): Promise<StoredSession | null> {
    const row = await this.#client.consoleSessionRow.findUnique({ where: { id } });
    return row && sessionOfRow(row);
  }

  /** @throws ServiceError NOT_FOUND */
  async get(id: string): Promise<StoredSession> {
    const found = await this.find(id);
    if (found === null) throw new ServiceError('NOT_FOUND', `there is no console session ${id}`);
    return found;
  }

  /** The open exclusive session of a connection, or else its oldest open one. */
  findOpenForConnection(connectionId: number): Promise<StoredSession | null> {
    return this.#findHolder({ connectionId });
  }

  /** The same for a console that has no connection here, only an address. */
  findOpenForAddress(host: string, port: number): Promise<StoredSession | null> {
    return this.#findHolder({ connectionId: null, host, port });
  }

  /** Oldest first; at most `limit` (10,000 unless given). */
  async listOpen(filter: SessionFilter, limit = SESSIONS_MAX): Promise<readonly StoredSession[]> {
    const rows = await this.#client.consoleSessionRow.findMany({
      where: whereOpen(filter),
      orderBy: [{ startedAt: 'asc' }, { id: 'asc' }],
      take: limit,
    });
    return rows.map(sessionOfRow);
  }

  async listOpenByInstance(instanceUuid: string): Promise<readonly StoredSession[]> {
    return this.listOpen({ instanceUuid });
  }

  async countOpen(filter: SessionFilter): Promise<number> {
    return this.#client.consoleSessionRow.count({ where: whereOpen(filter) });
  }

  /**
   * Moves the leases of the open sessions that `proxy` carries, and their byte counts, which only grow.
   * @throws ServiceError INVALID_ARGUMENT: more than 10,000 at once
   */
  async renew(proxy: string, sessions: readonly SessionBytes[], leaseExpires: Date): Promise<readonly Renewal[]> {
    if (sessions.length > SESSIONS_MAX) throw new ServiceError('INVALID_ARGUMENT', `at most ${SESSIONS_MAX} sessions are renewed at once`);
    if (sessions.length === 0) return [];
    const renewed = await this.#client.$queryRaw<readonly { id: string; reason: string | null }[]>`
      UPDATE console_sessions AS s
      SET lease_expires = ${leaseExpires}::timestamp(3), bytes_in = greatest(s.bytes_in, r."bytesIn"), bytes_out = greatest(s.bytes_out, r."bytesOut")
      FROM jsonb_to_recordset(${JSON.stringify(sessions)}::jsonb) AS r (id uuid, "bytesIn" bigint, "bytesOut" bigint)
      WHERE s.id = r.id AND s.proxy = ${proxy} AND s.ended_at IS NULL
      RETURNING s.id::text AS id, s.ending_reason AS reason`;
    const open = new Set(renewed.map(({ id }) => id));
    const missing = sessions.map(({ id }) => id.toLowerCase()).filter((id) => !open.has(id));
    const ended = missing.length === 0 ? [] : await this.#client.consoleSessionRow.findMany({
      where: { id: { in: missing }, proxy, endedAt: { not: null } },
      select: { id: true, endReason: true },
    });
    return [
      ...renewed.map(({ id, reason }) => ({ id, isOpen: true, reason })),
      ...ended.map(({ id, endReason }) => ({ id, isOpen: false, reason: endReason })),
    ];
  }

  /**
   * Notes that these open sessions must end, and why; the first reason stays.
   * @returns all open sessions the filter names, with their reason
   */
  async markEnding(filter: SessionFilter, reason: string, at: Date): Promise<readonly StoredSession[]> {
    await this.#client.consoleSessionRow.updateMany({
      where: { ...whereOpen(filter), endingAt: null },
      data: { endingAt: at, endingReason: reason },
    });
    return this.listOpen(filter);
  }

  /** Notes that at most `limit` open sessions of instances that are deleted must end. @returns how many */
  async markEndingOfDeleted(reason: string, at: Date, limit: number): Promise<number> {
    return this.#client.$executeRaw`
      UPDATE console_sessions SET ending_at = ${at}::timestamp(3), ending_reason = ${reason}
      WHERE id IN (
        SELECT s.id FROM console_sessions AS s JOIN instances AS i ON i.uuid = s.instance_uuid
        WHERE s.ended_at IS NULL AND s.ending_at IS NULL AND i.deleted_at IS NOT NULL LIMIT ${limit}::integer)`;
  }

  /** @returns the session as it ended; null when it had ended before or is not known */
  async close(id: string, end: { readonly reason: string; readonly bytesIn?: number; readonly bytesOut?: number; readonly at: Date }): Promise<StoredSession | null> {
    const rows = await this.#client.consoleSessionRow.updateManyAndReturn({
      where: { id, endedAt: null },
      data: {
        endedAt: end.at,
        endReason: end.reason,
        attachSecretHash: null,
        resumeHash: null,
        ...(end.bytesIn === undefined ? {} : { bytesIn: end.bytesIn }),
        ...(end.bytesOut === undefined ? {} : { bytesOut: end.bytesOut }),
      },
    });
    return rows[0] === undefined ? null : sessionOfRow(rows[0]);
  }

  /**
   * Ends at most `limit` sessions whose lease ran out at or before `now`, of one host or of all: for the reason
   * they were to end for, or else for `reason`. Rows that another sweep holds are left to it.
   * @returns the sessions it ended
   */
  async closeExpired(now: Date, reason: string, limit: number, host: string | null = null): Promise<readonly StoredSession[]> {
    const ended = await this.#client.$queryRaw<readonly { id: string }[]>`
      UPDATE console_sessions
      SET ended_at = ${now}::timestamp(3), end_reason = coalesce(ending_reason, ${reason}::text), attach_secret_hash = NULL, resume_hash = NULL
      WHERE id IN (
        SELECT id FROM console_sessions
        WHERE ended_at IS NULL AND lease_expires <= ${now}::timestamp(3) AND (${host}::text IS NULL OR host = ${host}::text)
        ORDER BY lease_expires LIMIT ${limit}::integer FOR UPDATE SKIP LOCKED)
      RETURNING id::text AS id`;
    if (ended.length === 0) return [];
    const rows = await this.#client.consoleSessionRow.findMany({ where: { id: { in: ended.map(({ id }) => id) } } });
    return rows.map(sessionOfRow);
  }

  /** Gives an open session a new attach secret, for its next Attach. @returns false when it is not open */
  async replaceAttachSecret(id: string, attachSecretHash: string): Promise<boolean> {
    const { count } = await this.#client.consoleSessionRow.updateMany({ where: { id, endedAt: null }, data: { attachSecretHash } });
    return count === 1;
  }

  /** Spends the attach secret. @returns null when it is wrong, spent, of another host, or the session is not open */
  async useAttachSecret(id: string, attachSecretHash: string, host: string): Promise<StoredSession | null> {
    const rows = await this.#client.consoleSessionRow.updateManyAndReturn({
      where: { id, host, attachSecretHash, endedAt: null },
      data: { attachSecretHash: null },
    });
    return rows[0] === undefined ? null : sessionOfRow(rows[0]);
  }

  /** Forgets at most `limit` sessions that ended at or before `before`. */
  async deleteEnded(before: Date, limit: number): Promise<number> {
    return this.#client.$executeRaw`
      DELETE FROM console_sessions WHERE id IN (
        SELECT id FROM console_sessions WHERE ended_at <= ${before}::timestamp(3) LIMIT ${limit}::integer FOR UPDATE SKIP LOCKED)`;
  }

  async #findHolder(where: Prisma.ConsoleSessionRowWhereInput): Promise<StoredSession | null> {
    const row = await this.#client.consoleSessionRow.findFirst({
      where: { ...where, endedAt: null },
      orderBy: [{ exclusive: 'desc' }, { startedAt: 'asc' }],
    });
    return row && sessionOfRow(row);
  }
}

function whereOpen({ ids, ...filter }: SessionFilter): Prisma.ConsoleSessionRowWhereInput {
  return { ...filter, ...(ids === undefined ? {} : { id: { in: [...ids] } }), endedAt: null };
}

function inUse({ id, startedAt }: StoredSession): ServiceError {
  return new ServiceError('PORT_IN_USE', `this console is in use since ${startedAt.toISOString()}; it takes one client at a time`, {
    details: { sessionId: id, startedAt: startedAt.toISOString() },
  });
}

/** The object that travels. */
export function consoleSessionOf(stored: StoredSession): ConsoleSession {
  const { id, instanceUuid, host, port, consoleType, proxy, clientAddress, userId, projectId, access, startedAt, leaseExpires, endedAt, endReason, bytesIn, bytesOut, endingAt, endingReason } = stored;
  return Object.freeze({
    id, instanceUuid, host, port, consoleType, proxy, clientAddress, userId, projectId, access,
    startedAt, leaseExpires, endedAt, endReason, bytesIn, bytesOut, endingAt, endingReason,
  });
}

function sessionOfRow(row: ConsoleSessionRow): StoredSession {
  return Object.freeze({
    ...row,
    connectionId: row.connectionId === null ? null : Number(row.connectionId),
    consoleType: row.consoleType as ConsoleType,
    access: row.access as Access,
    bytesIn: Number(row.bytesIn),
    bytesOut: Number(row.bytesOut),
  });
}
