/** Chooses what keeps the tokens. */
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import { CachedTokens } from './cached-tokens.ts';
import type { ConsoleAuthConfig } from './config.ts';
import { DatabaseTokens } from './database-tokens.ts';
import { memcachedCache } from './memcached-cache.ts';
import { redisCache } from './redis-cache.ts';
import type { TokenBackend } from './token-backend.ts';
import { boundedCache } from './token-cache.ts';
import type { TokenCache } from './token-cache.ts';

const CACHES: Readonly<Record<TokenCache['name'], { readonly schemes: RegExp; readonly open: (url: string) => TokenCache }>> = {
  redis: { schemes: /^rediss?:/, open: redisCache },
  memcached: { schemes: /^memcached:/, open: memcachedCache },
};

/**
 * Connects when it is first needed; a cache that is away is each call's UNAVAILABLE, never this one's.
 * @throws ServiceError INVALID_ARGUMENT: no URL, or that of something else
 */
export function openTokens(
  { consoleTokensBackend: name, consoleTokensUrl: url }: Pick<ConsoleAuthConfig, 'consoleTokensBackend' | 'consoleTokensUrl'>,
  { cellDb, clock, log }: { readonly cellDb: CellDb; readonly clock: Clock; readonly log: Logger },
): TokenBackend {
  if (name === 'database') return new DatabaseTokens(cellDb, clock);
  const { schemes, open } = CACHES[name];
  if (url === null || !schemes.test(url)) {
    throw new ServiceError('INVALID_ARGUMENT', `GATEHOUSE_CONSOLE_TOKENS_BACKEND is ${name}: set GATEHOUSE_CONSOLE_TOKENS_URL to ${name}://host:port`);
  }
  const words = `console tokens in ${name} are deprecated: a cache forgets them when it is short of memory or restarts; set GATEHOUSE_CONSOLE_TOKENS_BACKEND=database`;
  log.warn({ backend: name }, words);
  return new CachedTokens(boundedCache(open(url)), cellDb, clock);
}
