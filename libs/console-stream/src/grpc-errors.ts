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
import type { CallStatus } from './multiplexed-messages.ts';

const CODE_TRAILER = 'gatehouse-error-code';
const WORDS_MAX = 500;

export function statusOf(error: ServiceError): StatusObject {
  const metadata = new Metadata();
  metadata.set(CODE_TRAILER, error.code);
  return { code: ERRORS[error.code].grpc, details: error.message.slice(0, WORDS_MAX), metadata };
}

/** The same where many calls share a stream, and a call's status is one of its messages. */
export function callStatusOf(error: ServiceError): CallStatus {
  return { code: ERRORS[error.code].grpc, details: error.message.slice(0, WORDS_MAX), errorCode: error.code };
}

export const OK_STATUS: CallStatus = Object.freeze({ code: status.OK, details: '', errorCode: '' });

/** Never called with OK. */
export function errorOf(from: { code: number; details: string; metadata?: Metadata }): ServiceError {
  return asError(from, from.metadata?.get(CODE_TRAILER)[0]);
}

export function callErrorOf(from: CallStatus): ServiceError {
  return asError(from, from.errorCode);
}

function asError({ code: grpc, details }: { code: number; details: string }, exact: unknown): ServiceError {
  const code = isErrorCode(exact) ? exact : codeOf(grpc);
  return new ServiceError(code, details || `the stream ended with gRPC status ${status[grpc] ?? grpc}`);
}

function codeOf(grpc: number): ErrorCode {
  if (grpc === ERRORS.FAILED_PRECONDITION.grpc) return 'FAILED_PRECONDITION';
  return ERROR_CODES.find((code) => ERRORS[code].grpc === grpc) ?? 'INTERNAL';
}
