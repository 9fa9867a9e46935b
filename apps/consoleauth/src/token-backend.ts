/**
 * Where tokens are kept: in the cell database, or (deprecated) in a cache beside it. Ports, reservations and sessions
 * are in the database whatever keeps the tokens, so each act with a token is a transaction there; a backend decides what
 * of its own happens in it and what around it.
 *
 * Revocation has one fence for all: a token that names a connection opens nothing once that connection's row is gone,
 * and whoever connects holds the row until its session is stored.
 */
import type { ConsoleStores } from '@gatehouse/cell-db/cell-db';
import type { Opening, OpeningQuestion } from '@gatehouse/cell-db/console-openings-store';
import type { NewToken, TokenWithConnection } from '@gatehouse/cell-db/console-tokens-store';

export const TOKENS_BACKENDS = ['database', 'redis', 'memcached'] as const;
export type TokensBackendName = (typeof TOKENS_BACKENDS)[number];

/** What a transaction that issues a token says: the token, and what its caller is answered. */
export interface Issued<T> {
  readonly token: NewToken;
  readonly answer: T;
}

/** What is done with a token: see `use`. */
export type UseToken<T> = (stores: ConsoleStores, token: TokenWithConnection | null, opening: Opening) => Promise<T>;

export interface UseOptions<T> {
  /** What is asked along with the token's locks, and answered behind them; unasked, nothing is known of the opening. */
  readonly opening?: OpeningQuestion;
  /** Statements that travel with the COMMIT: their answers come too late to refuse anything, but one that fails takes all of it back. */
  readonly last?: (stores: ConsoleStores, answer: T) => Promise<unknown>;
}

/** Every method rejects with UNAVAILABLE, within seconds, while what keeps the tokens is away. */
export interface TokenBackend {
  readonly name: TokensBackendName;

  /**
   * Runs `work` in one transaction and keeps the token that it names.
   * @throws ServiceError ALREADY_EXISTS: this hash is known (and, where `replaces` is true, cannot be replaced)
   */
  issue<T>(work: (stores: ConsoleStores) => Promise<Issued<T>>, options?: { readonly replaces: boolean }): Promise<T>;

  /**
   * Runs `work` in one transaction with the token of that hash (null: unknown, revoked or evicted), expired or not, and its
   * connection, both held until the transaction ends. A revocation that comes meanwhile waits, and then sees what `work` did. A single-use token is spent when `work` succeeds and
   * not otherwise; one that was spent before comes with `usedAt`, and `work` must refuse it. Of those who race one succeeds.
   */
  use<T>(tokenHash: string, work: UseToken<T>, options?: UseOptions<T>): Promise<T>;

  /** The token, expired or not, used or not; nothing is locked or spent. */
  find(tokenHash: string): Promise<TokenWithConnection | null>;

  /**
   * Runs `work` in one transaction that takes all tokens of the instance away. `stored` is called once that is so in the
   * database: it need not wait for a cache.
   */
  revoke<T>(instanceUuid: string, work: (stores: ConsoleStores) => Promise<T>, stored?: (answer: T) => void): Promise<T>;

  /** Resolves when tokens can be kept and found now. */
  check(): Promise<void>;
  close(): Promise<void>;
}
