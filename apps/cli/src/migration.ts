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

export interface Migration {
  readonly name: string;
  /** Looks at `count` rows at most, or takes several batches of so many. `ended`: of each that has, for a line of its own. */
  run(count: number, ended: (batch: Batch) => void): Promise<readonly Failure[]>;
}

/** Rows are taken so many at a time: what a kill can undo, and how long anybody waits for one of them. */
export const BATCH_ROWS = 50;

/** Batches of one cell that are under way at one time: a batch mostly waits for its two databases, one after the other. */
export const LANES = 4;

/** Batches of one cell, all lanes together, in one pass of a run without a limit: at its end they wait for the last of them. */
export const PASS_BATCHES = 80;

export const NOTHING: Batch = Object.freeze({ found: 0, done: 0, setAside: 0 });

export interface CellMigration {
  readonly name: string;
  /** Several batches may be under way at one time. */
  readonly hasLanes: boolean;
  /** One transaction, of BATCH_ROWS at most; finds nothing once it has seen all. @throws ServiceError */
  batch(limit: number): Promise<Batch>;
}

export function sum(...batches: readonly Batch[]): Batch {
  return batches.reduce((total, { found, done, setAside }) => ({ found: total.found + found, done: total.done + done, setAside: total.setAside + setAside }), NOTHING);
}
