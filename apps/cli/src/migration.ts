/** What the driver runs (online-data-migrations.ts), and what a migration of one cell is. */

export interface Batch {
  /** Rows that were looked at. */
  readonly found: number;
  /** Rows that need nothing any more. */
  readonly done: number;
  /** Rows that cannot move, and are marked so. */
  readonly setAside: number;
}

export interface Failure {
  /** Null where it is not one cell's. */
  readonly cell: string | null;
  readonly message: string;
}

export interface Outcome extends Batch {
  readonly failures: readonly Failure[];
}

export interface Migration {
  readonly name: string;
  /** Looks at `count` rows at most. */
  run(count: number): Promise<Outcome>;
}

/** Rows are taken so many at a time: what a kill can undo, and how long anybody waits for one of them. */
export const BATCH_ROWS = 50;

export const NOTHING: Batch = Object.freeze({ found: 0, done: 0, setAside: 0 });

export interface CellMigration {
  readonly name: string;
  /** One transaction, of BATCH_ROWS at most; finds nothing once it has seen all. @throws ServiceError */
  batch(limit: number): Promise<Batch>;
}

export function sum(one: Batch, other: Batch): Batch {
  return { found: one.found + other.found, done: one.done + other.done, setAside: one.setAside + other.setAside };
}
