/**
 * The typed line of a terminal without any display of its own: bytes go in, the echo comes out, and whole lines are
 * handed on. Knows printable text, editing keys, the four arrows and the control keys of a Unix terminal.
 */
import { StringDecoder } from 'node:string_decoder';

export const LINE_CHARACTERS_MAX = 1_024;
const HISTORY_MAX = 100;
const ESCAPE_CHARACTERS_MAX = 16;

const BELL = '\x07';
const CLEAR_SCREEN = '\x1b[H\x1b[2J';

export type EditorEvent =
  | { readonly type: 'echo'; readonly text: string }
  | { readonly type: 'line'; readonly text: string }
  /** Ctrl-C: the line is dropped. */
  | { readonly type: 'interrupt' }
  /** Ctrl-D on an empty line. */
  | { readonly type: 'end' }
  /** The prompt and the line are to be written again, after `before`. */
  | { readonly type: 'redraw'; readonly before: string };

export class LineEditor {
  readonly #decoder = new StringDecoder('utf8');
  #characters: string[] = [];
  #caret = 0;
  #escape: string | null = null;
  #afterReturn = false;
  #history: string[] = [];
  #historyAt = 0;

  get history(): readonly string[] {
    return this.#history;
  }

  /** The line so far and how far the caret stands from its end: what a redraw has to show. */
  get shown(): string {
    const back = this.#characters.length - this.#caret;
    return this.#characters.join('') + '\b'.repeat(back);
  }

  /** Forgets the line and the history, as a terminal whose shell has gone. */
  reset(): void {
    this.#set('');
    this.#history = [];
    this.#historyAt = 0;
  }

  *feed(bytes: Buffer): Generator<EditorEvent, void, void> {
    for (const character of this.#decoder.write(bytes)) {
      const event = this.#take(character);
      if (event !== null) yield event;
    }
  }

  #take(character: string): EditorEvent | null {
    if (this.#escape !== null) return this.#takeEscape(character);
    const isSecondOfPair = this.#afterReturn && character === '\n';
    this.#afterReturn = character === '\r';
    if (isSecondOfPair) return null;
    if (character === '\r' || character === '\n') return this.#enter();
    if (character === '\x1b') {
      this.#escape = '';
      return null;
    }
    return character < ' ' || character === '\x7f' ? this.#control(character) : this.#insert(character);
  }

  #control(character: string): EditorEvent | null {
    switch (character) {
      case '\x7f':
      case '\b':
        return this.#backspace(1);
      case '\x01':
        return this.#moveTo(0);
      case '\x05':
        return this.#moveTo(this.#characters.length);
      case '\x03':
        this.#set('');
        return { type: 'interrupt' };
      case '\x04':
        return this.#characters.length === 0 ? { type: 'end' } : null;
      case '\x0c':
        return { type: 'redraw', before: CLEAR_SCREEN };
      case '\x15':
        return this.#backspace(this.#caret);
      case '\x17':
        return this.#backspace(this.#wordBehind());
      default:
        return null;
    }
  }

  /** `ESC [ x` and `ESC O x`; a longer sequence is swallowed up to its final letter. */
  #takeEscape(character: string): EditorEvent | null {
    const sequence = this.#escape! + character;
    const isOpen = sequence === '[' || sequence === 'O' || /^\[[0-9;?]*$/.test(sequence);
    if (isOpen && sequence.length < ESCAPE_CHARACTERS_MAX) {
      this.#escape = sequence;
      return null;
    }
    this.#escape = null;
    switch (sequence.replace('O', '[')) {
      case '[A':
        return this.#recall(-1);
      case '[B':
        return this.#recall(1);
      case '[C':
        return this.#moveTo(this.#caret + 1);
      case '[D':
        return this.#moveTo(this.#caret - 1);
      case '[H':
        return this.#moveTo(0);
      case '[F':
        return this.#moveTo(this.#characters.length);
      case '[3~':
        return this.#deleteForward();
      default:
        return null;
    }
  }

  #enter(): EditorEvent {
    const text = this.#characters.join('');
    if (text.trim() !== '' && this.#history.at(-1) !== text) this.#history.push(text);
    if (this.#history.length > HISTORY_MAX) this.#history.shift();
    this.#historyAt = this.#history.length;
    this.#set('');
    return { type: 'line', text };
  }

  #insert(character: string): EditorEvent {
    if (this.#characters.length >= LINE_CHARACTERS_MAX) return echo(BELL);
    this.#characters.splice(this.#caret, 0, character);
    this.#caret += 1;
    const tail = this.#characters.slice(this.#caret);
    return echo(character + tail.join('') + '\b'.repeat(tail.length));
  }

  #backspace(count: number): EditorEvent | null {
    if (this.#caret === 0 || count === 0) return null;
    this.#caret -= count;
    this.#characters.splice(this.#caret, count);
    const tail = this.#characters.slice(this.#caret);
    return echo('\b'.repeat(count) + tail.join('') + ' '.repeat(count) + '\b'.repeat(tail.length + count));
  }

  #deleteForward(): EditorEvent | null {
    if (this.#caret >= this.#characters.length) return null;
    this.#characters.splice(this.#caret, 1);
    const tail = this.#characters.slice(this.#caret);
    return echo(`${tail.join('')} ${'\b'.repeat(tail.length + 1)}`);
  }

  #moveTo(place: number): EditorEvent | null {
    const target = Math.max(0, Math.min(place, this.#characters.length));
    const from = this.#caret;
    this.#caret = target;
    if (target === from) return null;
    return echo(target < from ? '\b'.repeat(from - target) : this.#characters.slice(from, target).join(''));
  }

  #recall(step: -1 | 1): EditorEvent | null {
    const target = this.#historyAt + step;
    if (target < 0 || target > this.#history.length) return null;
    this.#historyAt = target;
    this.#set(this.#history[target] ?? '');
    return { type: 'redraw', before: '\r\x1b[K' };
  }

  /** How many characters the word before the caret and the blanks after it have. */
  #wordBehind(): number {
    const before = this.#characters.slice(0, this.#caret).join('');
    return [...(/\S*\s*$/.exec(before)?.[0] ?? '')].length;
  }

  #set(text: string): void {
    this.#characters = [...text];
    this.#caret = this.#characters.length;
  }
}

function echo(text: string): EditorEvent {
  return { type: 'echo', text };
}
