/**
 * Statements straight to PostgreSQL, on the same connections as Prisma's. Prisma's engine costs several times what
 * the database itself does for a short statement, and a round trip for each; what runs at every console that is opened goes
 * this way (docs/adr/0010-console-statements.md).
 *
 * Statements that are asked for in the same turn of the event loop travel together, BEGIN with the first of them.
 */
import pg from 'pg';
import { ServiceError } from '@gatehouse/errors/service-error';
import { isWriteConflict, toDatabaseError } from './database-error.ts';
import { StatementBatch } from './statement-batch.ts';
import type { Answer, Statement } from './statement-batch.ts';

export type RunStatement = (statement: Statement) => Promise<Answer>;

export interface Sql {
  /** A transaction of its own. */
  readonly run: RunStatement;
  /**
   * Statements of which none waits for another's answer: one transaction in one message, without a BEGIN and a COMMIT. They are
   * done in their order; the first that fails takes all of them back. @throws ServiceError
   */
  together(statements: readonly Statement[]): Promise<readonly Answer[]>;
  /**
   * All of `work` or nothing, at READ COMMITTED; nothing, with the statement's error, when one failed, even if `work` caught that.
   * It may be done again, at most twice, when another transaction was in its way. `last`: statements that nothing depends on any
   * more; they travel with the COMMIT, so that whatever is found wrong with their answers is stored by then. @throws ServiceError
   */
  transaction<T>(work: (run: RunStatement) => Promise<T>, last?: (run: RunStatement, result: T) => Promise<unknown>): Promise<T>;
}

/** Until it is rolled back if it has not ended. */
export const TRANSACTION_TIMEOUT_MS = 10_000;
/** How often a transaction is tried when others are in its way (a deadlock, a serialization failure). */
export const TRANSACTION_ATTEMPTS = 3;

const BEGIN: Statement = { text: 'BEGIN', values: [] };
const COMMIT: Statement = { text: 'COMMIT', values: [] };
const ROLLBACK: Statement = { text: 'ROLLBACK', values: [] };
const NOTHING_DONE: Answer = { rows: [], count: 0, command: 'COMMIT' };

/** `isPrepared`: statements may have names on a connection; not where several share one session. */
export function openSql(pool: pg.Pool, isPrepared: boolean): Sql {
  const together = async (statements: readonly Statement[]): Promise<readonly Answer[]> => {
    const client = await pool.connect().catch(rethrow);
    try {
      const answers = await send(client, statements, isPrepared);
      client.release();
      return answers;
    } catch (error) {
      client.release(isRefusal(error) ? undefined : (error as Error));
      throw toDatabaseError(error);
    }
  };
  return {
    run: async (statement) => (await together([statement]))[0] as Answer,
    together,
    async transaction(work, last) {
      for (let attempt = 1; ; attempt += 1) {
        const client = await pool.connect().catch(rethrow);
        try {
          return await new Transaction(client, isPrepared).run(work, last);
        } catch (error) {
          if (attempt === TRANSACTION_ATTEMPTS || !isWriteConflict(error)) throw error;
        }
      }
    },
  };
}

interface Waiting {
  readonly statement: Statement;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

class Transaction {
  readonly #client: pg.PoolClient;
  readonly #isPrepared: boolean;
  #hasBegun = false;
  /** COMMIT is asked for. */
  #isEnding = false;
  #isOver = false;
  #failure: ServiceError | null = null;
  #isBroken = false;
  #waiting: Waiting[] = [];
  /** Resolves when what was sent is answered. */
  #sent: Promise<void> = Promise.resolve();

  constructor(client: pg.PoolClient, isPrepared: boolean) {
    this.#client = client;
    this.#isPrepared = isPrepared;
  }

