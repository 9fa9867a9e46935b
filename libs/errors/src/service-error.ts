/**
 * The one error that crosses rooms and wires. Thrown where a caller could act on it, converted once at
 * the edge (HTTP, WebSocket, gRPC, RPC) by the table in error-table.ts.
 */

export const ERROR_CODES = [
  'INVALID_ARGUMENT',
  'UNAUTHENTICATED',
  'PERMISSION_DENIED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PORT_IN_USE',
  'NO_PORT_FREE',
  'FAILED_PRECONDITION',
  'RESOURCE_EXHAUSTED',
  'CANCELLED',
  'DEADLINE_EXCEEDED',
  'UNAVAILABLE',
  'UNIMPLEMENTED',
  'INTERNAL',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export interface ServiceErrorOptions {
  readonly cause?: unknown;
  /** Facts a program may act on (a field's path, a limit); never a token, a secret or a key. */
  readonly details?: Readonly<Record<string, string | number | boolean | null>>;
}

/**
 * A refusal with a code from the closed list. The message says what was refused and what would be
 * accepted, in words that may be shown to the person who asked.
 */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, string | number | boolean | null>>;

  constructor(code: ErrorCode, message: string, options: ServiceErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}

export function isServiceError(value: unknown): value is ServiceError {
  return value instanceof ServiceError;
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && (ERROR_CODES as readonly string[]).includes(value);
}

/** Any thrown value as a ServiceError: itself, or INTERNAL with the original as its cause and no inner words shown. */
export function toServiceError(value: unknown): ServiceError {
  if (isServiceError(value)) return value;
  return new ServiceError('INTERNAL', 'an internal error; the service log has the cause', { cause: value });
}
