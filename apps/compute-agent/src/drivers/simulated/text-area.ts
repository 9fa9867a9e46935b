/**
 * The pad one types into: logical lines, a caret, and the part of them that fits. Knows nothing of pixels or of the
 * keyboard. What grows by typing is bounded: the oldest lines go first.
 */
import { hasGlyph } from './font.ts';

const LINES_MAX = 400;
const LINE_CHARACTERS_MAX = 2_000;
const CHARACTERS_MAX = 32_000;
const TAB_WIDTH = 4;
/** Stands for what the font cannot draw; one code unit, so that columns can be counted by length. */
const UNDRAWN = '\uFFFD';

export type Direction = 'left' | 'right' | 'up' | 'down' | 'home' | 'end';

export interface TextView {
  readonly rows: readonly string[];
  readonly caretRow: number;
  readonly caretColumn: number;
  /** Whether something was scrolled out at the top. */
  readonly scrolled: boolean;
}

interface VisualRow {
  readonly line: number;
  readonly start: number;
  readonly text: string;
}

export class TextArea {
  readonly #columns: number;
  readonly #rows: number;
  #lines: string[] = [''];
  /** Of all lines together. */
  #characters = 0;
  #line = 0;
  #column = 0;
  #top = 0;

  constructor(columns: number, rows: number) {
    this.#columns = columns;
    this.#rows = rows;
  }

  insert(character: string): void {
    if (character === '\t') return this.insert(' '.repeat(TAB_WIDTH - (this.#column % TAB_WIDTH)));
    for (const one of character) {
      const drawn = hasGlyph(one.codePointAt(0) ?? 0) ? one : UNDRAWN;
      if (this.#current.length >= LINE_CHARACTERS_MAX) this.newline();
      this.#current = this.#current.slice(0, this.#column) + drawn + this.#current.slice(this.#column);
      this.#column += 1;
    }
    this.#dropOldest();
  }

  newline(): void {
    const rest = this.#current.slice(this.#column);
    this.#current = this.#current.slice(0, this.#column);
    this.#lines.splice(this.#line + 1, 0, rest);
    this.#characters += rest.length;
    this.#line += 1;
    this.#column = 0;
    this.#dropOldest();
  }

  backspace(): void {
    if (this.#column > 0) {
      this.#current = this.#current.slice(0, this.#column - 1) + this.#current.slice(this.#column);
      this.#column -= 1;
    } else if (this.#line > 0) {
      this.#line -= 1;
      this.#column = this.#current.length;
      this.#joinNext();
    }
  }

  /** Deletes the character at the caret, or the line's end. */
  deleteForward(): void {
    if (this.#column < this.#current.length) {
      this.#current = this.#current.slice(0, this.#column) + this.#current.slice(this.#column + 1);
    } else if (this.#line < this.#lines.length - 1) {
      this.#joinNext();
    }
  }

  clear(): void {
    this.#lines = [''];
    this.#characters = 0;
    this.#line = 0;
    this.#column = 0;
    this.#top = 0;
  }

  move(direction: Direction): void {
    if (direction === 'home') this.#column = 0;
    else if (direction === 'end') this.#column = this.#current.length;
    else if (direction === 'left') this.#stepLeft();
    else if (direction === 'right') this.#stepRight();
    else this.#stepRow(direction === 'up' ? -1 : 1);
  }

  /** The rows to show, scrolled so that the caret is among them. */
  view(): TextView {
    const rows = this.#visualRows();
    const caret = this.#caretRow(rows);
    if (caret < this.#top) this.#top = caret;
    if (caret >= this.#top + this.#rows) this.#top = caret - this.#rows + 1;
    this.#top = Math.max(0, Math.min(this.#top, rows.length - this.#rows));
    return {
      rows: rows.slice(this.#top, this.#top + this.#rows).map((row) => row.text),
      caretRow: caret - this.#top,
      caretColumn: this.#column - rows[caret]!.start,
      scrolled: this.#top > 0,
    };
  }

  get #current(): string {
    return this.#lines[this.#line]!;
  }

  set #current(text: string) {
    this.#characters += text.length - this.#current.length;
    this.#lines[this.#line] = text;
  }

  #joinNext(): void {
    const [next = ''] = this.#lines.splice(this.#line + 1, 1);
    this.#characters -= next.length;
    this.#current = (this.#current + next).slice(0, LINE_CHARACTERS_MAX);
  }

  #stepLeft(): void {
    if (this.#column > 0) this.#column -= 1;
    else if (this.#line > 0) {
      this.#line -= 1;
      this.#column = this.#current.length;
    }
  }

  #stepRight(): void {
    if (this.#column < this.#current.length) this.#column += 1;
    else if (this.#line < this.#lines.length - 1) {
      this.#line += 1;
      this.#column = 0;
    }
  }

  #stepRow(by: -1 | 1): void {
    const columnInRow = this.#column % this.#columns;
    let start = this.#column - columnInRow + by * this.#columns;
    if (start < 0 || (by > 0 && start >= this.#current.length)) {
      const next = this.#lines[this.#line + by];
      if (next === undefined) return;
      this.#line += by;
      start = by > 0 ? 0 : lastRowStart(next, this.#columns);
    }
    this.#column = Math.min(start + columnInRow, start + this.#columns, this.#current.length);
  }

  /** Lines cut at the width; a caret just past a full row gets a row of its own. */
  #visualRows(): VisualRow[] {
    const rows: VisualRow[] = [];
    this.#lines.forEach((text, line) => {
      const caretPast = line === this.#line && this.#column === text.length && text.length > 0;
      const end = caretPast ? text.length + 1 : Math.max(1, text.length);
      for (let start = 0; start < end; start += this.#columns) {
        rows.push({ line, start, text: text.slice(start, start + this.#columns) });
      }
    });
    return rows;
  }

  #caretRow(rows: readonly VisualRow[]): number {
    return rows.findLastIndex((row) => row.line === this.#line && row.start <= this.#column);
  }

  #dropOldest(): void {
    while (this.#lines.length > 1 && (this.#lines.length > LINES_MAX || this.#characters > CHARACTERS_MAX)) {
      // A caret in the first line keeps its line: then the last one goes.
      const dropped = this.#line > 0 ? this.#lines.shift()! : this.#lines.pop()!;
      if (this.#line > 0) this.#line -= 1;
      this.#characters -= dropped.length;
    }
  }
}

function lastRowStart(line: string, columns: number): number {
  return Math.floor(Math.max(0, line.length - 1) / columns) * columns;
}
