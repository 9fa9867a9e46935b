import { hostname } from 'node:os';
import { BACKPORT_PEERS } from '@gatehouse/contracts/backport-peers';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { auditSettings } from '@gatehouse/runtime/audit';
import { brokerSettings } from '@gatehouse/runtime/broker';
import { address, choice, choices, csv, durationSeconds, flag, integer, name, orNull, port, rpcLevel, text } from '@gatehouse/runtime/config';
import { z } from 'zod';
import { VNC_SCHEMES } from './dial/rfb-host.ts';
import { TLS_VERSIONS } from './served-certificate.ts';

/** How the console proxy serves; the same in a process of its own and in the standalone. */
export const consoleProxyConfig = z.object({
  ...auditSettings,
  proxyPort: port(6080),
  bindAddress: address('127.0.0.1'),
  /**
   * This proxy among others; consoleauth directs messages to it by this name. Two
   * proxies of one name would take each other's messages; unset: see proxyNameOf.
   */
  proxyName: name().optional(),
  /** Pages of other hosts that may open consoles: host names or whole origins. */
  allowedOrigins: csv([]),
  /** Refuse clients that say no Origin, which are programs. */
  originRequired: flag(false),
  /** Schemes that an Origin may have (https); any when empty. */
  originSchemes: csv([]),
  /** Pages that may show a console in a frame: `self`, `none`, or origins (https://dashboard.example.org). */
  frameAncestors: csv(['self']),
  /** Balancers in front, as addresses and networks: from them alone X-Forwarded-For, -Proto, -Host and Forwarded count. */
  trustedProxies: csv([]),
  /** Balancers of TCP, as addresses and networks: each of their connections begins with whose it is (the PROXY protocol, version 1 or 2). */
  proxyProtocolFrom: csv([]),
  /** PEM files of the certificate that browsers see, and of its key where it stands in a file of its own; unset: HTTP. */
  proxyTlsCert: orNull(text('the path of a PEM certificate')),
  proxyTlsKey: orNull(text('the path of a PEM key')),
  /** The least that browsers must speak; default: TLS 1.2. */
  proxyTlsMinVersion: choice(TLS_VERSIONS, 'default'),
  /** OpenSSL's list of ciphers. */
  proxyTlsCiphers: orNull(text('a list of ciphers as OpenSSL has them')),
  /** PEM files for TLS between proxies and agents: all three, or none. */
  streamTlsCert: orNull(text('the path of a PEM certificate')),
  streamTlsKey: orNull(text('the path of a PEM key')),
  streamTlsCa: orNull(text('the path of a PEM certificate')),
  /** Consoles at one time. */
  proxySessionsMax: integer({ min: 1, max: 100_000, fallback: 10_000 }),
  /** Clients whose token is being asked about at one time; more stand in line for it. */
  proxyOpeningMax: integer({ min: 1, max: 10_000, fallback: 256 }),
  /** Of one address, or IPv6 /64, those that are being let in. */
  proxyOpeningPerAddress: integer({ min: 1, max: 10_000, fallback: 128 }),
  /** Connections of every kind at one time. */
  proxyConnectionsMax: integer({ min: 1, max: 1_000_000, fallback: 20_000 }),
  /** WebSockets of one address at one time; an office has one address. */
  proxyConnectionsPerAddress: integer({ min: 1, max: 1_000_000, fallback: 1_000 }),
  /** Connections that are no console (TLS handshakes, heads of requests, pages) at one time; beyond it the oldest is closed. */
  proxyHandshakesMax: integer({ min: 1, max: 1_000_000, fallback: 2_048 }),
  /** Of these, those of one address. */
  proxyHandshakesPerAddress: integer({ min: 1, max: 1_000_000, fallback: 256 }),
  /** Seconds for which the session of a client that vanished waits for it (a third of it for a page that was left or is loaded anew). 0: not at all. */
  proxyResumeWait: durationSeconds(15, { min: 0, max: 3_600 }),
  /**
   * Seconds without a key or a movement of the pointer after which a console is closed; 0: never, as with Nova: whoever
   * watches an installation for an hour types nothing.
   */
  proxyIdleTimeout: durationSeconds(0, { min: 0, max: 604_800 }),
  /** Seconds that a session may last, however often it was resumed; 0: any. A day: who still works gets a new link, who has lost the right does not. */
  proxyLifetimeMax: durationSeconds(86_400, { min: 0, max: 31_536_000 }),
  /** TLS to the hosts of serial and SPICE consoles that are dialled by TCP; `required` allows VNC by VeNCrypt alone. */
  dialTls: choice(['off', 'required'], 'off'),
  /** PEM files: who signs those hosts' certificates, and what this proxy shows to hosts that ask (both, or none). */
  dialTlsCa: orNull(text('the path of a PEM certificate')),
  dialTlsCert: orNull(text('the path of a PEM certificate')),
  dialTlsKey: orNull(text('the path of a PEM key')),
  /** How the proxy proves itself to VNC servers that it dials, in its order of preference; unset: `none`, with TLS required `vencrypt`. */
  vncAuthSchemes: orNull(choices(VNC_SCHEMES)),
  /** The file that holds the password of those servers. */
  vncPasswordFile: orNull(text('the path of a file that holds only the password')),
  /** Seconds that a host may take to open a console. */
  proxyConnectTimeout: durationSeconds(10, { min: 1, max: 300 }),
  /** Seconds that a client may take to send the head of its request, however slowly it drips. */
  proxyHeaderTimeout: durationSeconds(10, { min: 1, max: 300 }),
  /** Seconds between the pings of a console's WebSocket; a client that answers none for three times as long is gone. */
  proxyPing: durationSeconds(20, { min: 1, max: 3_600 }),
  /** Seconds that running consoles get to end by themselves when the proxy stops. */
  proxyDrain: durationSeconds(2, { min: 0, max: 86_400 }),
  /** The level spoken to consoleauth. */
  rpcPinConsoleauth: rpcLevel(consoleauth),
  /** Who rewrites objects in requests that are newer than ours. */
  rpcBackportPeer: choice(BACKPORT_PEERS, 'consoleauth'),
});
export type ConsoleProxyConfig = Readonly<z.output<typeof consoleProxyConfig>>;

/**
 * The name as set, or one that no other proxy of this machine has: by its port, which stays the same when it is
 * started again; by its process where the system picks the port.
 */
export function proxyNameOf({ proxyName, proxyPort }: Pick<ConsoleProxyConfig, 'proxyName' | 'proxyPort'>): string {
  return proxyName ?? `${hostname()}-${proxyPort === 0 ? `pid${process.pid}` : proxyPort}`;
}

/** What a process of its own needs besides. */
export const consoleProxyProcessConfig = consoleProxyConfig.extend({
  ...brokerSettings,
});
