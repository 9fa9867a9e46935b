/**
 * Which pages may open a console. A browser always says from which page a WebSocket comes (Origin), a program
 * usually does not, so its absence is allowed unless configured otherwise. A page must be served under the name that
 * the request itself is addressed to, or be listed. Schemes are checked against configuration alone: a header like
 * X-Forwarded-Proto is believed by Nova from anyone, and proves nothing.
 */
import { ServiceError } from '@gatehouse/errors/service-error';

export interface OriginSettings {
  /** Host names (`dashboard.example.org`) or whole origins (`https://dashboard.example.org:8443`). */
  readonly allowedOrigins: readonly string[];
  readonly originRequired: boolean;
  /** Schemes that an Origin may have, such as `https`; empty: any. */
  readonly originSchemes: readonly string[];
}

/** The words of a refusal, or null when the page is welcome. */
export type CheckOrigin = (origin: string | undefined, host: string | undefined) => string | null;

const NOT_VALID = 'The Origin of this page is not valid.';

/** @throws ServiceError INVALID_ARGUMENT naming an entry of the settings that is no host name and no origin */
export function originPolicy({ allowedOrigins, originRequired, originSchemes }: OriginSettings): CheckOrigin {
  const hosts = new Set(allowedOrigins.filter((entry) => !entry.includes('://')).map(readHostEntry));
  const origins = new Set(allowedOrigins.filter((entry) => entry.includes('://')).map(readOriginEntry));
  const schemes = new Set(originSchemes.map((scheme) => scheme.toLowerCase().replace(/:?$/, ':')));
  return (origin, host) => {
    if (origin === undefined) return originRequired ? 'A page must say its Origin to open a console here.' : null;
    const page = parseOrigin(origin);
    if (page === null) return NOT_VALID;
    if (schemes.size > 0 && !schemes.has(page.protocol)) {
      return `A page served by ${page.protocol.slice(0, -1)} may not open a console here.`;
    }
    const name = canonical(page.hostname);
    if (hosts.has(name) || origins.has(page.origin) || name === hostnameOf(host)) return null;
    return `The page's Origin ${page.origin.slice(0, 60)} is not allowed here.`;
  };
}

/** An Origin header is a scheme, a host and perhaps a port, or the word null. */
function parseOrigin(text: string): URL | null {
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]+$/i.test(text) || !URL.canParse(text)) return null;
  const url = new URL(text);
  return url.hostname === '' ? null : url;
}

/** The name in a Host header without its port; null when there is none to compare with. */
function hostnameOf(host: string | undefined): string | null {
  if (host === undefined || !/^[^/?#@\s]+$/.test(host) || !URL.canParse(`http://${host}`)) return null;
  return canonical(new URL(`http://${host}`).hostname);
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Names are compared without case; the loopback's names are one. */
function canonical(hostname: string): string {
  const name = hostname.toLowerCase().replace(/\.$/, '');
  return LOOPBACK.has(name) ? 'localhost' : name;
}

function readHostEntry(entry: string): string {
  const name = hostnameOf(entry);
  if (name === null || /:\d+$/.test(entry)) throw badEntry(entry);
  return name;
}

function readOriginEntry(entry: string): string {
  const url = parseOrigin(entry.replace(/\/$/, ''));
  if (url === null) throw badEntry(entry);
  return url.origin;
}

function badEntry(entry: string): ServiceError {
  const wanted = 'a host name (console.example.org) or an origin (https://console.example.org:8443)';
  return new ServiceError('INVALID_ARGUMENT', `GATEHOUSE_ALLOWED_ORIGINS names "${entry.slice(0, 100)}": set ${wanted}`);
}
