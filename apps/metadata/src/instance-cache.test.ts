import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { ABSENT_MS, InstanceCache, LOOK_WAIT_MS, REST_MS } from './instance-cache.ts';
import type { CacheLimits, CacheOutcome } from './instance-cache.ts';
import { documentOf } from './metadata-document.ts';
import { testFacts } from './test-facts.ts';
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';

const UUID = '15b942e0-b17a-5deb-b468-acabe2a20ce2';
const TTL_MS = 15_000;
const KEEP_MS = 3_600_000;
const AWAY = new ServiceError('UNAVAILABLE', 'the database is away');

/** The database as the cache sees it: what it is asked, and answers when it is told to. */
class TestSource {
  readonly asked: string[] = [];
  readonly #rows = new Map<string, InstanceFacts>();
  #failure: ServiceError | null = null;
  #waiting: (() => void)[] | null = null;

  put(uuid: string, generation: number, displayName = `generation ${generation}`, revision = String(generation)): void {
    this.#rows.set(uuid, testFacts({ uuid, generation, revision, displayName }));
  }

  delete(uuid: string): void {
    this.#rows.delete(uuid);
  }

  fail(failure: ServiceError | null): void {
    this.#failure = failure;
  }

  /** Answers what is in the database when they are asked wait until `release`. */
  hold(): void {
    this.#waiting = [];
  }

