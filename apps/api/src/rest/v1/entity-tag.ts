/** ETag and If-Match (RFC 9110, 8.8.3 and 13.1.1) of what is read of an instance: the tag is the instance's generation. */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { SeenGenerations } from '../../instance-change.ts';
import { headerOf } from '../api-call.ts';
import type { RawRequest } from '../api-call.ts';

const TAG = /^(W\/)?"([\x21\x23-\x7e]*)"$/;
const TAGS_MAX = 16;

export function entityTag({ generation }: { readonly generation: number }): string {
  return `"${generation}"`;
}

/** Null where the request sets no condition. A weak tag, and one that is none of ours, matches nothing. Throws INVALID_ARGUMENT. */
export function readIfMatch(request: RawRequest): SeenGenerations {
  const header = headerOf(request, 'if-match')?.trim();
  if (header === undefined || header === '*') return null;
  const tags = header.split(',').map((part) => TAG.exec(part.trim()));
  if (tags.length > TAGS_MAX || tags.includes(null)) {
    throw new ServiceError('INVALID_ARGUMENT', `If-Match: at most ${TAGS_MAX} entity tags in quotes, as "12", or * are understood`);
  }
  return tags.flatMap((tag) => (tag?.[1] === undefined && /^\d{1,10}$/.test(tag?.[2] ?? '') ? [Number(tag?.[2])] : []));
}
