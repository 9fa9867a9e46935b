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

/** Where details.status says otherwise, the HTTP status is that of the error table. */
export function faultOf(error: ServiceError): Fault {
  const asked = error.details['status'];
  const status = typeof asked === 'number' ? asked : ERRORS[error.code].http;
  if (error.details['route'] === true) return routeFault();
  const name = NAMES[status] ?? 'computeFault';
  const message = status === 500 ? INTERNAL : error.message;
  return { status, headers: headersOf(status), body: { [name]: { code: status, message } } };
}

const INTERNAL = 'The server has either erred or is incapable of performing the requested operation.';

function headersOf(status: number): Readonly<Record<string, string>> {
  if (status === 401) return { 'www-authenticate': 'Gatehouse user:project' };
  return status === 429 || status === 503 ? { 'retry-after': '1' } : {};
}

/** What Nova's router says where nothing is served at all; its shape differs from a resource's 404. */
function routeFault(): Fault {
  const message = 'The resource could not be found.<br /><br />\n\n\n';
  return { status: 404, headers: {}, body: { message, code: '404 Not Found', title: 'Not Found' } };
}
