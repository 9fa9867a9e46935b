/**
 * What a database driver threw, as a ServiceError: the one place that knows Prisma's and PostgreSQL's codes.
 * Messages are ours: the drivers' may quote rows, and a URL's password must never reach a log.
 */
import { ServiceError, isServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';

interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
}

const UNREACHABLE: Refusal = { code: 'UNAVAILABLE', message: 'the database cannot be reached' };
const BUSY: Refusal = { code: 'UNAVAILABLE', message: 'the database is too busy to answer in time; try again' };
const REFUSED_US: Refusal = { code: 'UNAVAILABLE', message: 'the database refused our user or password' };
const NO_DATABASE: Refusal = { code: 'UNAVAILABLE', message: 'the database that the URL names does not exist' };
const NO_TABLES: Refusal = { code: 'UNAVAILABLE', message: 'the database has not been migrated yet' };
const OLD_TABLES: Refusal = { code: 'UNAVAILABLE', message: 'the database has not been migrated to this release yet' };
const NO_PERMISSION: Refusal = { code: 'UNAVAILABLE', message: 'our user may not do this in the database: it lacks a permission' };
const READ_ONLY: Refusal = { code: 'UNAVAILABLE', message: 'the database takes no writes: it is a standby, or read-only' };
const CONFLICT: Refusal = { code: 'UNAVAILABLE', message: 'another transaction changed the same rows; try again' };
const TAKEN: Refusal = { code: 'ALREADY_EXISTS', message: 'a row with the same key exists already' };
const NO_PARENT: Refusal = { code: 'FAILED_PRECONDITION', message: 'the row that this one refers to does not exist, or is still referred to' };
const BAD_TEXT: Refusal = { code: 'INVALID_ARGUMENT', message: 'a text holds a NUL character, or is no UTF-8; the database keeps neither' };
const BAD_VALUE: Refusal = { code: 'INVALID_ARGUMENT', message: 'a value does not fit its column' };

/** By SQLSTATE (postgresql.org, appendix A): whole codes first, then classes. */
const BY_SQLSTATE: Readonly<Record<string, Refusal>> = {
  '23505': TAKEN,
  '23503': NO_PARENT,
  '23001': NO_PARENT,
  '22021': BAD_TEXT,
  '22P05': BAD_TEXT,
  '23502': BAD_VALUE,
  '23514': BAD_VALUE,
  '42P01': NO_TABLES,
  '3F000': NO_TABLES,
  '42703': OLD_TABLES,
  '42501': NO_PERMISSION,
  '25006': READ_ONLY,
  '3D000': NO_DATABASE,
  '28000': REFUSED_US,
  '28P01': REFUSED_US,
  '40001': CONFLICT,
  '40P01': CONFLICT,
  '55P03': CONFLICT,
  '57014': BUSY,
  '53': BUSY,
  '22': BAD_VALUE,
  '08': UNREACHABLE,
  '57': UNREACHABLE,
};

/** Prisma's own codes, for what never reached a SQLSTATE. */
const BY_PRISMA: Readonly<Record<string, Refusal>> = {
  P1000: REFUSED_US,
  P1001: UNREACHABLE,
  P1002: BUSY,
  P1003: NO_DATABASE,
  P1008: BUSY,
  P1010: REFUSED_US,
  P1011: UNREACHABLE,
  P1017: UNREACHABLE,
  P2000: BAD_VALUE,
  P2002: TAKEN,
  P2003: NO_PARENT,
  P2006: BAD_VALUE,
  P2007: BAD_VALUE,
  P2011: BAD_VALUE,
  P2020: BAD_VALUE,
  P2021: NO_TABLES,
  P2023: BAD_VALUE,
  P2024: BUSY,
  P2025: { code: 'NOT_FOUND', message: 'no such row' },
  P2028: BUSY,
  P2033: BAD_VALUE,
  P2034: CONFLICT,
  P2037: BUSY,
};

const SOCKET_CODES = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'EPIPE', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOENT', 'EACCES']);
/** node-postgres says these without a code. */
const DRIVER_WORDS: readonly (readonly [RegExp, Refusal])[] = [
  [/^Connection terminated|^Client has encountered a connection error|^Cannot use a pool after/, UNREACHABLE],
  [/^timeout exceeded when trying to connect|^Query read timeout|timeout expired/, BUSY],
];

/** @returns the error itself if it is a ServiceError; never one whose message quotes a row, a URL or a password */
export function toDatabaseError(error: unknown): ServiceError {
  for (const each of chain(error)) {
    if (isServiceError(each)) return each;
    const refusal = refusalOf(each);
    if (refusal !== undefined) return new ServiceError(refusal.code, refusal.message, { cause: error });
  }
  return new ServiceError('INTERNAL', 'the database answered something unexpected', { cause: error });
}

/** True when the same work may well succeed if it is simply done again. */
export function isWriteConflict(error: unknown): boolean {
  return isServiceError(error) && error.code === 'UNAVAILABLE' && error.message === CONFLICT.message;
}

/** An error and its causes, at most eight deep: Prisma wraps the adapter's error, which wraps the driver's. */
function* chain(error: unknown): Generator<Record<string, unknown>> {
  const waiting: unknown[] = [error];
  for (let seen = 0; waiting.length > 0 && seen < 8; seen += 1) {
    const each = waiting.shift();
    if (typeof each !== 'object' || each === null) continue;
    const fields = each as Record<string, unknown>;
    yield fields;
    const meta = fields['meta'] as Record<string, unknown> | undefined;
    waiting.push(meta?.['driverAdapterError'], fields['cause']);
    if (Array.isArray(fields['errors'])) waiting.push(...(fields['errors'] as unknown[]).slice(0, 2));
  }
}

function refusalOf(error: Record<string, unknown>): Refusal | undefined {
  const state = error['originalCode'] ?? error['code'];
  if (typeof state === 'string') {
    if (SOCKET_CODES.has(state)) return UNREACHABLE;
    const known = BY_SQLSTATE[state] ?? (state.length === 5 && !state.startsWith('P') ? BY_SQLSTATE[state.slice(0, 2)] : BY_PRISMA[state]);
    if (known !== undefined) return known;
  }
  if (error['kind'] === 'DatabaseNotReachable' || error['kind'] === 'ConnectionClosed' || error['kind'] === 'TlsConnectionError') return UNREACHABLE;
  if (error['name'] === 'PrismaClientInitializationError') return UNREACHABLE;
  // What Prisma calls a validation error is a value of the wrong type in our own call.
  if (error['name'] === 'PrismaClientValidationError') return BAD_VALUE;
  const message = typeof error['message'] === 'string' ? error['message'] : '';
  return DRIVER_WORDS.find(([words]) => words.test(message))?.[1];
}
