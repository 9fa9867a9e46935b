/**
 * Where a request comes from, and under what name and scheme the proxy was reached, when balancers stand in between.
 * Anyone can write a header: X-Forwarded-For, -Proto, -Host and Forwarded (RFC 7239) count only when the peer of the
 * TCP connection is a proxy that the operator named. The client is then the rightmost address that none of the named
 * proxies has; what stands further left is the client's own word.
 *
 * A balancer writes one family of headers and passes the other on as the client sent it, so the families are not
 * mixed: with any X-Forwarded- header there, Forwarded says nothing.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { ServiceError } from '@gatehouse/errors/service-error';
import { canonicalIp } from '@gatehouse/objects/ip-text';

export type Scheme = 'http' | 'https';

export interface Arrival {
  /** Whose sessions, audit lines and bounds these are; never a name. */
  readonly clientAddress: string;
  /** The name under which the client reached us, as it wrote it. */
  readonly host: string | undefined;
  /** Whether TLS ends here; it may have ended in front of us before. */
  readonly isTls: boolean;
  /** By what a balancer says that the client came; null where none does. */
  readonly saidScheme: Scheme | null;
}

export interface ArrivingRequest {
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined; readonly encrypted?: boolean };
}

/** What a proxy says of one hop. */
interface Hop {
  readonly address: string;
  readonly host?: string | undefined;
  readonly scheme?: string | undefined;
}

export class TrustedProxies {
  readonly #networks = new BlockList();
  readonly #isEmpty: boolean;

  /** `variable`: where the entries are set. @throws ServiceError INVALID_ARGUMENT naming an entry that is no address and no network */
  constructor(entries: readonly string[], variable = 'GATEHOUSE_TRUSTED_PROXIES') {
    for (const entry of entries) addNetwork(this.#networks, entry, variable);
    this.#isEmpty = entries.length === 0;
  }

  trusts(address: string): boolean {
    if (this.#isEmpty) return false;
    const family = isIP(address);
    return family !== 0 && this.#networks.check(address, family === 6 ? 'ipv6' : 'ipv4');
  }

  arrivalOf({ headers, socket }: ArrivingRequest): Arrival {
    const peer = readAddress(socket.remoteAddress ?? '') ?? 'unknown';
    const isTls = socket.encrypted === true;
    if (!this.trusts(peer)) return { clientAddress: peer, host: headers.host, isTls, saidScheme: null };
    const hop = this.#clientHop(hopsOf(headers), peer);
    return { clientAddress: hop.address, host: hop.host ?? headers.host, isTls, saidScheme: schemeOf(hop.scheme) };
  }

  /** The hop whose address is the rightmost that is not a trusted proxy's; the last good one before an entry that is no address. */
  #clientHop(hops: readonly Hop[], peer: string): Hop {
    let client: Hop = { ...hops.at(-1), address: peer };
    for (const hop of hops.toReversed()) {
      const address = readAddress(hop.address);
      if (address === null) break;
      client = { ...hop, address };
      if (!this.trusts(address)) break;
    }
    return client;
  }
}

/** IPv4 that came as IPv6. */
const MAPPED_IPV4 = /^::ffff:(?=[\d.]+$)(?=.*\.)/;

/** An IP address in its usual spelling, without port, brackets and zone; IPv4 also where it came as IPv6. null for anything else. */
export function readAddress(text: string): string | null {
  if (isIP(text) === 4) return text;
  const [, inBrackets, beforePort] = /^\s*(?:\[([^\]]*)\](?::\d{1,5})?|([\d.]+):\d{1,5})\s*$/.exec(text) ?? [];
  const address = (inBrackets ?? beforePort ?? text).trim().replace(/%.*$/s, '');
  const ip = canonicalIp(address);
  return ip === null ? null : ip.text.replace(MAPPED_IPV4, '');
}

function hopsOf(headers: IncomingHttpHeaders): readonly Hop[] {
  const [addresses, host, scheme] = [textOf(headers['x-forwarded-for']), textOf(headers['x-forwarded-host']), textOf(headers['x-forwarded-proto'])];
  if (addresses === undefined && host === undefined && scheme === undefined) return forwardedHops(textOf(headers.forwarded) ?? '');
  // The first of several is what the client asked of the first proxy.
  const reached = { host: firstOf(host), scheme: firstOf(scheme) };
  return (addresses ?? '').split(',').map((address) => ({ address, ...reached }));
}

/** Every space can be skipped in one place only: a head full of them must not take a second to read. */
const PAIR = /\s*([A-Za-z]+)\s*=(?:\s*"((?:[^"\\]|\\.)*)"|\s*([^\s;,"]+)|)\s*(?:;|(,)|$)/gy;

/** The elements of a Forwarded header, in their order; none when any of it cannot be read, for that may hide where the client's own word ends. */
function forwardedHops(header: string): readonly Hop[] {
  const hops: Record<string, string>[] = [{}];
  let end = 0;
  for (const [pair, name = '', quoted, plain, comma] of header.matchAll(PAIR)) {
    hops.at(-1)![name.toLowerCase()] = quoted?.replaceAll(/\\(.)/g, '$1') ?? plain ?? '';
    if (comma !== undefined) hops.push({});
    end += pair.length;
  }
  if (end < header.length) return [];
  return hops.map(({ for: address = '', host, proto: scheme }) => ({ address, host, scheme }));
}

/** Balancers that speak of WebSockets say ws and wss. */
function schemeOf(word: string | undefined): Scheme | null {
  switch (word?.toLowerCase()) {
    case 'https':
    case 'wss':
      return 'https';
    case 'http':
    case 'ws':
      return 'http';
    default:
      return null;
  }
}

function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(',') : header;
}

function firstOf(list: string | undefined): string | undefined {
  return list?.split(',', 1)[0]?.trim() || undefined;
}

function addNetwork(networks: BlockList, entry: string, variable: string): void {
  const [address = '', bits, ...more] = entry.split('/');
  const family = isIP(address);
  const longest = family === 6 ? 128 : 32;
  const length = bits === undefined ? longest : Number(/^\d{1,3}$/.test(bits) ? bits : Number.NaN);
  if (family === 0 || more.length > 0 || !(length >= 0 && length <= longest)) {
    const wanted = 'addresses or networks (10.0.0.5, 10.1.0.0/16, 2001:db8::/32)';
    throw new ServiceError('INVALID_ARGUMENT', `${variable} names "${entry.slice(0, 100)}": set ${wanted}`);
  }
  networks.addSubnet(address, length, family === 6 ? 'ipv6' : 'ipv4');
}
