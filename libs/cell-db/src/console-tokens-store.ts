/** console_tokens: who may open which console until when, by the hash of the token, never the token. Written by consoleauth. */
import type { Access } from '@gatehouse/objects/console-session';
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import { ServiceError } from '@gatehouse/errors/service-error';
import { CONNECTION_COLUMNS, connectionOfRow } from './console-connections-store.ts';
import type { StoredConnection } from './console-connections-store.ts';
import { Prisma } from './generated/client.ts';
import type { ConsoleConnectionRow, ConsoleTokenRow } from './generated/client.ts';
import type { SqlClient } from './sql-client.ts';

export interface NewToken {
  /** Lower-case hex of the token's digest: 64 digits (SHA-256), or 40 (SHA-1). */
  readonly tokenHash: string;
  /** Null for callers of RPC 2.1, who name no connection. */
  readonly connectionId: number | null;
  readonly instanceUuid: string;
  readonly consoleType: ConsoleType;
  readonly host: string;
  readonly port: number;
  readonly internalAccessPath: string | null;
  /** Where the console is opened; never with the token. */
  readonly accessUrlBase: string | null;
  readonly access: Access;
  readonly singleUse: boolean;
  readonly expires: Date;
  readonly userId: string | null;
  readonly projectId: string | null;
  readonly createdAt: Date;
}

export interface StoredToken extends NewToken {
  readonly usedAt: Date | null;
}

export interface TokenWithConnection extends StoredToken {
  /** Null where connectionId is null: a connection that goes takes its tokens along. */
  readonly connection: StoredConnection | null;
}

const TOKEN_COLUMNS = Prisma.raw(`
  t.token_hash AS "tokenHash", t.connection_id AS "connectionId", t.instance_uuid::text AS "tokenInstanceUuid", t.console_type AS "tokenConsoleType",
  t.host AS "tokenHost", t.port AS "tokenPort", t.internal_access_path AS "internalAccessPath", t.access_url_base AS "accessUrlBase", t.access,
  t.single_use AS "singleUse", t.used_at AS "usedAt", t.expires, t.user_id AS "userId", t.project_id AS "projectId", t.created_at AS "tokenCreatedAt"`);

/** A token beside its connection, whose columns have some of the same names. */
type JoinedRow = Omit<ConsoleTokenRow, 'instanceUuid' | 'consoleType' | 'host' | 'port' | 'createdAt'> & Partial<ConsoleConnectionRow> & {
  readonly tokenInstanceUuid: string;
  readonly tokenConsoleType: string;
  readonly tokenHost: string;
  readonly tokenPort: number;
  readonly tokenCreatedAt: Date;
};

/** Hex of a digest that a token's hash may be; guards the column against a clear token. */
const HASH = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

