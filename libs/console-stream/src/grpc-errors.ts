/**
 * ServiceError over gRPC and back. The status number comes from the one error table; because two codes share
 * a number there, the exact code rides along as a trailer. A status without the trailer is another program's (or
 * grpc-js's own) and is mapped by its number.
 */
import { Metadata, status } from '@grpc/grpc-js';
import type { StatusObject } from '@grpc/grpc-js';
import { ERRORS } from '@gatehouse/errors/error-table';
import { ERROR_CODES, ServiceError, isErrorCode } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';

const CODE_TRAILER = 'gatehouse-error-code';
const WORDS_MAX = 500;

export function statusOf(error: ServiceError): StatusObject {
  const metadata = new Metadata();
  metadata.set(CODE_TRAILER, error.code);
  return { code: ERRORS[error.code].grpc, details: error.message.slice(0, WORDS_MAX), metadata };
}

/** Never called with OK. */
export function errorOf(from: { code: number; details: string; metadata?: Metadata }): ServiceError {
  const exact = from.metadata?.get(CODE_TRAILER)[0];
  const code = isErrorCode(exact) ? exact : codeOf(from.code);
  return new ServiceError(code, from.details || `the stream ended with gRPC status ${status[from.code] ?? from.code}`);
}

function codeOf(grpc: number): ErrorCode {
  if (grpc === ERRORS.FAILED_PRECONDITION.grpc) return 'FAILED_PRECONDITION';
  return ERROR_CODES.find((code) => ERRORS[code].grpc === grpc) ?? 'INTERNAL';
}
