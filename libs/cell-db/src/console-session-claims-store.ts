/**
 * How rows of console_sessions begin, and go on: a connect opens one, a later connect takes it over. Each writes its
 * event in the same statement. The database itself keeps an exclusive connection to one open session (a partial unique
 * index), whoever races. Written by consoleauth.
 */
import { ServiceError, isServiceError } from '@gatehouse/errors/service-error';
import { IS_OPEN, SESSION_COLUMNS, openSessionOf, sessionOfRow } from './console-session-row.ts';
import type { NewSession, StoredSession } from './console-session-row.ts';
import type { ConsoleSessionRow } from './generated/client.ts';
import type { SqlClient } from './sql-client.ts';

/** The connect that carries a session on. */
export type Takeover = Pick<NewSession, 'claim' | 'proxy' | 'clientAddress' | 'attachSecretHash' | 'leaseExpires'>;

export class ConsoleSessionClaimsStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
    this.#client = client;
  }

  /**
   * Records the session as open.
   * @throws ServiceError ALREADY_EXISTS: this id is known, or the console takes one client and has one; `inWords` says which
   */
  async open(session: NewSession): Promise<StoredSession> {
    const { id, claim, connectionId, exclusive, instanceUuid, host, port, consoleType, proxy, clientAddress } = session;
    const { userId, projectId, access, attachSecretHash, resumeHash, startedAt, leaseExpires } = session;
    await this.#client.$executeRaw`
      WITH opened AS (
        INSERT INTO console_sessions (id, claim, connection_id, exclusive, instance_uuid, host, port, console_type, proxy, client_address,
          user_id, project_id, access, attach_secret_hash, resume_hash, started_at, lease_expires)
        VALUES (${id}::uuid, ${claim}::uuid, ${connectionId}::bigint, ${exclusive}, ${instanceUuid}::uuid, ${host}, ${port}::integer, ${consoleType},
          ${proxy}, ${clientAddress}, ${userId}, ${projectId}, ${access}, ${attachSecretHash}, ${resumeHash},
          ${startedAt}::timestamp(3), ${leaseExpires}::timestamp(3))
        RETURNING id, started_at
      )
      INSERT INTO console_session_events (at, kind, session_id) SELECT started_at, 'connected', id FROM opened`;
    return openSessionOf(session);
  }

  /**
   * What an error of `open` is: PORT_IN_USE where the console (or its address, where it has no connection) is exclusive and has an open
   * session (details.startedAt, details.sessionId), ALREADY_EXISTS where this id is known. Any other error is itself.
   */
  async inWords(error: unknown, { id, connectionId, host, port }: NewSession): Promise<unknown> {
    if (!isServiceError(error) || error.code !== 'ALREADY_EXISTS') return error;
    const [known] = await this.#client.$queryRaw<readonly { readonly id: string; readonly startedAt: Date }[]>`
      SELECT id::text AS id, started_at AS "startedAt" FROM console_sessions
      WHERE id = ${id}::uuid OR (ended_at IS NULL AND (connection_id = ${connectionId}::bigint
        OR (${connectionId}::bigint IS NULL AND connection_id IS NULL AND host = ${host} AND port = ${port}::integer)))
      ORDER BY id = ${id}::uuid DESC, exclusive DESC, started_at LIMIT 1`;
    // Its holder has ended since.
    if (known === undefined) return new ServiceError('UNAVAILABLE', 'this console changes hands too fast; try again', { cause: error });
    if (known.id === id.toLowerCase()) return new ServiceError('ALREADY_EXISTS', `the console session ${id} exists already`, { cause: error });
    const startedAt = known.startedAt.toISOString();
    return new ServiceError('PORT_IN_USE', `this console is in use since ${startedAt}; it takes one client at a time`, {
      details: { sessionId: known.id, startedAt },
      cause: error,
    });
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
      SELECT ${SESSION_COLUMNS} FROM console_sessions WHERE id = ${id}::uuid AND ${IS_OPEN} AND ending_at IS NULL FOR UPDATE`;
    return row === undefined ? null : sessionOfRow(row);
  }

  /** Gives the session to another connect, whose attach secret alone counts from now on. @returns null when it has ended or is to end */
  async takeOver(id: string, { claim, proxy, clientAddress, attachSecretHash, leaseExpires }: Takeover, at: Date): Promise<StoredSession | null> {
    const [row] = await this.#client.$queryRaw<readonly ConsoleSessionRow[]>`
      WITH taken AS (
        UPDATE console_sessions
        SET claim = ${claim}::uuid, proxy = ${proxy}, client_address = ${clientAddress}, attach_secret_hash = ${attachSecretHash},
          lease_expires = ${leaseExpires}::timestamp(3)
        WHERE id = ${id}::uuid AND ${IS_OPEN} AND ending_at IS NULL RETURNING *
      ), told AS (
        INSERT INTO console_session_events (at, kind, session_id) SELECT ${at}::timestamp(3), 'resumed', id FROM taken
      )
      SELECT ${SESSION_COLUMNS} FROM taken`;
    return row === undefined ? null : sessionOfRow(row);
  }
}
