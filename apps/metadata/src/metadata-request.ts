/** What the edge needs of Fastify's request and reply, and how headers of a hostile client are read. */
import type { IncomingHttpHeaders } from 'node:http';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Incoming } from './request-body.ts';

export interface MetadataRequest {
  readonly id: string;
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly raw: Incoming & {
    /** Every value that came, also of a header that came twice; names in lower case. */
    readonly headersDistinct: Readonly<Record<string, readonly string[] | undefined>>;
    readonly socket: {
      readonly remoteAddress?: string | undefined;
      readonly destroyed: boolean;
      once(event: 'close', listener: () => void): unknown;
      off(event: 'close', listener: () => void): unknown;
    };
  };
}

export interface MetadataReply {
  status(code: number): MetadataReply;
  headers(values: Readonly<Record<string, string>>): MetadataReply;
  /** Undefined: an answer that has no body, of no length either (304; RFC 9110, 8.6). */
  send(content: string | Buffer | undefined): unknown;
}

export function valuesOf(request: MetadataRequest, name: string): readonly string[] {
  return request.raw.headersDistinct[name.toLowerCase()] ?? [];
}

/** The one value of a header. @throws ServiceError INVALID_ARGUMENT: none or several came, in Nova's words */
export function singleHeader(request: MetadataRequest, name: string): string {
  const [value, ...others] = valuesOf(request, name);
  if (value === undefined) throw new ServiceError('INVALID_ARGUMENT', `${name} header is missing from request.`);
  if (others.length > 0) throw new ServiceError('INVALID_ARGUMENT', `Multiple ${name} headers found within request.`);
  return value;
}
