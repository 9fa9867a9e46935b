/**
 * The reader for texts that JSON.parse refuses or would read wrongly: JSON with NaN, Infinity, -Infinity and integers
 * of any size, as Python writes it. Slower than JSON.parse, and asked only then. The caller bounds the nesting.
 */

/** Python's own limit (sys.int_max_str_digits): longer ones it would not read either. */
const INTEGER_DIGITS_MAX = 4_300;
const SPACE = /[ \t\n\r]*/y;
const SCALAR = /NaN|-?Infinity|true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const INTEGER = /^-?[0-9]+$/;
const BACKSLASH = 0x5c;

/** Integers beyond 2^53 become a bigint. @throws SyntaxError without a word of the text */
export function parsePythonJson(text: string): unknown {
  return new Reader(text).document();
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): unknown {
    const value = this.#value();
    if (this.#peek() !== undefined) throw new SyntaxError('something follows the value');
    return value;
  }

  #value(): unknown {
    const first = this.#peek();
    if (first === '{') return this.#object();
    if (first === '[') return this.#list();
    return first === '"' ? this.#string() : this.#scalar();
  }

  #object(): Record<string, unknown> {
    const members: Record<string, unknown> = {};
    this.#at += 1;
    if (this.#peek() === '}') return this.#closed(members);
    for (;;) {
      if (this.#peek() !== '"') throw new SyntaxError('expected a name');
      const name = this.#string();
      this.#expect(':');
      // As JSON.parse has it: an own member, whatever its name.
      if (name === '__proto__') Object.defineProperty(members, name, { value: this.#value(), enumerable: true, writable: true, configurable: true });
      else members[name] = this.#value();
      if (this.#peek() === '}') return this.#closed(members);
      this.#expect(',');
    }
  }

  #list(): unknown[] {
    const items: unknown[] = [];
    this.#at += 1;
    if (this.#peek() === ']') return this.#closed(items);
    for (;;) {
      items.push(this.#value());
      if (this.#peek() === ']') return this.#closed(items);
      this.#expect(',');
    }
  }

  #string(): string {
    const end = endOfString(this.#text, this.#at);
    if (end < 0) throw new SyntaxError('a text without end');
    const quoted = this.#text.slice(this.#at, end + 1);
    this.#at = end + 1;
    return JSON.parse(quoted) as string;
  }

  #scalar(): unknown {
    SCALAR.lastIndex = this.#at;
    const [token] = SCALAR.exec(this.#text) ?? [];
    if (token === undefined) throw new SyntaxError('expected a value');
    this.#at += token.length;
    if (token.endsWith('y') || token === 'NaN') return Number(token);
    return INTEGER.test(token) ? integer(token) : (JSON.parse(token) as unknown);
  }

  /** The next character that is no space, which stays where it is. */
  #peek(): string | undefined {
    SPACE.lastIndex = this.#at;
    SPACE.test(this.#text);
    this.#at = SPACE.lastIndex;
    return this.#text[this.#at];
  }

  #expect(character: string): void {
    if (this.#peek() !== character) throw new SyntaxError(`expected ${character}`);
    this.#at += 1;
  }

  #closed<T>(value: T): T {
    this.#at += 1;
    return value;
  }
}

function integer(token: string): number | bigint {
  if (token.length > INTEGER_DIGITS_MAX) throw new SyntaxError(`an integer of more than ${INTEGER_DIGITS_MAX} digits`);
  const value = Number(token);
  return Number.isSafeInteger(value) ? value : BigInt(token);
}

/** Where the text that opens at `start` closes; -1 when it never does. */
export function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end > 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
  return -1;
}
