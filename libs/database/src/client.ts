/** A Prisma client whose every operation fails with a ServiceError, and transactions that are tried again after a conflict. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { PrismaPg } from '@prisma/adapter-pg';
import type { Database } from './database.ts';
import { isWriteConflict, toDatabaseError } from './database-error.ts';
import { TRANSACTION_ATTEMPTS, TRANSACTION_TIMEOUT_MS } from './sql.ts';

/** What both generated clients have; `Tx` is the generated transaction client. */
export interface PrismaLike<Tx> {
  $transaction<T>(work: (tx: Tx) => Promise<T>, options?: { maxWait?: number; timeout?: number }): Promise<T>;
  $disconnect(): Promise<void>;
  $extends(extension: object): unknown;
}

export interface ClientOptions {
  readonly adapter: PrismaPg;
  readonly errorFormat: 'minimal';
}

export interface Client<Tx> {
  readonly root: Tx;
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Until a connection is free for the transaction. */
const TRANSACTION_WAIT_MS = 5_000;

/**
 * The transaction that the running code belongs to. PostgreSQL aborts a transaction at its first failed statement and
 * answers a later COMMIT with a rollback that no driver reports: who caught the statement's error would believe that
 * everything was written.
 */
const running = new AsyncLocalStorage<{ failure?: Error }>();

const CONVERT_ERRORS = {
  query: {
    async $allOperations({ args, query }: { args: unknown; query: (args: unknown) => Promise<unknown> }): Promise<unknown> {
      try {
        return await query(args);
      } catch (error) {
        const converted = toDatabaseError(error);
        const transaction = running.getStore();
        if (transaction !== undefined) transaction.failure ??= converted;
        throw converted;
      }
    },
  },
};

export function openClient<Tx>(make: (options: ClientOptions) => PrismaLike<Tx>, database: Database): Client<Tx> {
  const prisma = make({ adapter: database.adapter, errorFormat: 'minimal' });
  const root = prisma.$extends(CONVERT_ERRORS) as PrismaLike<Tx> & Tx;
  return {
    root,
    transaction: (work) => runTransaction(root, work),
    async close() {
      await prisma.$disconnect();
      await database.close();
    },
  };
}

async function runTransaction<Tx, T>(root: PrismaLike<Tx>, work: (tx: Tx) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    let fromWork: { readonly error: unknown } | undefined;
    try {
      return await root.$transaction(
        async (tx) => {
          const transaction: { failure?: Error } = {};
          try {
            const result = await running.run(transaction, () => work(tx));
            if (transaction.failure !== undefined) throw transaction.failure;
            return result;
          } catch (error) {
            fromWork = { error };
            throw error;
          }
        },
        { maxWait: TRANSACTION_WAIT_MS, timeout: TRANSACTION_TIMEOUT_MS },
      );
    } catch (error) {
      // What the caller's own code threw is the caller's; what Prisma threw around it is ours to translate.
      const thrown = fromWork !== undefined && fromWork.error === error ? error : toDatabaseError(error);
      if (attempt === TRANSACTION_ATTEMPTS || !isWriteConflict(thrown)) throw thrown;
    }
  }
}