  async run<T>(work: (run: RunStatement) => Promise<T>, last?: (run: RunStatement, result: T) => Promise<unknown>): Promise<T> {
    const timer = setTimeout(() => this.#expire(), TRANSACTION_TIMEOUT_MS);
    const ask: RunStatement = (statement) => this.#ask(statement);
    try {
      const result = await work(ask);
      await this.#sent;
      if (this.#failure !== null) throw this.#failure;
      const end = await this.#commit(last && (() => last(ask, result)));
      // What the server answers where a statement had failed.
      if (end.command !== 'COMMIT') throw new ServiceError('INTERNAL', 'the database took the transaction back');
      this.#release();
      return result;
    } catch (error) {
      // What is still asked for must not be done outside of it.
      this.#failure ??= new ServiceError('CANCELLED', 'a statement came after its transaction had failed');
      await this.#rollBack();
      throw error;
    } finally {
      clearTimeout(timer);
      this.#isOver = true;
    }
  }

  /** With what is asked for last, if that is anything. */
  async #commit(last: (() => Promise<unknown>) | undefined): Promise<Answer> {
    const lastly = last?.();
    if (!this.#hasBegun && this.#waiting.length === 0) {
      await lastly;
      return NOTHING_DONE;
    }
    const committed = this.#ask(COMMIT);
    this.#isEnding = true;
    const [end] = await Promise.all([committed, lastly]);
    return end;
  }

  #ask(statement: Statement): Promise<Answer> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#isOver || this.#isEnding) return Promise.reject(new ServiceError('INTERNAL', 'a statement came after its transaction had ended'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ statement, resolve, reject });
      if (this.#waiting.length === 1) this.#sent = this.#sent.then(() => this.#sendWaiting());
    });
  }

  async #sendWaiting(): Promise<void> {
    const waiting = this.#waiting.splice(0);
    const first = this.#hasBegun ? [] : [BEGIN];
    try {
      const answers = await this.#send([...first, ...waiting.map(({ statement }) => statement)]);
      for (const [index, { resolve }] of waiting.entries()) resolve(answers[index + first.length] as Answer);
    } catch (error) {
      for (const { reject } of waiting) reject(error as Error);
    }
  }

  async #send(statements: readonly Statement[]): Promise<readonly Answer[]> {
    if (this.#failure !== null) throw this.#failure;
    this.#hasBegun = true;
    try {
      return await send(this.#client, statements, this.#isPrepared);
    } catch (error) {
      this.#isBroken ||= !isRefusal(error);
      this.#failure ??= toDatabaseError(error);
      throw this.#failure;
    }
  }

  async #rollBack(): Promise<void> {
    if (this.#isOver) return;
    try {
      if (this.#hasBegun && !this.#isBroken) await send(this.#client, [ROLLBACK], this.#isPrepared);
      this.#release(this.#isBroken ? (this.#failure ?? undefined) : undefined);
    } catch (error) {
      this.#release(error as Error);
    }
  }

  /** What it has done is taken back when its connection is closed. */
  #expire(): void {
    this.#failure ??= new ServiceError('UNAVAILABLE', 'the database is too busy to answer in time; try again');
    this.#release(this.#failure);
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }

  #release(error?: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#client.release(error);
  }
}

function send(client: pg.PoolClient, statements: readonly Statement[], isPrepared: boolean): Promise<readonly Answer[]> {
  return new Promise((resolve, reject) => {
    client.query(new StatementBatch(statements, isPrepared, (error, answers) => (error === null ? resolve(answers) : reject(error))));
  });
}

/** Of shutdowns and lost connections, and of statements that the connection no longer has as they were prepared. */
const BROKEN_CLASSES: ReadonlySet<string> = new Set(['08', '0A', '26', '57']);

/** The server's word on a statement; after any other failure the connection is of no more use. */
function isRefusal(error: unknown): boolean {
  return error instanceof pg.DatabaseError && !BROKEN_CLASSES.has(error.code?.slice(0, 2) ?? '');
}

function rethrow(error: unknown): never {
  throw toDatabaseError(error);
}
