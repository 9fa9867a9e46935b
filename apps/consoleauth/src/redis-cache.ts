/** A Redis as a token cache. */
import { Redis } from 'ioredis';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { TokenCache } from './token-cache.ts';

const CONNECT_MS_MAX = 2_000;
const ANSWER_MS_MAX = 2_000;
const RECONNECT_MS_MAX = 1_000;

/** @param url redis:// or rediss://, as ioredis reads it: user, password and the number of the database included */
export function redisCache(url: string): TokenCache {
  if (!URL.canParse(url)) throw new ServiceError('INVALID_ARGUMENT', 'a Redis is named as redis://[user:password@]host:port/database');
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: CONNECT_MS_MAX,
    // A server that says nothing loses its connection, and with it all that waits.
    socketTimeout: ANSWER_MS_MAX,
    commandTimeout: ANSWER_MS_MAX,
    // A request may wait for one attempt to connect again; none is sent twice.
    maxRetriesPerRequest: 1,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (attempt) => Math.min(attempt * 100, RECONNECT_MS_MAX),
  });
  // Each request is told by itself; without a listener the process would end.
  redis.on('error', () => {});
  return {
    name: 'redis',
    get: (key) => redis.get(key),
    async set(key, value, seconds) {
      await redis.set(key, value, 'EX', seconds);
    },
    add: async (key, value, seconds) => (await redis.set(key, value, 'EX', seconds, 'NX')) === 'OK',
    touch: async (key, seconds) => (await redis.expire(key, seconds)) === 1,
    delete: async (key) => (await redis.del(key)) === 1,
    async close() {
      redis.disconnect();
    },
  };
}
