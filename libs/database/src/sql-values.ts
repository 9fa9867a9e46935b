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
  1114: (text) => new Date(`${text.replace(' ', 'T')}Z`), // timestamp
  3802: (text) => JSON.parse(text) as unknown, // jsonb
};

export function parserOf(oid: number): (text: string) => unknown {
  return PARSERS[oid] ?? (pg.types.getTypeParser(oid, 'text') as (text: string) => unknown);
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
