/**
 * How Python prints a value. A fingerprint is a hash over printed text, so a default or a word of an enum has to
 * be printed here exactly as Python would. A number is printed as an integer unless it is wrapped in `pyFloat`,
 * for Python tells 1 from 1.0; a list is printed as a list unless it is wrapped in `pyTuple`.
 */

export interface PyFloat {
  readonly float: number;
}

export interface PyTuple {
  readonly tuple: readonly PyValue[];
}

export type PyValue = null | boolean | number | bigint | string | Date | PyFloat | PyTuple | readonly PyValue[] | ReadonlySet<PyValue> | ReadonlyMap<string, PyValue>;

export const pyFloat = (float: number): PyFloat => ({ float });
export const pyTuple = (...tuple: readonly PyValue[]): PyTuple => ({ tuple });

/** What Python's repr() prints. A Date is a datetime in UTC, to the second. */
export function pythonRepr(value: PyValue): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (typeof value === 'string') return reprOfText(value);
  if (value instanceof Date) return reprOfMoment(value);
  if (value instanceof Set) return value.size === 0 ? 'set()' : `{${[...(value as ReadonlySet<PyValue>)].map(pythonRepr).join(', ')}}`;
  if (value instanceof Map) return `{${[...(value as ReadonlyMap<string, PyValue>)].map(([key, each]) => `${reprOfText(key)}: ${pythonRepr(each)}`).join(', ')}}`;
  if (Array.isArray(value)) return `[${(value as readonly PyValue[]).map(pythonRepr).join(', ')}]`;
  if ('float' in value) return reprOfFloat(value.float);
  const { tuple } = value as PyTuple;
  return tuple.length === 1 ? `(${pythonRepr(tuple[0] ?? null)},)` : `(${tuple.map(pythonRepr).join(', ')})`;
}

/** What Python's str() prints: a text as it is, a moment as people read it, anything else as repr(). */
export function pythonStr(value: PyValue): string {
  if (typeof value === 'string') return value;
  if (value instanceof Date) return `${value.toISOString().slice(0, 19).replace('T', ' ')}+00:00`;
  return pythonRepr(value);
}

const NAMED_ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
// What Python's str.isprintable() is false for, but the space.
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;

function reprOfText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = Array.from(text, (character) => {
    if (character === quote) return `\\${quote}`;
    return NAMED_ESCAPES[character] ?? (UNPRINTABLE.test(character) ? escapeOf(character) : character);
  });
  return `${quote}${escaped.join('')}${quote}`;
}

function escapeOf(character: string): string {
  const point = character.codePointAt(0) ?? 0;
  const [letter, digits] = point < 0x100 ? ['x', 2] : point < 0x10000 ? ['u', 4] : ['U', 8];
  return `\\${letter}${point.toString(16).padStart(digits, '0')}`;
}

// Both languages print the shortest digits that read back; they differ in when the exponent is shown, and how.
function reprOfFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  const [digits = '', exponent = '0'] = value.toExponential().split('e');
  const power = Number(exponent);
  if (power < -4 || power >= 16) return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  const plain = Object.is(value, -0) ? '-0' : String(value);
  return plain.includes('.') ? plain : `${plain}.0`;
}

function reprOfMoment(value: Date): string {
  const [year, month, day, hour, minute, second] = [value.getUTCFullYear(), value.getUTCMonth() + 1, value.getUTCDate(), value.getUTCHours(), value.getUTCMinutes(), value.getUTCSeconds()];
  const time = second === 0 ? [hour, minute] : [hour, minute, second];
  return `datetime.datetime(${[year, month, day, ...time].join(', ')}, tzinfo=datetime.timezone.utc)`;
}
