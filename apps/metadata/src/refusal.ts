/** A refusal as Nova's metadata service words it: plain text, or JSON for those who ask for that. */
import { STATUS_CODES } from 'node:http';
import { ERRORS } from '@gatehouse/errors/error-table';
import { ServiceError } from '@gatehouse/errors/service-error';
import { JSON_TYPE, TEXT } from '@gatehouse/instance-metadata/metadata-tree';

export interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export function refusalOf(error: ServiceError, accept: string): Refusal {
  const asked = error.details['status'];
  const status = typeof asked === 'number' ? asked : ERRORS[error.code].http;
  const title = STATUS_CODES[status] ?? 'Error';
  const message = status === 500 ? 'An unknown error has occurred. Please try your request again.' : error.message;
  const extra = hintsOf(error, status);
  if (accept.includes(JSON_TYPE)) {
    const body = JSON.stringify({ message: `${message}<br /><br />\n\n\n`, code: `${status} ${title}`, title });
    return { status, headers: { ...extra, 'content-type': JSON_TYPE }, body };
  }
  return { status, headers: { ...extra, 'content-type': TEXT }, body: `${status} ${title}\n\n${message}\n\n   ` };
}

/** `methods` as an Allow header has them. Nova answers every method as if it were GET. */
export function notAllowed(methods: string): ServiceError {
  const message = `The method is not allowed for this resource: ${methods} would be.`;
  return new ServiceError('INVALID_ARGUMENT', message, { details: { status: 405, allow: methods } });
}

/** What a client may do instead, or when. */
function hintsOf({ details }: ServiceError, status: number): Record<string, string> {
  switch (status) {
    case 405:
      return { allow: String(details['allow'] ?? 'GET, HEAD') };
    case 429:
    case 503:
      return { 'retry-after': String(details['retryAfter'] ?? 1) };
    default:
      return {};
  }
}
