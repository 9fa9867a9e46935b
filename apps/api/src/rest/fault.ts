/** A refusal as Nova's clients read it: `{"itemNotFound": {"code": 404, "message": "..."}}`. */
import { ERRORS } from '@gatehouse/errors/error-table';
import type { ServiceError } from '@gatehouse/errors/service-error';
import type { JsonObject } from './json.ts';

const NAMES: Readonly<Record<number, string>> = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'itemNotFound',
  405: 'badMethod',
  409: 'conflictingRequest',
  413: 'overLimit',
  415: 'badMediaType',
  429: 'overLimit',
  501: 'notImplemented',
  503: 'serviceUnavailable',
};

export interface Fault {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: JsonObject;
}

/** Longest request body, as Nova's `max_request_body_size`. */
export const BODY_BYTES_MAX = 114_688;

/** Where details.status says otherwise, the HTTP status is that of the error table. */
export function faultOf(error: ServiceError): Fault {
  const asked = error.details['status'];
  const status = typeof asked === 'number' ? asked : ERRORS[error.code].http;
  if (asked === 404) return bareFault(404, 'Not Found', 'The resource could not be found.');
  if (asked === 413) return bareFault(413, 'Request Entity Too Large', TOO_LARGE);
  const name = NAMES[status] ?? 'computeFault';
  const message = status === 500 ? INTERNAL : error.message;
  // Nova's clients look at the code and the message, and pass over what else there is.
  const own = OWN_CODES.has(error.code) ? { error_code: error.code } : {};
  return { status, headers: refusalHeaders(status), body: { [name]: { code: status, message, ...own } } };
}

/** Conflicts that Nova does not know, by which a program tells them from the others: `code` is the HTTP status there. */
const OWN_CODES: ReadonlySet<string> = new Set(['NO_PORT_FREE', 'PORT_IN_USE']);

const TOO_LARGE = `Request is too large. Larger than max_request_body_size (${BODY_BYTES_MAX}).`;
const INTERNAL = 'The server has either erred or is incapable of performing the requested operation.';

/** What the status itself asks to be said. */
export function refusalHeaders(status: number): Readonly<Record<string, string>> {
  if (status === 401) return { 'www-authenticate': 'Gatehouse user:project' };
  return status === 429 || status === 503 ? { 'retry-after': '1' } : {};
}

/** What Nova says before a request has reached a resource: nothing is served there, or too much was sent. */
function bareFault(status: number, title: string, words: string): Fault {
  return { status, headers: {}, body: { message: `${words}<br /><br />\n\n\n`, code: `${status} ${title}`, title } };
}