export class ConsoleTokensStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
    this.#client = client;
  }

  /**
   * @throws ServiceError INVALID_ARGUMENT: tokenHash is no hex digest
   * @throws ServiceError ALREADY_EXISTS: this hash is known
   * @throws ServiceError FAILED_PRECONDITION: the connection is gone
   */
  async save(token: NewToken): Promise<void> {
    if (!HASH.test(token.tokenHash)) throw new ServiceError('INVALID_ARGUMENT', 'a token is stored as the hex of its SHA-256 or SHA-1, nothing else');
    const { tokenHash, connectionId, instanceUuid, consoleType, host, port, internalAccessPath, accessUrlBase } = token;
    const { access, singleUse, expires, userId, projectId, createdAt } = token;
    await this.#client.$executeRaw`
      INSERT INTO console_tokens (token_hash, connection_id, instance_uuid, console_type, host, port, internal_access_path, access_url_base,
        access, single_use, expires, user_id, project_id, created_at)
      VALUES (${tokenHash}, ${connectionId}::bigint, ${instanceUuid}::uuid, ${consoleType}, ${host}, ${port}::integer, ${internalAccessPath}, ${accessUrlBase},
        ${access}, ${singleUse}::boolean, ${expires}::timestamp(3), ${userId}, ${projectId}, ${createdAt}::timestamp(3))`;
  }

  /** The token and its connection, expired or not: what has expired is the caller's clock's to say. */
  async findByHash(tokenHash: string): Promise<TokenWithConnection | null> {
    const [row] = await this.#client.$queryRaw<readonly JoinedRow[]>`
      SELECT ${CONNECTION_COLUMNS}, ${TOKEN_COLUMNS} FROM console_tokens AS t LEFT JOIN console_connections AS c ON c.id = t.connection_id
      WHERE t.token_hash = ${tokenHash}`;
    return row === undefined ? null : tokenOfRow(row);
  }

  /**
   * The token and then its connection, their rows locked until the transaction ends: a revocation that comes meanwhile waits,
   * and then sees the session that this transaction opened. Only inside a transaction.
   */
  async lockByHash(tokenHash: string): Promise<TokenWithConnection | null> {
    const [row] = await this.#client.$queryRaw<readonly JoinedRow[]>`
      WITH t AS MATERIALIZED (SELECT * FROM console_tokens WHERE token_hash = ${tokenHash} FOR UPDATE),
        c AS MATERIALIZED (SELECT k.* FROM t JOIN console_connections AS k ON k.id = t.connection_id FOR NO KEY UPDATE OF k)
      SELECT ${CONNECTION_COLUMNS}, ${TOKEN_COLUMNS} FROM t LEFT JOIN c ON true`;
    // It goes with its connection, which went while we waited for it.
    if (row === undefined || (row.connectionId !== null && row.id == null)) return null;
    return tokenOfRow(row);
  }

  /** @returns false when it was used before, or is gone */
  async markUsed(tokenHash: string, at: Date): Promise<boolean> {
    return (await this.#client.$executeRaw`
      UPDATE console_tokens SET used_at = ${at}::timestamp(3) WHERE token_hash = ${tokenHash} AND used_at IS NULL`) === 1;
  }

  deleteByHash(tokenHash: string): Promise<number> {
    return this.#client.$executeRaw`DELETE FROM console_tokens WHERE token_hash = ${tokenHash}`;
  }

  deleteForInstance(instanceUuid: string): Promise<number> {
    return this.#delete(Prisma.sql`instance_uuid = ${instanceUuid}::uuid`);
  }

  deleteForConnection(connectionId: number): Promise<number> {
    return this.#delete(Prisma.sql`connection_id = ${connectionId}::bigint`);
  }

  /**
   * Removes at most `limit` tokens that expired at or before `now`, of one host or of all. Rows that another
   * sweep holds are left to it.
   */
  async deleteExpired(now: Date, limit: number, host: string | null = null): Promise<number> {
    return this.#client.$executeRaw`
      DELETE FROM console_tokens WHERE token_hash IN (
        SELECT token_hash FROM console_tokens
        WHERE expires <= ${now}::timestamp(3) AND (${host}::text IS NULL OR host = ${host}::text)
        ORDER BY expires LIMIT ${limit}::integer FOR UPDATE SKIP LOCKED)`;
  }

  /** In one order, so that two who delete the same ones never wait for each other in a ring. */
  #delete(which: Prisma.Sql): Promise<number> {
    return this.#client.$executeRaw`
      DELETE FROM console_tokens WHERE token_hash IN (SELECT token_hash FROM console_tokens WHERE ${which} ORDER BY token_hash FOR UPDATE)`;
  }
}

function tokenOfRow(row: JoinedRow): TokenWithConnection {
  const { tokenHash, connectionId, internalAccessPath, accessUrlBase, access, singleUse, usedAt, expires, userId, projectId } = row;
  return Object.freeze({
    ...{ tokenHash, instanceUuid: row.tokenInstanceUuid, host: row.tokenHost, port: row.tokenPort, createdAt: row.tokenCreatedAt },
    ...{ internalAccessPath, accessUrlBase, singleUse, usedAt, expires, userId, projectId },
    connectionId: connectionId === null ? null : Number(connectionId),
    consoleType: row.tokenConsoleType as ConsoleType,
    access: access as Access,
    connection: isConnection(row) ? connectionOfRow(row) : null,
  });
}

function isConnection(row: Partial<ConsoleConnectionRow>): row is ConsoleConnectionRow {
  return row.id != null;
}