  release(): void {
    for (const go of this.#waiting?.splice(0) ?? []) go();
    this.#waiting = null;
  }

  find(uuid: string): Promise<InstanceFacts | null> {
    return this.#answer('find', this.#rows.get(uuid) ?? null);
  }

  findRevision(uuid: string): Promise<string | null> {
    return this.#answer('revision', this.#rows.get(uuid)?.revision ?? null);
  }

  async #answer<T>(what: string, answer: T): Promise<T> {
    this.asked.push(what);
    if (this.#failure !== null) throw this.#failure;
    if (this.#waiting !== null) await new Promise<void>((resolve) => this.#waiting?.push(resolve));
    return answer;
  }
}

function make(limits: Partial<CacheLimits> = {}) {
  const clock = new TestClock();
  const source = new TestSource();
  const changed: string[] = [];
  const outcomes: CacheOutcome[] = [];
  const all = { ttlSeconds: TTL_MS / 1_000, keepSeconds: KEEP_MS / 1_000, instancesMax: 100, bytesMax: 10_000_000, ...limits };
  const cache = new InstanceCache(source, all, clock, { read: (outcome) => outcomes.push(outcome), changed: (uuid) => changed.push(uuid) });
  const nameOf = async (uuid = UUID): Promise<string | null> => (await cache.find(uuid))?.facts.displayName ?? null;
  return { clock, source, changed, outcomes, cache, nameOf };
}

describe('the cache of instances', () => {
  describe('while the database is away', () => {
    it('gives what it holds, and asks no more than once a second', async () => {
      const { clock, source, nameOf, outcomes } = make();
      source.put(UUID, 1);
      await nameOf();
      source.fail(AWAY);
      await clock.advance(TTL_MS);
      for (let each = 0; each < 100; each += 1) assert.equal(await nameOf(), 'generation 1');
      assert.deepEqual(source.asked, ['find', 'revision']);
      assert.equal(outcomes.filter((outcome) => outcome === 'stale').length, 100);
      await clock.advance(REST_MS);
      assert.equal(await nameOf(), 'generation 1');
      assert.equal(source.asked.length, 3);
    });

    it('refuses what it does not hold, and what it has held for too long', async () => {
      const { clock, source, nameOf } = make();
      source.put(UUID, 1);
      await nameOf();
      source.fail(AWAY);
      await assert.rejects(nameOf('00000000-0000-4000-8000-000000000001'), { code: 'UNAVAILABLE' });
      await clock.advance(KEEP_MS);
      assert.equal(await nameOf(), 'generation 1');
      await clock.advance(REST_MS);
      await assert.rejects(nameOf(), { code: 'UNAVAILABLE' });
    });

    it('shows what has changed at the first look that succeeds', async () => {
      const { clock, source, nameOf } = make();
      source.put(UUID, 1);
      await nameOf();
      source.fail(AWAY);
      await clock.advance(TTL_MS);
      await nameOf();
      source.put(UUID, 2);
      source.fail(null);
      await clock.advance(REST_MS);
      assert.equal(await nameOf(), 'generation 2');
    });

    it('gives what it holds though there were news of it, for nobody can say what they are', async () => {
      const { clock, source, cache, nameOf } = make();
      source.put(UUID, 1);
      await nameOf();
      source.fail(AWAY);
      cache.forget(UUID);
      assert.equal(await nameOf(), 'generation 1');
      source.put(UUID, 2);
      source.fail(null);
      await clock.advance(REST_MS);
      assert.equal(await nameOf(), 'generation 2');
    });

    it('does not let those wait for long whom it could answer, while the database hangs', async () => {
      const { clock, source, nameOf } = make();
      source.put(UUID, 1);
      await nameOf();
      await clock.advance(TTL_MS);
      source.hold();
      const first = nameOf();
      await clock.advance(LOOK_WAIT_MS);
      assert.equal(await first, 'generation 1');
      assert.equal(await nameOf(), 'generation 1');
      assert.equal(source.asked.length, 2);
      source.release();
      await turn();
      assert.equal(clock.pending, 0);
    });

    it('tells what is stored and cannot be read from a database that is away', async () => {
      const { clock, source, nameOf } = make();
      source.put(UUID, 1);
      await nameOf();
      await clock.advance(TTL_MS);
      source.fail(new ServiceError('INTERNAL', 'the stored key pairs cannot be read'));
      await assert.rejects(nameOf(), { code: 'INTERNAL' });
    });
  });

  describe('when an instance changes', () => {
    it('looks again at the news, and not before its time without them', async () => {
      const { clock, source, cache, nameOf } = make();
      source.put(UUID, 1);
      await nameOf();
      source.put(UUID, 2);
      assert.equal(await nameOf(), 'generation 1');
      cache.forget(UUID);
      assert.equal(await nameOf(), 'generation 2');
      source.put(UUID, 3);
      await clock.advance(TTL_MS - 1);
      assert.equal(await nameOf(), 'generation 2', 'lost news cost at most this');
      await clock.advance(1);
      assert.equal(await nameOf(), 'generation 3');
    });

    it('does not keep a look that the news overtook, and does not let later askers have it', async () => {
      const { source, cache, nameOf } = make();
      source.put(UUID, 1);
      source.hold();
      const before = nameOf();
      source.put(UUID, 2);
      cache.forget(UUID);
      const after = nameOf();
      source.release();
      assert.equal(await before, 'generation 1', 'it was so when it was asked');
      assert.equal(await after, 'generation 2');
      assert.equal(await nameOf(), 'generation 2');
    });

    it('bears news that come late, twice, and of what it never heard of', async () => {
      const { source, cache, nameOf, changed } = make();
      source.put(UUID, 1);
      await nameOf();
      source.put(UUID, 2);
      source.put(UUID, 3);
      cache.forget(UUID);
      assert.equal(await nameOf(), 'generation 3');
      // Of the change to 2, on a slower way: what is held is looked at again, by its revision alone.
      cache.forget(UUID);
      cache.forget('00000000-0000-4000-8000-000000000001');
      assert.equal(await nameOf(), 'generation 3');
      assert.deepEqual(source.asked, ['find', 'revision', 'find', 'revision']);
      assert.equal(cache.size, 1);
      assert.deepEqual(changed.filter((uuid) => uuid === UUID).length, 3, 'two news, and the look that found another');
    });

    it('forgets it when it is deleted, by news or by its look', async () => {
      const { clock, source, cache, nameOf } = make();
      source.put(UUID, 1);
      await nameOf();
      source.delete(UUID);
      cache.forget(UUID);
      assert.equal(await nameOf(), null);
      assert.equal(cache.size, 0);
      source.put(UUID, 2);
      await clock.advance(ABSENT_MS);
      assert.equal(await nameOf(), 'generation 2');
      source.delete(UUID);
      await clock.advance(TTL_MS);
      assert.equal(await nameOf(), null);
    });

    it('takes a generation that went back for a change too', async () => {
      const { clock, source, nameOf } = make();
      source.put(UUID, 7);
      await nameOf();
      source.put(UUID, 3);
      await clock.advance(TTL_MS);
      assert.equal(await nameOf(), 'generation 3');
    });

    it('takes a generation that came again at another moment for a change', async () => {
      const { clock, source, nameOf } = make();
      source.put(UUID, 7, 'before', '7 at noon');
      await nameOf();
      source.put(UUID, 7, 'after', '7 at one');
      await clock.advance(TTL_MS);
      assert.equal(await nameOf(), 'after');
    });
  });

  it('makes one statement for a hundred who ask at once', async () => {
    const { source, nameOf } = make();
    source.put(UUID, 1);
    source.hold();
    const all = Array.from({ length: 100 }, () => nameOf());
    source.release();
    assert.deepEqual(new Set(await Promise.all(all)), new Set(['generation 1']));
    assert.deepEqual(source.asked, ['find']);
  });

  it('fails all of them alike, and then tries anew', async () => {
    const { source, nameOf } = make();
    source.put(UUID, 1);
    source.fail(AWAY);
    for (const each of await Promise.allSettled(Array.from({ length: 100 }, () => nameOf()))) assert.equal(each.status, 'rejected');
    assert.deepEqual(source.asked, ['find']);
    source.fail(null);
    assert.equal(await nameOf(), 'generation 1');
  });

  it('remembers for two seconds that an instance is not there, unless it hears of it', async () => {
    const { clock, source, cache, nameOf } = make();
    assert.equal(await nameOf(), null);
    source.put(UUID, 1);
    await clock.advance(ABSENT_MS - 1);
    assert.equal(await nameOf(), null);
    cache.forget(UUID);
    assert.equal(await nameOf(), 'generation 1');
    assert.deepEqual(source.asked, ['find', 'find']);
  });

  it('asks for the revision alone when what it holds has grown old', async () => {
    const { clock, source, cache, nameOf, outcomes } = make();
    source.put(UUID, 1);
    await nameOf();
    const held = await cache.find(UUID);
    await clock.advance(TTL_MS);
    assert.equal(await cache.find(UUID), held);
    assert.equal(await nameOf(), 'generation 1');
    assert.deepEqual(source.asked, ['find', 'revision']);
    assert.deepEqual(outcomes, ['miss', 'hit', 'miss', 'hit']);
  });

  it('believes nothing without a look where its time is 0, and holds it all the same for an outage', async () => {
    const { source, nameOf } = make({ ttlSeconds: 0 });
    source.put(UUID, 1);
    await nameOf();
    source.put(UUID, 2);
    assert.equal(await nameOf(), 'generation 2');
    source.fail(AWAY);
    assert.equal(await nameOf(), 'generation 2');
  });

  it('is not misled by a clock that was set back', async () => {
    const source = new TestSource();
    source.put(UUID, 1);
    let nowMs = 1_800_000_000_000;
    const clock = { now: () => new Date(nowMs), after: () => () => {}, sleep: () => new Promise<void>(() => {}) };
    const cache = new InstanceCache(source, { ttlSeconds: 15, keepSeconds: 3_600, instancesMax: 10, bytesMax: 1_000_000 }, clock);
    await cache.find(UUID);
    nowMs -= 3_600_000;
    source.put(UUID, 2);
    assert.equal((await cache.find(UUID))?.facts.displayName, 'generation 2');
  });

  it('holds so many instances and bytes and no more: who was not asked for the longest goes', async () => {
    const { source, cache, nameOf } = make({ instancesMax: 3 });
    const uuids = Array.from({ length: 5 }, (_, index) => `00000000-0000-4000-8000-00000000000${index}`);
    for (const uuid of uuids) source.put(uuid, 1);
    for (const uuid of uuids.slice(0, 3)) await nameOf(uuid);
    await nameOf(uuids[0]);
    await nameOf(uuids[3]);
    assert.equal(cache.size, 3);
    source.asked.length = 0;
    await nameOf(uuids[0]);
    assert.deepEqual(source.asked, []);
    await nameOf(uuids[1]);
    assert.deepEqual(source.asked, ['find']);

    const small = make({ bytesMax: 30_000 });
    for (const uuid of uuids) small.source.put(uuid, 1, 'x'.repeat(8_000));
    for (const uuid of uuids) await small.nameOf(uuid);
    assert.ok(small.cache.size >= 1 && small.cache.size < 5, `${small.cache.size} are held`);
    assert.ok(small.cache.bytes <= 30_000, `${small.cache.bytes} bytes`);
    for (const uuid of uuids) small.source.delete(uuid);
    for (const uuid of uuids) small.cache.forget(uuid);
    for (const uuid of uuids) await small.nameOf(uuid);
    assert.equal(small.cache.bytes, 0, 'what goes is taken off');
  });

  it('keeps documents with the facts that they were made of, and counts them', async () => {
    const { source, cache } = make();
    source.put(UUID, 1);
    const facts = (await cache.find(UUID))?.facts;
    assert.ok(facts !== undefined);
    const before = cache.bytes;
    const document = documentOf({ type: 'text/plain', content: 'x'.repeat(1_000) });
    cache.keepDocument(facts, '/a', document);
    assert.ok(cache.bytes > before + 1_000);
    assert.equal(cache.documentOf(facts, '/a'), document);
    const many = cache.bytes * 200;
    for (let each = 0; each < 10_000; each += 1) cache.keepDocument(facts, `/${'./'.repeat(each % 97)}${each}`, document);
    assert.ok(cache.bytes < many, 'paths can be written in any number of ways');
    cache.keepDocument(facts, '/large', documentOf({ type: 'text/plain', content: 'x'.repeat(65_536) }));
    assert.equal(cache.documentOf(facts, '/large'), undefined);
    source.put(UUID, 2);
    cache.forget(UUID);
    const next = (await cache.find(UUID))?.facts;
    assert.ok(next !== undefined);
    assert.equal(cache.documentOf(next, '/a'), undefined);
    cache.keepDocument(facts, '/b', document);
    assert.equal(cache.documentOf(next, '/b'), undefined, 'what was made of older facts comes too late');
  });
});
