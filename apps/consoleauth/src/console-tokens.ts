/** Where tokens lead, for proxies that are not ours: Nova's os-console-auth-tokens. Nothing is claimed, spent or locked. */
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { consoleConnectionOf } from '@gatehouse/cell-db/console-connections-store';
import type { TokenWithConnection } from '@gatehouse/cell-db/console-tokens-store';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import type { Clock } from '@gatehouse/runtime/clock';
import type { ConsoleAuthConfig } from './config.ts';
import { hashSecret } from './console-token.ts';
import { reachHistoric } from './historic-tokens.ts';
import type { ReachedConnection } from './historic-tokens.ts';
import type { TokenBackend } from './token-backend.ts';

export class ConsoleTokens {
  readonly #db: CellDb;
  readonly #tokens: TokenBackend;
  readonly #config: ConsoleAuthConfig;
  readonly #clock: Clock;

  constructor(db: CellDb, tokens: TokenBackend, config: ConsoleAuthConfig, clock: Clock) {
    this.#db = db;
    this.#tokens = tokens;
    this.#config = config;
    this.#clock = clock;
  }

  /**
   * The connection that a token opens, ours or one of Nova's own; neither the token nor its hash is repeated.
   * @throws ServiceError NOT_FOUND: unknown, revoked, expired, or spent where it opens its console once
   */
  async show(token: string): Promise<ConsoleConnection> {
    const stored = await this.#tokens.find(hashSecret(token, this.#config.consoleTokenHash));
    const isOver = stored === null || stored.expires <= this.#clock.now() || (stored.singleUse && stored.usedAt !== null);
    const connection = isOver ? null : await this.#reach(stored);
    if (stored === null || connection === null) throw new ServiceError('NOT_FOUND', 'this console token is unknown or has expired');
    const { internalAccessPath, expires } = stored;
    // Of a token of Nova's it may be all that is known of the path.
    const options = internalAccessPath === null ? connection.options : { internal_access_path: internalAccessPath, ...connection.options };
    return consoleConnectionOf({ ...connection, options }, { tokenHash: null, accessUrl: null, expires });
  }

  async #reach(token: TokenWithConnection): Promise<ReachedConnection | null> {
    return token.connectionId === null ? reachHistoric(this.#db, token, this.#config.consoleExclusive) : token.connection;
  }
}
