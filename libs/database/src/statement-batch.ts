/**
 * Several statements in one message to the server, and their answers in one back: what a round trip costs, here and there, is
 * most of what a short statement costs. Each is prepared once a connection and called by its name afterwards, with
 * the columns of its answer remembered.
 *
 * Outside a transaction the statements of a batch are one transaction by themselves (postgresql.org, "Extended Query
 * Pipelining"); the first that fails ends the batch. In READ COMMITTED each sees what was committed before it began.
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { parserOf, textOf } from './sql-values.ts';

export interface Statement {
  /** With $1, $2, ... where the values belong. */
  readonly text: string;
  readonly values: readonly unknown[];
}

export interface Answer {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** Rows that were written, or read. */
  readonly count: number;
  /** What was done: SELECT, COMMIT, ROLLBACK, ... */
  readonly command: string;
}

interface Column {
  readonly name: string;
  readonly parse: (text: string) => unknown;
}

/** What node-postgres' connection does beyond its types: it takes one argument. */
interface Wire {
  readonly stream: { cork(): void; uncork(): void };
  parse(message: object): void;
  bind(message: object): void;
  describe(message: object): void;
  execute(message: object): void;
  close(message: object): void;
  sync(): void;
}

/** Texts that are prepared; a statement beyond them, of a filter of many forms, is sent whole each time. */
const PREPARED_MAX = 256;
const NAME_LENGTH = 24;
const names = new Map<string, string>();
/** Connection -> name -> its columns, of what is prepared there. */
const prepared = new WeakMap<object, Map<string, readonly Column[]>>();

/** Made of the text: connections of several pools to one server may meet in a pooler. */
function nameOf(text: string): string {
  const known = names.get(text);
  if (known !== undefined) return known;
  if (names.size >= PREPARED_MAX) return '';
  const name = createHash('sha256').update(text).digest('base64url').slice(0, NAME_LENGTH);
  names.set(text, name);
  return name;
}

/** For `pg.Client.query`: one use. */
export class StatementBatch {
  /** Called once; node-postgres puts its own timeout around it. */
  callback: (error: Error | null) => void;
  readonly #statements: readonly { readonly text: string; readonly values: readonly (string | null)[] }[];
  readonly #isPrepared: boolean;
  readonly #answers: Answer[] = [];
  #known = new Map<string, readonly Column[]>();
  #columns: readonly Column[] = [];
  #rows: Record<string, unknown>[] = [];
  #failure: Error | null = null;

  /** @throws TypeError: a value that no column of ours takes */
  constructor(statements: readonly Statement[], isPrepared: boolean, done: (error: Error | null, answers: readonly Answer[]) => void) {
    // Here, and not when its turn comes: what is thrown then is nobody's to catch.
    this.#statements = statements.map(({ text, values }) => ({ text, values: values.map(textOf) }));
    this.#isPrepared = isPrepared;
    this.callback = (error) => done(error, this.#answers);
  }

  submit(connection: pg.Connection): void {
    const wire = connection as unknown as Wire;
    const known = prepared.get(connection) ?? new Map<string, readonly Column[]>();
    prepared.set(connection, known);
    this.#known = known;
    wire.stream.cork();
    try {
      for (const [index, { text, values }] of this.#statements.entries()) {
        const name = this.#name(index);
        const isKnown = name !== '' && known.has(name);
        // A statement that was prepared and then failed may be there without our knowing.
        if (!isKnown && name !== '') wire.close({ type: 'S', name });
        if (!isKnown) wire.parse({ text, name });
        wire.bind({ portal: '', statement: name, values, binary: false });
        if (!isKnown) wire.describe({ type: 'P', name: '' });
        wire.execute({ portal: '', rows: 0 });
      }
      wire.sync();
      this.#columns = this.#columnsOf(0);
    } finally {
      wire.stream.uncork();
    }
  }

  handleRowDescription({ fields }: { readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[] }): void {
    this.#columns = fields.map(({ name, dataTypeID }) => ({ name, parse: parserOf(dataTypeID) }));
  }

  handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }): void {
    const row: Record<string, unknown> = {};
    try {
      // By its index: a list has thousands of fields, and iterating over entries costs as much as reading them.
      for (let index = 0; index < this.#columns.length; index += 1) {
        const { name, parse } = this.#columns[index] as Column;
        const text = fields[index] ?? null;
        row[name] = text === null ? null : parse(text);
      }
      this.#rows.push(row);
    } catch (error) {
      this.#failure ??= error as Error;
    }
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    const name = this.#name(this.#answers.length);
    if (name !== '') this.#known.set(name, this.#columns);
    const words = text.split(' ');
    this.#answers.push({ rows: this.#rows, count: Number(words.at(-1)) || 0, command: words[0] ?? '' });
    this.#rows = [];
    this.#columns = this.#columnsOf(this.#answers.length);
  }

  handleReadyForQuery(): void {
    this.callback(this.#failure);
  }

  handleError(error: Error): void {
    this.callback(error);
  }

  /** No statement of ours is empty, is read in parts, or copies. */
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}

  #name(index: number): string {
    const statement = this.#statements[index];
    return this.#isPrepared && statement !== undefined ? nameOf(statement.text) : '';
  }

  #columnsOf(index: number): readonly Column[] {
    return this.#known.get(this.#name(index)) ?? [];
  }
}
