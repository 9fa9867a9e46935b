// What only a cache can do to tokens: forget them, hold what nobody issued, be away. It ends in a refusal in words, in time.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { NewToken } from '@gatehouse/cell-db/console-tokens-store';
import { newInstance, newToken, serialPort } from '@gatehouse/cell-db/testing';
import { ServiceError } from '@gatehouse/errors/service-error';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { openTokens } from './open-tokens.ts';
import { NOW, openCache, SILENT, startCache } from './test-token-backends.ts';
import type { CacheServer } from './test-token-backends.ts';
import type { TokenBackend } from './token-backend.ts';
import type { TokenCache } from './token-cache.ts';

const away = (error: unknown) => error instanceof ServiceError && error.code === 'UNAVAILABLE' && /the token cache \(\w+\) .*try again/.test(error.message);

/** Fills a small cache until it has forgotten `keys`: Redis finds what to evict by samples, so that no number of others is sure to be enough. */
async function crowdOut(cache: TokenCache, keys: readonly string[]): Promise<void> {
  const text = (await cache.get(keys[0] as string)) ?? assert.fail('no entry');
  const deadline = Date.now() + 30_000;
  for (let round = 0; (await Promise.all(keys.map((key) => cache.get(key)))).some((value) => value !== null); round += 1) {
    assert.ok(Date.now() < deadline, `it still holds one of ${keys.join(', ')} after ${round} rounds`);
    for (const others = keysOfOthers(round); others.length > 0; ) await Promise.all(others.splice(-200).map((key) => cache.set(key, text, 600)));
  }
}

const keysOfOthers = (round: number) => Array.from({ length: 6_000 }, (_, index) => `gatehouse:token:${round}-${String(index).padStart(64, '0')}`);

