/** Refusals of values: what was wrong, by its path, and never more of the value than can be shown to anybody. */
import { ServiceError } from '@gatehouse/errors/service-error';

/** @throws ServiceError INVALID_ARGUMENT, always */
export function refuse(path: string, problem: string): never {
  throw new ServiceError('INVALID_ARGUMENT', `${path}: ${problem}`, { details: { path } });
}

/**
 * The same refusal as seen from outside: its path with `outer` before it. So a path costs nothing until something
 * is refused: each level knows only its own name, and adds it as the refusal passes.
 */
export function within(outer: string, error: unknown): unknown {
  if (!(error instanceof ServiceError) || typeof error.details['path'] !== 'string') return error;
  return new ServiceError(error.code, outer + error.message, { details: { ...error.details, path: outer + error.details['path'] } });
}

/** A wrong value in words, cut short: its kind, and its text only where that cannot be long or secret. */
export function shown(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'nothing';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return 'a string';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
