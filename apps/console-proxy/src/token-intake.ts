/**
 * Where a client may show its token, and which one counts. Ours is a subprotocol entry, which no access log
 * keeps; the others are what Nova's clients do: `?token=` (the last value), the nested `?path=?token=...` that
 * noVNC pages are given, and a cookie of noVNC's old pages (the last one, quotes stripped). A place that shows a
 * token ends the search, whether or not the token is any good: Nova does not fall back either.
 */
import { CONSOLE_TYPES, type ConsoleType } from '@gatehouse/objects/console-connection';

/** Longer than any token that was ever minted, and consoleauth's own limit. */
export const TOKEN_LENGTH_MAX = 512;
/** consoleauth's limit. */
const RESUME_GRANT_LENGTH_MAX = 128;

export interface TokenPlaces {
  /** From the handshake: the `token.<token>` entry. */
  readonly subprotocolToken: string | null;
  /** The request's target, as it came. */
  readonly url: string;
  readonly cookie: string | undefined;
}

/** The token that counts, or null when none was shown. It may be too long; who uses it looks. */
export function readToken({ subprotocolToken, url, cookie }: TokenPlaces): string | null {
  return subprotocolToken || queryToken(url) || cookieToken(cookie) || null;
}

/** The grant that counts; one that none of ours can be says nothing, and the token decides. */
export function readResumeGrant(offered: string | null): string | null {
  return offered !== null && offered.length > 0 && offered.length <= RESUME_GRANT_LENGTH_MAX ? offered : null;
}

/** What the asking page can show, where it says so (our pages do); a word that is no console type says nothing. */
export function readConsoleTypes(url: string): readonly ConsoleType[] | undefined {
  const start = url.indexOf('?');
  const named = start < 0 ? null : new URLSearchParams(url.slice(start + 1)).get('console_type');
  const known = CONSOLE_TYPES.find((type) => type === named);
  return known === undefined ? undefined : [known];
}

function queryToken(url: string): string | null {
  const start = url.indexOf('?');
  if (start < 0) return null;
  const query = new URLSearchParams(url.slice(start + 1));
  const token = lastToken(query);
  if (token !== null) return token;
  const path = query.getAll('path').at(-1);
  const nested = path?.indexOf('?') ?? -1;
  return path === undefined || nested < 0 ? null : lastToken(new URLSearchParams(path.slice(nested + 1)));
}

/** An empty value is none, as in Nova. */
function lastToken(query: URLSearchParams): string | null {
  return query.getAll('token').findLast((value) => value !== '') ?? null;
}

function cookieToken(header: string | undefined): string | null {
  return header?.split(';').map(tokenOfPart).findLast((value) => value !== undefined) ?? null;
}

/** Without a pattern over the whole: one that may skip spaces in two places takes a second for a head that is full of them. */
function tokenOfPart(part: string): string | undefined {
  const equals = part.indexOf('=');
  if (equals < 0 || part.slice(0, equals).trim() !== 'token') return undefined;
  const value = part.slice(equals + 1).trim().replace(/^"/, '').replace(/"$/, '');
  return /["\s]/.test(value) ? undefined : value;
}
