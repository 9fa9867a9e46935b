/** Which pages may show a console in a frame of theirs: a dashboard of another origin is named, everybody else is kept out. */
import { ServiceError } from '@gatehouse/errors/service-error';

/** The headers that say so, in the words of CSP and in the older ones. */
export interface FrameHeaders {
  /** A directive of a Content-Security-Policy. */
  readonly directive: string;
  /** X-Frame-Options; null where it cannot say it, so that no old browser keeps out whom the policy lets in. */
  readonly option: 'DENY' | 'SAMEORIGIN' | null;
}

const ORIGIN = /^https?:\/\/(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5}|:\*)?$/i;
const ORIGIN_V6 = /^https?:\/\/\[[0-9a-f:.]+\](?::\d{1,5})?$/i;

/**
 * @param entries `none` alone, or any of `self` and origins; none at all is `none`
 * @throws ServiceError INVALID_ARGUMENT naming an entry that is neither
 */
export function frameHeaders(entries: readonly string[]): FrameHeaders {
  if (entries.length === 0 || (entries.length === 1 && entries[0] === 'none')) return { directive: "frame-ancestors 'none'", option: 'DENY' };
  const sources = entries.map(sourceOf);
  return { directive: `frame-ancestors ${sources.join(' ')}`, option: entries.every((entry) => entry === 'self') ? 'SAMEORIGIN' : null };
}

function sourceOf(entry: string): string {
  if (entry === 'self') return "'self'";
  const source = entry.replace(/\/$/, '');
  // A header is made of it: nothing else than an origin may pass.
  if (ORIGIN.test(source) || ORIGIN_V6.test(source)) return source;
  const wanted = 'self, none alone, or an origin (https://dashboard.example.org, https://*.example.org)';
  throw new ServiceError('INVALID_ARGUMENT', `GATEHOUSE_FRAME_ANCESTORS names ${JSON.stringify(entry.slice(0, 100))}: set ${wanted}`);
}
