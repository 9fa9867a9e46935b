import { BACKPORT_PEERS } from '@gatehouse/contracts/backport-peers';
import { consoleProxy } from '@gatehouse/contracts/console-proxy';
import { CONSOLE_TYPES } from '@gatehouse/objects/console-connection';
import { auditSettings } from '@gatehouse/runtime/audit';
import { brokerSettings } from '@gatehouse/runtime/broker';
import { choice, choices, durationSeconds, flag, integer, name, orNull, rpcLevel, secret, secretUrl, url } from '@gatehouse/runtime/config';
import { z } from 'zod';
import { URL_STYLES } from './access-url.ts';
import { HASH_ALGORITHMS } from './console-token.ts';
import { TOKENS_BACKENDS } from './token-backend.ts';

/** How consoles are authorized; the same in a process of its own and beside the others in one. */
export const consoleAuthConfig = z.object({
  ...auditSettings,
  /** Where users' browsers reach the console proxy. */
  proxyBaseUrl: url(['http', 'https'], 'http://127.0.0.1:6080'),
  /** How consoles' URLs look; nova is for clients that expect Nova's own. */
  consoleUrlStyle: choice(URL_STYLES, 'fragment'),
  /** Where consoles of one type are opened, where that is not a place of the proxy. */
  vncBaseUrl: orNull(url(['http', 'https'])),
  serialBaseUrl: orNull(url(['ws', 'wss', 'http', 'https'])),
  spiceBaseUrl: orNull(url(['http', 'https'])),
  /** Seconds for which a token opens its console. */
  consoleTokenTtl: durationSeconds(600, { min: 1, max: 86_400 }),
  consoleTokenHash: choice(HASH_ALGORITHMS, 'sha256'),
  /** What keeps the tokens; the caches are deprecated. */
  consoleTokensBackend: choice(TOKENS_BACKENDS, 'database'),
  consoleTokensUrl: orNull(secret('a URL like redis://host:6379 or memcached://host:11211,host:11211')),
  /** A token opens its console once; after that the session's resume grant does. */
  consoleTokenSingleUse: flag(false),
  /** Consoles that take one client at a time, besides serial ports. */
  consoleExclusive: choices(CONSOLE_TYPES),
  /** Consoles that may be open at one time; 0: as many as come. */
  consoleSessionsPerUser: integer({ min: 0, max: 1_000_000, fallback: 500 }),
  consoleSessionsPerInstance: integer({ min: 0, max: 1_000_000, fallback: 250 }),
  consoleSessionsPerProxy: integer({ min: 0, max: 1_000_000, fallback: 0 }),
  /** Seconds for which a promised port is kept for its user. */
  consoleReservation: durationSeconds(30, { min: 1, max: 3_600 }),
  /** Seconds that a session lives on without its proxy's renewal. */
  consoleLease: durationSeconds(15, { min: 3, max: 600 }),
  /** The level spoken to console proxies. */
  rpcPinConsoleProxy: rpcLevel(consoleProxy),
  /** Who rewrites objects in requests that are newer than ours. */
  rpcBackportPeer: choice(BACKPORT_PEERS, 'consoleauth'),
  /** Rewrite objects for Nova's services, as its conductor does; only where no nova-conductor runs. */
  rpcConductor: flag(false),
});
export type ConsoleAuthConfig = Readonly<z.output<typeof consoleAuthConfig>>;

export const consoleAuthProcessConfig = consoleAuthConfig.extend({
  ...brokerSettings,
  cellDatabaseUrl: secretUrl(['postgresql', 'postgres']),
  /** This process among others like it. */
  consoleauthName: name().optional(),
});
