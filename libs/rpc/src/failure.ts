/**
 * Errors on the wire: oslo's failure JSON {class, module, message, tb, args, kwargs}, both ways.
 *
 * A ServiceError goes out as the Python class that the table in libs/errors names, so that a Python caller which
 * allows `nova.exception` rebuilds it, and with its own code in kwargs, so that ours gets the same error back.
 * No stack leaves the process.
 */
import { ERRORS } from '@gatehouse/errors/error-table';
import { isErrorCode, ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';

const MESSAGE_LENGTH_MAX = 2_000;
const FAILURE_LENGTH_MAX = 1_048_576;
const DISPATCHER = 'oslo_messaging.rpc.dispatcher';

/** oslo's own refusals of a request, which its clients know by these names. */
const OSLO_REFUSALS: Readonly<Record<string, readonly [module: string, name: string]>> = {
  NoSuchMethod: [DISPATCHER, 'NoSuchMethod'],
  UnsupportedVersion: [DISPATCHER, 'UnsupportedVersion'],
};

/** The failure text of any thrown value; what is no ServiceError becomes INTERNAL without its words. */
export function encodeFailure(thrown: unknown): string {
  const error = toServiceError(thrown);
  const row = ERRORS[error.code];
  const refusal = OSLO_REFUSALS[String(error.details['oslo'])];
  const [module, name] = refusal ?? [row.osloModule, row.osloClass];
  // Python's built-in exceptions take no keywords: with any, the caller could not rebuild them.
  const kwargs = module === 'builtins' ? {} : { code: row.http, service_code: error.code, details: error.details };
  const message = error.message.slice(0, MESSAGE_LENGTH_MAX);
  return JSON.stringify({
    class: name,
    module,
    message,
    tb: [`${module}.${name}: ${message}\n`],
    args: [message],
    kwargs,
    // Passed over by oslo, read by us where kwargs must stay empty.
    service_code: error.code,
  });
}

/** The error that a failure text stands for: our own with its code, a Python one by its class, else INTERNAL. */
export function decodeFailure(text: string): ServiceError {
  const failure = parse(text);
  if (failure === null) return new ServiceError('INTERNAL', 'the server failed, and its failure could not be read');
  const { class: name, module, message, kwargs, service_code: own } = failure;
  const words = typeof message === 'string' && message !== '' ? message.slice(0, MESSAGE_LENGTH_MAX) : `${String(name)} without words`;
  const carried = isRecord(kwargs) ? kwargs : {};
  const code = isErrorCode(carried['service_code']) ? carried['service_code'] : isErrorCode(own) ? own : codeOfPython(module, name);
  return new ServiceError(code, words, { details: { ...scalarsOf(carried['details']), ...remoteClass(module, name) } });
}

function codeOfPython(module: unknown, name: unknown): ErrorCode {
  if (module === DISPATCHER) return 'UNIMPLEMENTED';
  if (name === 'RPCVersionCapError') return 'UNIMPLEMENTED';
  if (name === 'MessagingTimeout') return 'DEADLINE_EXCEEDED';
  for (const [code, row] of Object.entries(ERRORS)) {
    if (row.osloModule === module && row.osloClass === name && row.osloClass !== 'NovaException') return code as ErrorCode;
  }
  return 'INTERNAL';
}

function remoteClass(module: unknown, name: unknown): Record<string, string> {
  if (typeof module !== 'string' || typeof name !== 'string') return {};
  return { remoteClass: `${module}.${name}`.slice(0, 200) };
}

function scalarsOf(value: unknown): Record<string, string | number | boolean | null> {
  if (!isRecord(value)) return {};
  const isScalar = (each: unknown) => each === null || ['string', 'number', 'boolean'].includes(typeof each);
  const entries = Object.entries(value).filter(([key, each]) => key !== '__proto__' && isScalar(each));
  return Object.fromEntries(entries.slice(0, 20)) as Record<string, string | number | boolean | null>;
}

function parse(text: string): Record<string, unknown> | null {
  if (text.length > FAILURE_LENGTH_MAX) return null;
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
