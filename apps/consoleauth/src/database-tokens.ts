/** Tokens in the cell database, in the same transactions as ports and sessions. */
import type { CellDb, ConsoleStores } from '@gatehouse/cell-db/cell-db';
import { NOTHING_KNOWN } from '@gatehouse/cell-db/console-openings-store';
import type { TokenWithConnection } from '@gatehouse/cell-db/console-tokens-store';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Issued, TokenBackend, UseOptions, UseToken } from './token-backend.ts';

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

  async use<T>(tokenHash: string, work: UseToken<T>, { opening: question, last }: UseOptions<T> = {}): Promise<T> {
    const { answer } = await this.#db.consoleTransaction(async (stores) => {
      const [token, opening] = await Promise.all([
        stores.consoleTokens.lockByHash(tokenHash),
        question === undefined ? NOTHING_KNOWN : stores.consoleOpenings.look({ tokenHash }, question),
      ]);
      return { answer: await work(stores, token, opening), isSpent: token?.singleUse === true };
    }, (stores, { answer, isSpent }) => Promise.all([
      last?.(stores, answer),
      // The row is locked: nobody can have spent it since.
      isSpent && stores.consoleTokens.markUsed(tokenHash, this.#clock.now()),
    ]));
    return answer;
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
