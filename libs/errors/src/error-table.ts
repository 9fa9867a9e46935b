/**
 * One row a failure: what each wire says for an error code. Edges look here and nowhere else.
 *
 * Sources: HTTP statuses are Nova's where Nova has one; gRPC numbers are google.rpc.Code; WebSocket close
 * codes are of the private range (4000-4999, RFC 6455 7.4.2); the Python class is what an oslo.messaging
 * caller that allows `nova.exception` rebuilds.
 */
import type { ErrorCode } from './service-error.ts';

export interface ErrorRow {
  readonly http: number;
  readonly grpc: number;
  /** WebSocket close code. */
  readonly close: number;
  readonly osloModule: string;
  readonly osloClass: string;
}

const NOVA = 'nova.exception';

export const ERRORS: Readonly<Record<ErrorCode, ErrorRow>> = Object.freeze({
  INVALID_ARGUMENT: { http: 400, grpc: 3, close: 4400, osloModule: NOVA, osloClass: 'Invalid' },
  UNAUTHENTICATED: { http: 401, grpc: 16, close: 4401, osloModule: NOVA, osloClass: 'InvalidToken' },
  PERMISSION_DENIED: { http: 403, grpc: 7, close: 4403, osloModule: NOVA, osloClass: 'Forbidden' },
  NOT_FOUND: { http: 404, grpc: 5, close: 4404, osloModule: NOVA, osloClass: 'NotFound' },
  PORT_IN_USE: { http: 409, grpc: 9, close: 4409, osloModule: NOVA, osloClass: 'ConsoleTypeUnavailable' },
  NO_PORT_FREE: { http: 409, grpc: 9, close: 4411, osloModule: NOVA, osloClass: 'ConsoleTypeUnavailable' },
  ALREADY_EXISTS: { http: 409, grpc: 6, close: 4410, osloModule: NOVA, osloClass: 'ObjectActionError' },
  FAILED_PRECONDITION: { http: 409, grpc: 9, close: 4412, osloModule: NOVA, osloClass: 'InstanceInvalidState' },
  RESOURCE_EXHAUSTED: { http: 429, grpc: 8, close: 4429, osloModule: NOVA, osloClass: 'OverQuota' },
  CANCELLED: { http: 499, grpc: 1, close: 4499, osloModule: NOVA, osloClass: 'NovaException' },
  INTERNAL: { http: 500, grpc: 13, close: 4500, osloModule: NOVA, osloClass: 'NovaException' },
  UNIMPLEMENTED: { http: 501, grpc: 12, close: 4501, osloModule: 'builtins', osloClass: 'NotImplementedError' },
  UNAVAILABLE: { http: 503, grpc: 14, close: 4503, osloModule: NOVA, osloClass: 'ServiceUnavailable' },
  DEADLINE_EXCEEDED: { http: 504, grpc: 4, close: 4504, osloModule: NOVA, osloClass: 'NovaException' },
});
