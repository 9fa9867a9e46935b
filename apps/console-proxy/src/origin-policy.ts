/**
 * Which pages may open a console. A browser always says from which page a WebSocket comes (Origin), a program
 * usually does not, so its absence is allowed unless configured otherwise. A page must be served under the name that
 * the request itself is addressed to, or be listed; nothing that a request says changes the list. Where TLS
 * ends here it must have come by TLS, too: one that came in clear could be anybody's. As in Nova, what a balancer says of
 * the scheme counts in place of the Origin's (programs say any); unlike there, only one that is trusted is heard.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Arrival } from '@gatehouse/runtime/trusted-proxies';

export interface OriginSettings {
  /** Host names (`dashboard.example.org`) or whole origins (`https://dashboard.example.org:8443`). */
  readonly allowedOrigins: readonly string[];
  readonly originRequired: boolean;
  /** Schemes that an Origin may have, such as `https`; empty: https where TLS ends here, else any. */
  readonly originSchemes: readonly string[];
}

/** The words of a refusal, or null when the page is welcome. */
export type CheckOrigin = (origin: string | undefined, reached: Pick<Arrival, 'host' | 'isTls' | 'saidScheme'>) => string | null;

const NOT_VALID = 'The Origin of this page is not valid.';

/** @throws ServiceError INVALID_ARGUMENT naming an entry of the settings that is no host name and no origin */
export function originPolicy({ allowedOrigins, originRequired, originSchemes }: OriginSettings): CheckOrigin {
  const hosts = new Set(allowedOrigins.filter((entry) => !entry.includes('://')).map(readHostEntry));
  const origins = new Set(allowedOrigins.filter((entry) => entry.includes('://')).map(readOriginEntry));
  const schemes = new Set(originSchemes.map((scheme) => scheme.toLowerCase().replace(/:?$/, ':')));
  return (origin, { host, isTls, saidScheme }) => {
    if (origin === undefined) return originRequired ? 'A page must say its Origin to open a console here.' : null;
    // Every browser names both.
    if (host === undefined) return 'A page that says its Origin must say the Host that it asks, too.';
    const page = parseOrigin(origin);
    if (page === null) return NOT_VALID;
    const isListed = origins.has(page.origin);
    const hasScheme = schemes.size > 0 ? schemes.has(page.protocol) : isListed || !isTls || (saidScheme ?? page.protocol).startsWith('https');
    if (!hasScheme) {
      return `A page served by ${page.protocol.slice(0, 20).replace(/:$/, '')} may not open a console here.`;
    }
    const name = canonical(page.hostname);
    if (isListed || hosts.has(name) || name === hostnameOf(host)) return null;
    return `The page's Origin ${page.origin.slice(0, 60)} is not allowed here.`;
  };
}

interface Page {
  /** With its colon. */
  readonly protocol: string;
  readonly hostname: string;
  readonly origin: string;
}

/** An Origin header is a scheme, a host and perhaps a port, or the word null. */
function parseOrigin(text: string): Page | null {
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]+$/i.test(text) || !URL.canParse(text)) return null;
  const { protocol, hostname, host } = new URL(text);
  // Not URL.origin, which is the word null for every scheme but the web's own.
  return hostname === '' ? null : { protocol, hostname, origin: `${protocol}//${host}` };
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
