/** console_tokens: who may open which console until when, by the hash of the token, never the token. Written by consoleauth. */
import type { Access } from '@gatehouse/objects/console-session';
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { CellClient } from './cell-client.ts';
import { connectionOfRow } from './console-connections-store.ts';
import type { StoredConnection } from './console-connections-store.ts';
import type { ConsoleTokenRow } from './generated/client.ts';

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

/** Hex of a digest that a token's hash may be; guards the column against a clear token. */
const HASH = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

export class ConsoleTokensStore {
  readonly #client: CellClient;

  constructor(client: CellClient) {
    this.#client = client;
  }

  /**
   * @throws ServiceError INVALID_ARGUMENT: tokenHash is no hex digest
   * @throws ServiceError ALREADY_EXISTS: this hash is known
   * @throws ServiceError FAILED_PRECONDITION: the connection is gone
   */
  async save(token: NewToken): Promise<void> {
    if (!HASH.test(token.tokenHash)) throw new ServiceError('INVALID_ARGUMENT', 'a token is stored as the hex of its SHA-256 or SHA-1, nothing else');
    await this.#client.consoleTokenRow.create({ data: token, select: { tokenHash: true } });
  }

  /** The token and its connection, expired or not: what has expired is the caller's clock's to say. */
  async findByHash(tokenHash: string): Promise<TokenWithConnection | null> {
    const row = await this.#client.consoleTokenRow.findUnique({ where: { tokenHash }, include: { connection: true } });
    if (row === null) return null;
    const { connection, ...token } = row;
    return Object.freeze({ ...tokenOfRow(token), connection: connection && connectionOfRow(connection) });
  }

  /**
   * The token, its row locked until the transaction ends: a revocation that comes meanwhile waits, and then sees the
   * session that this transaction opened. Only inside CellDb.transaction.
   */
  async lockByHash(tokenHash: string): Promise<StoredToken | null> {
    // One statement: every connect makes it.
    const [row] = await this.#client.$queryRaw<readonly ConsoleTokenRow[]>`
      SELECT token_hash AS "tokenHash", connection_id AS "connectionId", instance_uuid AS "instanceUuid", console_type AS "consoleType",
        host, port, internal_access_path AS "internalAccessPath", access_url_base AS "accessUrlBase", access, single_use AS "singleUse",
        used_at AS "usedAt", expires, user_id AS "userId", project_id AS "projectId", created_at AS "createdAt"
      FROM console_tokens WHERE token_hash = ${tokenHash} FOR UPDATE`;
    return row === undefined ? null : tokenOfRow(row);
  }

  /** @returns false when it was used before, or is gone */
  async markUsed(tokenHash: string, at: Date): Promise<boolean> {
    const { count } = await this.#client.consoleTokenRow.updateMany({ where: { tokenHash, usedAt: null }, data: { usedAt: at } });
    return count === 1;
  }

  async deleteByHash(tokenHash: string): Promise<number> {
    return (await this.#client.consoleTokenRow.deleteMany({ where: { tokenHash } })).count;
  }

  async deleteForInstance(instanceUuid: string): Promise<number> {
    return (await this.#client.consoleTokenRow.deleteMany({ where: { instanceUuid } })).count;
  }

  async deleteForConnection(connectionId: number): Promise<number> {
    return (await this.#client.consoleTokenRow.deleteMany({ where: { connectionId } })).count;
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
}

function tokenOfRow({ connectionId, consoleType, access, ...row }: ConsoleTokenRow): StoredToken {
  return Object.freeze({
    ...row,
    connectionId: connectionId === null ? null : Number(connectionId),
    consoleType: consoleType as ConsoleType,
    access: access as Access,
  });
}
