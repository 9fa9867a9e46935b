/**
 * JSON as Python's `json` module reads and writes it, which is more than JSON: NaN, Infinity and -Infinity stand
 * bare, and integers have any size. One such number must not make a whole message unreadable, and none may be
 * silently another: a long integer becomes a bigint, the three become JavaScript's numbers of the same name, and the
 * fields decide, by path, what they take (all of ours refuse both). Written, each is again what Python reads.
 *
 * JSON.parse and JSON.stringify do the work wherever they can be trusted with it, so that the usual message costs no
 * more than they do.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { JsonObject } from '@gatehouse/objects/field';
import { endOfString, parsePythonJson } from './python-json.ts';

const NESTING_MAX = 100;
/** Far above what any field takes. To build many small values costs far more than to read as many bytes of text. */
export const VALUES_MAX = 1_000_000;

/** 2^53 has sixteen digits; shorter integers are exact in JSON.parse. */
const LONG_DIGITS = 16;
/** The digits after what may stand before a number: never missed outside of texts, and nearly never found in one. */
const LONG_INTEGER = /[[:,\s-]\d{16}/;

/**
 * The object in the text. `what` names the text in a refusal, which never quotes it; a text of which the caller knows
 * that it holds no long integer need not be searched for one.
 * @throws ServiceError INVALID_ARGUMENT when it is no JSON object, nested deeper than NESTING_MAX, or has more than
 * VALUES_MAX values (commas, strictly: those within texts count as well)
 */
export function parseObject(text: string, what: string, mayHoldLongIntegers = true): JsonObject {
  if (text.length > VALUES_MAX && hasMoreThan(text, ',', VALUES_MAX)) refuse(`${what} has more than ${VALUES_MAX} values`);
  if (isDeeperThan(text, NESTING_MAX)) refuse(`${what} is nested deeper than ${NESTING_MAX}`);
  const value = parse(text, what, mayHoldLongIntegers);
  if (!isObject(value)) refuse(`${what} is not a JSON object`);
  return value;
}

function parse(text: string, what: string, mayHoldLongIntegers: boolean): unknown {
  if (!mayHoldLongIntegers || !hasLongRunOfDigits(text) || !LONG_INTEGER.test(text)) {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      // Perhaps only JavaScript's parser cannot read it.
    }
  }
  try {
    return parsePythonJson(text);
  } catch {
    // The parser's own words may quote the body, and the body may hold a token.
    refuse(`${what} is not JSON`);
  }
}

/** Looks at every sixteenth character only, and costs a tenth of the pattern that it spares. */
function hasLongRunOfDigits(text: string): boolean {
  for (let at = LONG_DIGITS - 1; at < text.length; at += LONG_DIGITS) {
    if (!isDigit(text.charCodeAt(at))) continue;
    let [first, last] = [at, at];
    while (last - first < LONG_DIGITS && isDigit(text.charCodeAt(first - 1))) first--;
    while (last - first < LONG_DIGITS && isDigit(text.charCodeAt(last + 1))) last++;
    if (last - first + 1 >= LONG_DIGITS) return true;
  }
  return false;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** The value as text that Python and parseObject read back as the same value. `undefined` members are left out. */
export function jsonText(value: unknown): string {
  return isPlain(value) ? (JSON.stringify(value) ?? 'null') : exactText(value);
}

/**
 * Whether JSON.stringify writes it as it is. Of a bigint it makes an error, of a number that is not finite null, and
 * of one beyond 2^53, which can only be a float, what would be read as another integer.
 */
function isPlain(value: unknown): boolean {
  if (typeof value === 'string') return true;
  if (typeof value === 'number') return isExact(value);
  if (typeof value !== 'object' || value === null) return typeof value !== 'bigint';
  if (Array.isArray(value)) return value.every(isPlain);
  for (const name in value) if (!isPlain((value as JsonObject)[name])) return false;
  return true;
}

function isExact(value: number): boolean {
  return Math.abs(value) <= Number.MAX_SAFE_INTEGER;
}

function exactText(value: unknown): string {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return isExact(value) || !Number.isFinite(value) ? String(value) : value.toExponential();
  if (Array.isArray(value)) return `[${value.map(exactText).join(',')}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value).filter(([, each]) => each !== undefined);
  return `{${members.map(([name, each]) => `${JSON.stringify(name)}:${exactText(each)}`).join(',')}}`;
}

/** Deep nesting must not reach recursive readers. Few brackets cannot nest deep, and most messages have few. */
function isDeeperThan(text: string, depthMax: number): boolean {
  return hasMoreThan(text, '{', depthMax / 2) || hasMoreThan(text, '[', depthMax / 2) ? isNestedDeeper(text, depthMax) : false;
}

function hasMoreThan(text: string, character: string, countMax: number): boolean {
  let count = 0;
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) if (++count > countMax) return true;
  return false;
}

const QUOTE = 0x22;

/** Counts brackets outside of strings, without building anything. */
function isNestedDeeper(text: string, depthMax: number): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) {
      i = endOfString(text, i);
      if (i < 0) return false;
    } else if (code === 0x5b || code === 0x7b) {
      if (++depth > depthMax) return true;
    } else if (code === 0x5d || code === 0x7d) depth--;
  }
  return false;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refuse(problem: string): never {
  throw new ServiceError('INVALID_ARGUMENT', problem);
}
