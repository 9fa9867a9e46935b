/** What keeps tokens, each kind on its real server, for the suites that hold them equal. */
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { createLogger } from '@gatehouse/runtime/logger';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { after, before, describe } from 'mocha';
import { startMemcached } from '../../../test/servers/memcached.ts';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { startRedis } from '../../../test/servers/redis.ts';
import { memcachedCache } from './memcached-cache.ts';
import { openTokens } from './open-tokens.ts';
import { redisCache } from './redis-cache.ts';
import type { TokenBackend, TokensBackendName } from './token-backend.ts';
import type { TokenCache } from './token-cache.ts';

export const NOW = new Date('2026-07-01T12:00:00.250Z');
export const SILENT = createLogger({ service: 'test', level: 'silent' });

export interface CacheServer {
  readonly url: string;
  readonly pid: number;
  start(): Promise<void>;
  halt(): Promise<void>;
  stop(): Promise<void>;
}

type CacheName = TokenCache['name'];

/** A server of this kind; `isSmall`: it soon has no room for what it was told. */
export async function startCache(name: CacheName, isSmall = false): Promise<CacheServer> {
  if (name === 'redis') return startRedis(isSmall ? ['--maxmemory', '2mb', '--maxmemory-policy', 'allkeys-lru'] : []);
  const server = await startMemcached(isSmall ? ['-m', '2'] : []);
  const { start, halt, stop, address } = server;
  return { start, halt, stop, url: `memcached://${address}`, get pid() { return server.pid; } };
}

export function openCache(name: CacheName, url: string): TokenCache {
  return name === 'redis' ? redisCache(url) : memcachedCache(url);
}

export interface Backend {
  readonly name: TokensBackendName;
  readonly cellDb: CellDb;
  readonly clock: TestClock;
  readonly tokens: TokenBackend;
  /** The same tokens for another consoleauth. */
  open(): TokenBackend;
  /** The settings that name it. */
  readonly config: { readonly consoleTokensBackend: TokensBackendName; readonly consoleTokensUrl: string | null };
}

/** The suite on each of `names`; `backend()` is for use inside tests and hooks. */
export function onEachTokenBackend(title: string, names: readonly TokensBackendName[], suite: (backend: () => Backend, name: TokensBackendName) => void): void {
  for (const name of names) {
    describe(`${title} in ${name}`, function () {
      this.timeout(60_000);
      let backend: Backend | undefined;
      const opened: TokenBackend[] = [];
      const stops: (() => Promise<void>)[] = [];

      before(async () => {
        const postgresql = await startPostgresql();
        stops.push(() => postgresql.stop());
        const cellDb = await openCellDb({ url: await postgresql.createDatabase() });
        stops.push(() => cellDb.close());
        await cellDb.migrate();
        const cache = name === 'database' ? null : await startCache(name);
        if (cache !== null) stops.push(() => cache.stop());
        const clock = new TestClock(NOW);
        const config = { consoleTokensBackend: name, consoleTokensUrl: cache?.url ?? null };
        const open = (): TokenBackend => {
          const tokens = openTokens(config, { cellDb, clock, log: SILENT });
          opened.push(tokens);
          return tokens;
        };
        backend = { name, cellDb, clock, config, open, tokens: open() };
      });

      after(async () => {
        for (const tokens of opened) await tokens.close();
        for (const stop of stops.reverse()) await stop();
      });

      suite(() => {
        if (backend === undefined) throw new Error('it is open only while tests run');
        return backend;
      }, name);
    });
  }
}
