/**
 * Nova is Python, and its refusals show the refused value as Python prints it (`None`, `'x'`,
 * `{'name': 5}`). Clients match on these texts, so the api prints the same. Long values are cut: an
 * error never echoes a whole body.
 */
import type { JsonValue } from './json.ts';

/** Longest text of a refused value inside an error message, in characters. */
const VALUE_CHARS_MAX = 2000;

/** The value as Python's `str()` shows it: a string bare, anything else as `repr()`. */
export function pythonStr(value: JsonValue | undefined): string {
  return cut(typeof value === 'string' ? value : repr(value));
}

/** The value as Python's `repr()` shows it: strings quoted, None, True and False. */
export function pythonRepr(value: JsonValue | undefined): string {
  return cut(repr(value));
}

function repr(value: JsonValue | undefined): string {
  if (value === null || value === undefined) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) return `[${value.map(repr).join(', ')}]`;
  const pairs = Object.entries(value).map(([key, item]) => `${quote(key)}: ${repr(item)}`);
  return `{${pairs.join(', ')}}`;
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function quote(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  let out = mark;
  for (const char of text) out += ESCAPES[char] ?? (char === mark ? `\\${char}` : printable(char));
  return out + mark;
}

function printable(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  if (code >= 0x20 && code !== 0x7f && !/[\p{C}\p{Zl}\p{Zp}]/u.test(char)) return char;
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, '0')}`;
  if (code <= 0xffff) return `\\u${code.toString(16).padStart(4, '0')}`;
  return `\\U${code.toString(16).padStart(8, '0')}`;
}

function cut(text: string): string {
  return text.length <= VALUE_CHARS_MAX ? text : `${text.slice(0, VALUE_CHARS_MAX)}...`;
}
