/** How a request asks to be answered when there is something new, in the words of Google's metadata server: a query of three parameters. */
import { ServiceError } from '@gatehouse/errors/service-error';
import { opaque } from './metadata-document.ts';

export interface ChangeWait {
  /** What the client has; null: what it would get now. */
  readonly lastTag: string | null;
  readonly timeoutMs: number;
}

export const TIMEOUT_SECONDS_MAX = 300;
/** Proxies on the way seldom wait longer than 30 s for an answer. */
export const TIMEOUT_SECONDS_DEFAULT = 25;
const TAG_LENGTH_MAX = 128;

/** Null: it does not wait. Parameters that are none of these are nobody's concern. @throws ServiceError INVALID_ARGUMENT */
export function changeWaitOf(url: string): ChangeWait | null {
  const at = url.indexOf('?');
  if (at === -1) return null;
  const query = new URLSearchParams(url.slice(at + 1));
  const waits = single(query, 'wait_for_change');
  if (waits === null || waits === 'false') return null;
  if (waits !== 'true') throw refusal('wait_for_change', 'true or false');
  const lastTag = single(query, 'last_etag');
  if (lastTag !== null && (lastTag === '' || lastTag.length > TAG_LENGTH_MAX)) throw refusal('last_etag', 'the ETag of an answer');
  const timeout = single(query, 'timeout_sec') ?? String(TIMEOUT_SECONDS_DEFAULT);
  if (!/^\d{1,3}$/.test(timeout) || Number(timeout) > TIMEOUT_SECONDS_MAX) throw refusal('timeout_sec', `seconds from 0 to ${TIMEOUT_SECONDS_MAX}`);
  return { lastTag: lastTag === null ? null : opaque(lastTag), timeoutMs: Number(timeout) * 1_000 };
}

function single(query: URLSearchParams, name: string): string | null {
  const values = query.getAll(name);
  if (values.length > 1) throw refusal(name, 'one value');
  return values[0] ?? null;
}

function refusal(name: string, wanted: string): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', `The parameter ${name} is not right: expected ${wanted}.`);
}
