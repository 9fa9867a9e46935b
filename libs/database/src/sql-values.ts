/**
 * Values as PostgreSQL writes and reads them in text, for statements that go to it without Prisma; to and from the same types
 * of JavaScript as Prisma's raw queries. Timestamps are without a zone and mean UTC, whatever this process's zone is.
 */
import pg from 'pg';

/** By the oids of pg_type. */
const PARSERS: Readonly<Record<number, (text: string) => unknown>> = {
  16: (text) => text === 't', // bool
  20: BigInt, // int8
  21: Number, // int2
  23: Number, // int4
  114: (text) => JSON.parse(text) as unknown, // json
  1114: momentOf, // timestamp
  3802: (text) => JSON.parse(text) as unknown, // jsonb
};

export function parserOf(oid: number): (text: string) => unknown {
  return PARSERS[oid] ?? (pg.types.getTypeParser(oid, 'text') as (text: string) => unknown);
}

/** Of `2026-03-01 12:00:00.12`: without its fraction, and with all that our columns keep. */
const [MOMENT_CHARS_MIN, MOMENT_CHARS_MAX] = [19, 23];

/**
 * An invalid Date for what JavaScript has none for: infinity, years before the first. Date's own reader takes three times as long as
 * counting, and a list has hundreds of moments.
 */
function momentOf(text: string): Date {
  const isUsual = text.length >= MOMENT_CHARS_MIN && text.length <= MOMENT_CHARS_MAX && text.charAt(4) === '-' && text.charAt(0) > '0' && !text.endsWith('C');
  if (!isUsual) return new Date(`${text.replace(' ', 'T')}Z`);
  const twoDigits = (at: number): number => text.charCodeAt(at) * 10 + text.charCodeAt(at + 1) - 528; // 11 times '0'
  const milliseconds = Math.round(Number(`0${text.slice(MOMENT_CHARS_MIN)}`) * 1_000);
  return new Date(Date.UTC(twoDigits(0) * 100 + twoDigits(2), twoDigits(5) - 1, twoDigits(8), twoDigits(11), twoDigits(14), twoDigits(17), milliseconds));
}

/** @throws TypeError: a value that no column of ours takes */
export function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return `{${value.map(elementOf).join(',')}}`;
  throw new TypeError(`a ${typeof value} is no value of a statement; expected a text, a number, a boolean, a Date, null or an array of them`);
}

function elementOf(value: unknown): string {
  const text = textOf(value);
  return text === null ? 'NULL' : `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
