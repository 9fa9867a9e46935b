import { hostname } from 'node:os';
import { BACKPORT_PEERS } from '@gatehouse/contracts/backport-peers';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { brokerSettings } from '@gatehouse/runtime/broker';
import { address, choice, csv, durationSeconds, flag, integer, name, orNull, port, rpcLevel, text } from '@gatehouse/runtime/config';
import { z } from 'zod';

/** How the console proxy serves; the same in a process of its own and in the standalone. */
export const consoleProxyConfig = z.object({
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
  /** PEM files for TLS between proxies and agents: all three, or none. */
  streamTlsCert: orNull(text('the path of a PEM certificate')),
  streamTlsKey: orNull(text('the path of a PEM key')),
  streamTlsCa: orNull(text('the path of a PEM certificate')),
  /** Consoles at one time. */
  proxySessionsMax: integer({ min: 1, max: 100_000, fallback: 10_000 }),
  /** Clients that are being let in at one time. */
  proxyOpeningMax: integer({ min: 1, max: 10_000, fallback: 256 }),
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
