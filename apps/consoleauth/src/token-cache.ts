/** What tokens need of a cache beside the database, and how long anybody waits for one. */
import { ServiceError } from '@gatehouse/errors/service-error';

/** Values live for whole seconds, or until the cache forgets them earlier, which it may do at any moment. */
export interface TokenCache {
  readonly name: 'redis' | 'memcached';
  get(key: string): Promise<string | null>;
  set(key: string, value: string, seconds: number): Promise<void>;
  /** Sets it where it is absent. Of those who race one is answered true. */
  add(key: string, value: string, seconds: number): Promise<boolean>;
  /** Lets it live that long from now. @returns false when it is absent */
  touch(key: string, seconds: number): Promise<boolean>;
  /** Of those who race one is answered true. */
  delete(key: string): Promise<boolean>;
  close(): Promise<void>;
}

export interface CacheLimits {
  /** For one answer, a connection that must be made first included. */
  readonly timeoutMs: number;
  /** Requests that wait for answers at one time. */
  readonly waitingMax: number;
}

export const CACHE_LIMITS: CacheLimits = { timeoutMs: 3_000, waitingMax: 1_000 };

/**
 * The cache with every failure of it told as UNAVAILABLE, in time whatever its client does: clients wait without end
 * for some servers, and their errors carry what was sent, passwords included.
 */
export function boundedCache(cache: TokenCache, { timeoutMs, waitingMax }: CacheLimits = CACHE_LIMITS): TokenCache {
  let waiting = 0;
  const refuse = (words: string, cause?: Error): ServiceError =>
    new ServiceError('UNAVAILABLE', `the token cache (${cache.name}) ${words}; try again in a moment`, { cause });

  async function bounded<T>(request: () => Promise<T>): Promise<T> {
    if (waiting >= waitingMax) throw refuse(`has ${waitingMax} requests waiting`);
    waiting += 1;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(refuse(`did not answer within ${timeoutMs / 1_000} s`)), timeoutMs);
    });
    try {
      return await Promise.race([request().catch((error: unknown) => Promise.reject(refuse('does not answer', wordsOf(error)))), late]);
    } finally {
      clearTimeout(timer);
      waiting -= 1;
    }
  }

  return {
    name: cache.name,
    get: (key) => bounded(() => cache.get(key)),
    set: (key, value, seconds) => bounded(() => cache.set(key, value, seconds)),
    add: (key, value, seconds) => bounded(() => cache.add(key, value, seconds)),
    touch: (key, seconds) => bounded(() => cache.touch(key, seconds)),
    delete: (key) => bounded(() => cache.delete(key)),
    close: () => cache.close(),
  };
}

/** The error's own words: its other fields may hold the command that was sent. */
function wordsOf(error: unknown): Error {
  return new Error(error instanceof Error ? error.message : String(error));
}
