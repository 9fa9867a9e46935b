/** Tokens in the cell database, in the same transactions as ports and sessions. */
import type { CellDb, ConsoleStores } from '@gatehouse/cell-db/cell-db';
import type { TokenWithConnection } from '@gatehouse/cell-db/console-tokens-store';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Issued, TokenBackend } from './token-backend.ts';

export class DatabaseTokens implements TokenBackend {
  readonly name = 'database';
  readonly #db: CellDb;
  readonly #clock: Clock;

  constructor(db: CellDb, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  async issue<T>(work: (stores: ConsoleStores) => Promise<Issued<T>>, { replaces } = { replaces: false }): Promise<T> {
    const { answer } = await this.#db.consoleTransaction(work, ({ consoleTokens }, { token }) =>
      Promise.all([replaces && consoleTokens.deleteByHash(token.tokenHash), consoleTokens.save(token)]));
    return answer;
  }

  use<T>(tokenHash: string, work: (stores: ConsoleStores, token: TokenWithConnection | null) => Promise<T>): Promise<T> {
    return this.#db.consoleTransaction(async (stores) => {
      const token = await stores.consoleTokens.lockByHash(tokenHash);
      const answer = await work(stores, token);
      // The row is locked: nobody can have spent it since.
      if (token?.singleUse) await stores.consoleTokens.markUsed(tokenHash, this.#clock.now());
      return answer;
    });
  }

  find(tokenHash: string): Promise<TokenWithConnection | null> {
    return this.#db.consoleTokens.findByHash(tokenHash);
  }

  async revoke<T>(instanceUuid: string, work: (stores: ConsoleStores) => Promise<T>, stored?: (answer: T) => void): Promise<T> {
    const answer = await this.#db.consoleTransaction(async (stores) => {
      // The instance first: a token that is being issued at this moment is then seen, and deleted before its connection is. Deleted along
      // with that, in the other order, it would meet whoever connects with it in a ring.
      await Promise.all([stores.instances.lock(instanceUuid), stores.consoleTokens.deleteForInstance(instanceUuid)]);
      return work(stores);
    });
    stored?.(answer);
    return answer;
  }

  /** The database is its opener's to ask and to close. */
  async check(): Promise<void> {}

  async close(): Promise<void> {}
}
