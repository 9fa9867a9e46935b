/**
 * What a store works with that writes its statements itself: Prisma's client, a transaction of it, or the connections
 * themselves (libs/database/src/sql.ts), which cost a fraction. The same statement and the same types on each.
 */
import type { RunStatement } from '@gatehouse/database/sql';
import { Prisma } from './generated/client.ts';

export interface SqlClient {
  $queryRaw<T = unknown>(query: TemplateStringsArray | Prisma.Sql, ...values: readonly unknown[]): Promise<T>;
  /** @returns how many rows were written */
  $executeRaw(query: TemplateStringsArray | Prisma.Sql, ...values: readonly unknown[]): Promise<number>;
}

/** Does its work in one transaction: one of its own, or the one that it is in. */
export type Atomically = <T>(work: (client: SqlClient) => Promise<T>) => Promise<T>;

/** The same of statements that need nothing of each other's answers, which travel as one. @returns the rows of each */
export type Together = (statements: readonly Prisma.Sql[]) => Promise<readonly (readonly unknown[])[]>;

export function sqlClientOf(run: RunStatement): SqlClient {
  return {
    // The rows are what the statement selects, which its author says.
    $queryRaw: async <T>(query: TemplateStringsArray | Prisma.Sql, ...values: readonly unknown[]) => (await run(statementOf(query, values))).rows as T,
    $executeRaw: async (query, ...values) => (await run(statementOf(query, values))).count,
  };
}

function statementOf(query: TemplateStringsArray | Prisma.Sql, values: readonly unknown[]): Prisma.Sql {
  return query instanceof Prisma.Sql ? query : new Prisma.Sql(query, values);
}