/** Until then one of its threads may still answer. */
async function stop(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  const states = () => readdirSync(`/proc/${pid}/task`).map((task) => /\) (\w)/.exec(readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8'))?.[1]);
  for (const deadline = Date.now() + 5_000; states().some((state) => state !== 'T'); await sleep(5)) assert.ok(Date.now() < deadline, 'it does not stop');
}

for (const name of ['redis', 'memcached'] as const) {
  describe(`console tokens in a ${name} that`, function () {
    this.timeout(60_000);
    let cellDb: CellDb;
    const stops: (() => Promise<void>)[] = [];
    const clock = new TestClock(NOW);

    before(async () => {
      const postgresql = await startPostgresql();
      stops.push(() => postgresql.stop());
      cellDb = await openCellDb({ url: await postgresql.createDatabase() });
      stops.push(() => cellDb.close());
      await cellDb.migrate();
    });

    after(async () => {
      for (const stop of stops.reverse()) await stop();
    });

    interface House {
      readonly server: CacheServer;
      readonly tokens: TokenBackend;
      /** The same cache, as another program sees it. */
      readonly cache: TokenCache;
    }

    async function start(isSmall = false): Promise<House> {
      const server = await startCache(name, isSmall);
      const tokens = openTokens({ consoleTokensBackend: name, consoleTokensUrl: server.url }, { cellDb, clock, log: SILENT });
      const cache = openCache(name, server.url);
      stops.push(() => server.stop(), () => tokens.close(), () => cache.close());
      return { server, tokens, cache };
    }

    async function issue(tokens: TokenBackend, values: Partial<NewToken> = {}): Promise<NewToken> {
      const { uuid } = await cellDb.instances.create(newInstance());
      const [row] = await cellDb.consoleConnections.upsertAll([serialPort(uuid, 0)], { exclusive: true, at: NOW });
      const token = newToken(uuid, row?.id ?? assert.fail(), { expires: new Date(NOW.getTime() + 600_000), createdAt: NOW, ...values });
      return tokens.issue(async () => ({ token, answer: token }));
    }

    const opens = (tokens: TokenBackend, { tokenHash }: NewToken): Promise<boolean> => tokens.use(tokenHash, async (_, token) => token !== null);
    const keyOf = ({ tokenHash }: NewToken): string => `gatehouse:token:${tokenHash}`;

    async function comesBack(tokens: TokenBackend): Promise<void> {
      for (const until = Date.now() + 20_000; ; await sleep(50)) {
        const isBack = await tokens.check().then(() => true, () => false);
        if (isBack) return;
        assert.ok(Date.now() < until, 'it never came back');
      }
    }

    it('is short of memory are forgotten, and the ones after them kept', async () => {
      const { tokens, cache } = await start(true);
      const [token, once] = [await issue(tokens), await issue(tokens, { singleUse: true })];
      await crowdOut(cache, [keyOf(token), keyOf(once)]);
      assert.equal(await opens(tokens, token), false);
      assert.equal(await opens(tokens, once), false);
      assert.equal(await tokens.find(token.tokenHash), null);
      assert.equal(await opens(tokens, await issue(tokens)), true);
    });

    it('starts again are gone, and new ones work', async () => {
      const { server, tokens } = await start();
      const token = await issue(tokens);
      await server.halt();
      await server.start();
      await comesBack(tokens);
      assert.equal(await opens(tokens, token), false);
      assert.equal(await opens(tokens, await issue(tokens)), true);
    });

    it('is away are refused in words at once, and so is their issue', async () => {
      const { server, tokens } = await start();
      const token = await issue(tokens);
      await server.halt();
      const began = Date.now();
      await assert.rejects(opens(tokens, token), away);
      await assert.rejects(issue(tokens), away);
      await assert.rejects(tokens.find(token.tokenHash), away);
      await assert.rejects(tokens.check(), away);
      assert.ok(Date.now() - began < 15_000);
    });

    it('is away are revoked all the same: sessions are ended, and what the cache still has opens nothing', async () => {
      const { server, tokens } = await start();
      const token = await issue(tokens);
      await stop(server.pid);
      let ended = 0;
      const told: string[] = [];
      const revocation = tokens.revoke(token.instanceUuid, async (stores) => {
        ended += 1;
        await stores.consoleConnections.deleteForInstance(token.instanceUuid);
        return 'open sessions';
      }, (answer) => told.push(answer));
      await assert.rejects(revocation, away, 'who asked is told to ask again');
      assert.deepEqual(told, ['open sessions'], 'their proxies are told all the same');
      process.kill(server.pid, 'SIGCONT');
      assert.equal(ended, 1);
      await comesBack(tokens);
      assert.equal(await opens(tokens, token), false);
    });

    it('does not answer are refused within seconds, and the next ones are not', async () => {
      const { server, tokens } = await start();
      const token = await issue(tokens);
      await stop(server.pid);
      const began = Date.now();
      await assert.rejects(opens(tokens, token), away);
      assert.ok(Date.now() - began < 10_000);
      process.kill(server.pid, 'SIGCONT');
      await comesBack(tokens);
      assert.equal(await opens(tokens, token), true);
    });

    it('holds anything else in their places count as unknown', async () => {
      const { tokens, cache } = await start();
      const token = await issue(tokens);
      const good = (await cache.get(keyOf(token))) ?? assert.fail('no entry');
      const stored = JSON.parse(good) as Record<string, unknown>;
      const wrong = [
        ...['', '{', 'null', '[]', '"x"', '{"format":1}', good.slice(0, -1), `${good}}`, 'x'.repeat(60_000), 'ÿ\u0000'],
        ...[{ format: 2 }, { tokenHash: 'f'.repeat(64) }, { connectionId: '1' }, { connectionId: 1.5 }, { connectionId: 999_999 }].map(changed),
        ...[{ instanceUuid: 'x' }, { consoleType: 'telepathy' }, { port: 70_000 }, { expires: '2030' }, { expires: null }].map(changed),
        ...[{ access: 'root' }, { generation: null }, { generation: 'x' }, { more: 1 }, { consoleType: 'novnc' }].map(changed),
      ];
      function changed(fields: object): string {
        return JSON.stringify({ ...stored, ...fields });
      }
      for (const value of wrong) {
        await cache.set(keyOf(token), value, 600);
        assert.equal(await opens(tokens, token), false, value.slice(0, 300));
        assert.equal(await tokens.find(token.tokenHash), null);
      }
      await cache.set(keyOf(token), good, 600);
      assert.equal(await opens(tokens, token), true);
    });

    it("holds one token in another's place does not open it there", async () => {
      const { tokens, cache } = await start();
      const [one, other] = [await issue(tokens), await issue(tokens)];
      await cache.set(keyOf(other), (await cache.get(keyOf(one))) ?? '', 600);
      assert.equal(await opens(tokens, other), false);
    });

    it('has lost the generation of their instance, or has another, are revoked', async () => {
      const { tokens, cache } = await start();
      const token = await issue(tokens);
      const key = `gatehouse:generation:${token.instanceUuid}`;
      const generation = (await cache.get(key)) ?? assert.fail('no generation');
      for (const wrong of ['x', generation.toLowerCase().replace(/./, '_')]) {
        await cache.set(key, wrong, 600);
        assert.equal(await opens(tokens, token), false);
      }
      await cache.delete(key);
      assert.equal(await opens(tokens, token), false);
      assert.equal(await tokens.find(token.tokenHash), null);
    });

    it('holds them drops them soon after they have expired', async () => {
      const { tokens, cache } = await start();
      const token = await issue(tokens, { expires: NOW });
      assert.notEqual(await cache.get(keyOf(token)), null);
      for (const until = Date.now() + 40_000; (await cache.get(keyOf(token))) !== null; await sleep(200)) assert.ok(Date.now() < until, 'it stays');
    });
  });
}

describe('the caches of console tokens', () => {
  const place = { clock: new TestClock(NOW), log: SILENT, cellDb: {} as CellDb };

  it('are refused without an address, or with that of something else, and nothing of it is repeated', () => {
    const wrong: readonly (readonly ['redis' | 'memcached', string | null])[] = [
      ['redis', null],
      ['redis', 'memcached://h:1'],
      ['redis', 'redis://h:99999999'],
      ['redis', 'secret'],
      ['memcached', null],
      ['memcached', 'redis://:secret@h'],
      ['memcached', 'memcached://'],
      ['memcached', 'memcached://u:secret@h:1,'],
      ['memcached', 'memcached://h:port'],
    ];
    for (const [name, url] of wrong) {
      assert.throws(
        () => openTokens({ consoleTokensBackend: name, consoleTokensUrl: url }, place),
        (error: unknown) => error instanceof ServiceError && error.code === 'INVALID_ARGUMENT' && /:\/\//.test(error.message) && !/secret/.test(error.message),
        name,
      );
    }
  });

  it('say once that they are deprecated', () => {
    const lines: string[] = [];
    const log = { ...SILENT, warn: (_: object, words: string) => lines.push(words) } as unknown as typeof SILENT;
    openTokens({ consoleTokensBackend: 'database', consoleTokensUrl: null }, { ...place, log });
    assert.deepEqual(lines, []);
    openTokens({ consoleTokensBackend: 'redis', consoleTokensUrl: 'redis://127.0.0.1:1' }, { ...place, log });
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /deprecated.*GATEHOUSE_CONSOLE_TOKENS_BACKEND=database/);
  });
});
