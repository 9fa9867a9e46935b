/**
 * How rows of console_sessions begin, and go on: a connect opens one, a later connect takes it over. Each writes its
 * event in the same statement. The database itself keeps an exclusive connection to one open session (a partial unique
 * index), whoever races. Written by consoleauth.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import { SESSION_COLUMNS, sessionOfRow } from './console-session-row.ts';
import type { NewSession, StoredSession } from './console-session-row.ts';
import { Prisma } from './generated/client.ts';
import type { ConsoleSessionRow } from './generated/client.ts';
import type { SqlClient } from './sql-client.ts';

/** The connect that carries a session on. */
export type Takeover = Pick<NewSession, 'claim' | 'proxy' | 'clientAddress' | 'attachSecretHash' | 'leaseExpires'>;

/** Whose sessions are counted; null: nobody's. */
export interface CountedSessions {
  readonly instanceUuid: string | null;
  readonly userId: string | null;
  readonly proxy: string | null;
}

/** Looks at a port whose holders come and go. */
const OPEN_ATTEMPTS = 3;

export class ConsoleSessionClaimsStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
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
      const made = await this.#insert(session);
      if (made !== null) return made;
      await this.#refuseKnown(session);
      // Its holder ended between the two looks.
    }
    throw new ServiceError('UNAVAILABLE', 'this console changes hands too fast; try again');
  }

  /** The open session that a resume grant with this hash belongs to. */
  async findByResumeHash(resumeHash: string): Promise<StoredSession | null> {
    const [row] = await this.#client.$queryRaw<readonly ConsoleSessionRow[]>`
      SELECT ${SESSION_COLUMNS} FROM console_sessions WHERE resume_hash = ${resumeHash}::text AND ended_at IS NULL LIMIT 1`;
    return row === undefined ? null : sessionOfRow(row);
  }

  /** The session, if it is open and is not to end, as nobody changes it before the transaction ends. Only inside CellDb.transaction. */
  async lock(id: string): Promise<StoredSession | null> {
    const [row] = await this.#client.$queryRaw<readonly ConsoleSessionRow[]>`
      SELECT ${SESSION_COLUMNS} FROM console_sessions WHERE id = ${id}::uuid AND ended_at IS NULL AND ending_at IS NULL FOR UPDATE`;
    return row === undefined ? null : sessionOfRow(row);
  }

  /** Gives the session to another connect, whose attach secret alone counts from now on. @returns null when it has ended or is to end */
  async takeOver(id: string, { claim, proxy, clientAddress, attachSecretHash, leaseExpires }: Takeover, at: Date): Promise<StoredSession | null> {
    const [row] = await this.#client.$queryRaw<readonly ConsoleSessionRow[]>`
      WITH taken AS (
        UPDATE console_sessions
        SET claim = ${claim}::uuid, proxy = ${proxy}, client_address = ${clientAddress}, attach_secret_hash = ${attachSecretHash},
          lease_expires = ${leaseExpires}::timestamp(3)
        WHERE id = ${id}::uuid AND ended_at IS NULL AND ending_at IS NULL RETURNING *
      ), told AS (
        INSERT INTO console_session_events (at, kind, session_id) SELECT ${at}::timestamp(3), 'resumed', id FROM taken
      )
      SELECT ${SESSION_COLUMNS} FROM taken`;
    return row === undefined ? null : sessionOfRow(row);
  }

  /** Who counts or adds under one of these names waits until the transaction ends. In an order that all share; only inside CellDb.transaction. */
  async lockCounts(names: readonly string[]): Promise<void> {
    await this.#client.$queryRaw`
      SELECT pg_advisory_xact_lock(hashtextextended(name, 4409))::text AS locked
      FROM unnest(${[...names]}::text[]) WITH ORDINALITY AS wanted (name, place) ORDER BY place`;
  }

  /** How many are open with a lease that ends after `liveAfter`. */
  async countLive({ instanceUuid, userId, proxy }: CountedSessions, liveAfter: Date): Promise<Readonly<Record<keyof CountedSessions, number>>> {
    const live = (mine: Prisma.Sql): Prisma.Sql => Prisma.sql`
      (SELECT count(*)::integer FROM console_sessions WHERE ended_at IS NULL AND lease_expires > ${liveAfter}::timestamp(3) AND ${mine})`;
    const [counts] = await this.#client.$queryRaw<readonly Record<keyof CountedSessions, number>[]>`
      SELECT ${live(Prisma.sql`instance_uuid = ${instanceUuid}::uuid`)} AS "instanceUuid",
        ${live(Prisma.sql`user_id = ${userId}::text`)} AS "userId", ${live(Prisma.sql`proxy = ${proxy}::text`)} AS "proxy"`;
    return counts ?? { instanceUuid: 0, userId: 0, proxy: 0 };
  }

  /** ON CONFLICT DO NOTHING: waits for a racing transaction, then makes no row instead of aborting this one. */
  async #insert(session: NewSession): Promise<StoredSession | null> {
    const { id, claim, connectionId, exclusive, instanceUuid, host, port, consoleType, proxy, clientAddress } = session;
    const { userId, projectId, access, attachSecretHash, resumeHash, startedAt, leaseExpires } = session;
    const [row] = await this.#client.$queryRaw<readonly ConsoleSessionRow[]>`
      WITH opened AS (
        INSERT INTO console_sessions (id, claim, connection_id, exclusive, instance_uuid, host, port, console_type, proxy, client_address,
          user_id, project_id, access, attach_secret_hash, resume_hash, started_at, lease_expires)
        VALUES (${id}::uuid, ${claim}::uuid, ${connectionId}::bigint, ${exclusive}, ${instanceUuid}::uuid, ${host}, ${port}::integer, ${consoleType},
          ${proxy}, ${clientAddress}, ${userId}, ${projectId}, ${access}, ${attachSecretHash}, ${resumeHash},
          ${startedAt}::timestamp(3), ${leaseExpires}::timestamp(3))
        ON CONFLICT DO NOTHING RETURNING *
      ), told AS (
        INSERT INTO console_session_events (at, kind, session_id) SELECT started_at, 'connected', id FROM opened
      )
      SELECT ${SESSION_COLUMNS} FROM opened`;
    return row === undefined ? null : sessionOfRow(row);
  }

  /** @throws ServiceError when there is a row that explains why none was made */
  async #refuseKnown({ id, connectionId, host, port }: NewSession): Promise<void> {
    const [known] = await this.#client.$queryRaw<readonly { readonly id: string; readonly startedAt: Date }[]>`
      SELECT id::text AS id, started_at AS "startedAt" FROM console_sessions
      WHERE id = ${id}::uuid OR (ended_at IS NULL AND (connection_id = ${connectionId}::bigint
        OR (${connectionId}::bigint IS NULL AND connection_id IS NULL AND host = ${host} AND port = ${port}::integer)))
      ORDER BY id = ${id}::uuid DESC, exclusive DESC, started_at LIMIT 1`;
    if (known === undefined) return;
    if (known.id === id.toLowerCase()) throw new ServiceError('ALREADY_EXISTS', `the console session ${id} exists already`);
    const startedAt = known.startedAt.toISOString();
    throw new ServiceError('PORT_IN_USE', `this console is in use since ${startedAt}; it takes one client at a time`, {
      details: { sessionId: known.id, startedAt },
    });
  }
}
