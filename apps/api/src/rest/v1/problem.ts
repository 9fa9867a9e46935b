/** A refusal under /v1, by RFC 9457: `application/problem+json` whose `code` is one of a closed list (libs/errors). */
import { STATUS_CODES } from 'node:http';
import { ERRORS } from '@gatehouse/errors/error-table';
import type { ServiceError } from '@gatehouse/errors/service-error';
import type { ErrorAnswer, RefusedRequest } from '@gatehouse/runtime/nest-app';
import { BODY_BYTES_MAX, refusalHeaders } from '../fault.ts';
import { methodsAt } from './openapi.ts';

/** Whether a request is one of /v1, also where nothing is served. */
export function isV1({ url }: { readonly url: string }): boolean {
  return /^\/v1(?:[/?]|$)/.test(url);
}

/** Where details.status says otherwise, the HTTP status is that of the error table. */
export function problemOf(error: ServiceError, request: RefusedRequest): ErrorAnswer {
  const asked = error.details['status'];
  if (asked === 404) return unrouted(request);
  const status = typeof asked === 'number' ? asked : ERRORS[error.code].http;
  return problem(status, error.code, asked === 413 ? `a request's body has at most ${BODY_BYTES_MAX} bytes` : error.message, request);
}

/** No route took it: by its path, or by its method alone. */
function unrouted(request: RefusedRequest): ErrorAnswer {
  const methods = methodsAt(request.url.split('?', 1)[0] ?? '');
  if (methods.length === 0) return problem(404, 'NOT_FOUND', 'nothing is served at this path; /v1/openapi.json says what is', request);
  const allow = methods.join(', ');
  return problem(405, 'UNIMPLEMENTED', `${request.method.slice(0, 20)} is not served at this path; ${allow} is`, request, { allow });
}

function problem(status: number, code: string, detail: string, { id }: RefusedRequest, headers: Readonly<Record<string, string>> = {}): ErrorAnswer {
  const title = STATUS_CODES[status] ?? 'Client Closed Request';
  return {
    status,
    headers: { ...refusalHeaders(status), ...headers, 'content-type': 'application/problem+json', 'cache-control': 'no-store' },
    body: { type: 'about:blank', title, status, code, detail, request_id: id },
  };
}
