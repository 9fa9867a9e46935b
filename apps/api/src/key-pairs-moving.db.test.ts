/**
 * Key pairs while their rows move: random interleavings of pages, looks, creates, deletes and moves (some of which die half way) over
 * two cells, of one user at a time. A key that was there all the time is on each walk through the pages exactly once, one that
 * was deleted never comes back, and no name is ever two.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { isServiceError } from '@gatehouse/errors/service-error';
import { newContext } from '@gatehouse/rpc/context';
import type { RequestContext } from '@gatehouse/rpc/context';
import { systemClock } from '@gatehouse/runtime/clock';
import { KeyPairs } from './key-pairs.ts';
import { LegacyKeyPairs } from './legacy-key-pairs.ts';
import { MergedKeyPairs } from './merged-key-pairs.ts';
import { startLegacyHouse } from './test-legacy.ts';
import type { CellNumber, LegacyHouse } from './test-legacy.ts';

const ED25519 = readFileSync(new URL('../test-vectors/keys/ed25519.pub', import.meta.url), 'utf8').trim();
/** More than a statement takes. */
const PAUSE_MS_MAX = 40;
const NAMES = ['1', 'B', 'a', 'b b', 'c', 'k', 'x', 'ä', 'ａ', '🔑'] as const;

type Step =
  | { readonly kind: 'page'; readonly limit: number }
  | { readonly kind: 'move'; readonly cell: CellNumber; readonly how: 'whole' | 'dies' }
  | { readonly kind: 'show'; readonly name: string }
  | Write;
interface Write {
  readonly kind: 'create' | 'delete';
  readonly name: string;
}

const cell = fc.constantFrom<CellNumber>(0, 1);
const name = fc.constantFrom(...NAMES);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('page' as const), limit: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('move' as const), cell, how: fc.constantFrom('whole' as const, 'whole' as const, 'dies' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('delete' as const, 'show' as const, 'create' as const), name }) },
);
/** Where each key is at first; in both cells, or in a cell and the API database, too. */
const places = fc.uniqueArray(fc.record({ name, where: fc.subarray([0, 1, 2] as const, { minLength: 1 }) }), { selector: (place) => place.name, minLength: 3, maxLength: NAMES.length });
/** Steps of one turn run at one time. */
const turns = fc.array(fc.array(step, { minLength: 2, maxLength: 8 }), { minLength: 1, maxLength: 8 });

interface Page {
  readonly limit: number;
  readonly marker: string | null;
  readonly isRefused: boolean;
  readonly names: readonly string[];
}

function isBefore(one: string, other: string): boolean {
  return Buffer.compare(Buffer.from(one), Buffer.from(other)) < 0;
}

/** One user's key pairs, with what every answer so far says of them. */
class User {
  readonly #house: LegacyHouse;
  readonly #keyPairs: KeyPairs;
  readonly #context: RequestContext;
  readonly #id: string;
  readonly #there = new Set<string>();
  /** Where the walk through the pages is; null at its begin. */
  #marker: string | null = null;

  constructor(house: LegacyHouse, keyPairs: KeyPairs, id: string) {
    this.#house = house;
    this.#keyPairs = keyPairs;
    this.#id = id;
    this.#context = newContext({ userId: id, projectId: 'p', timeoutMs: 60_000 });
  }

  async plant(place: 0 | 1 | 2, key: string): Promise<void> {
    this.#there.add(key);
    if (place !== 2) return this.#house.plant(place, this.#id, key);
    await this.#house.api.apiDb.keyPairs.create({ userId: this.#id, name: key, type: 'ssh', publicKey: ED25519, fingerprint: 'aa:bb', createdAt: new Date() });
  }

  /** All steps at one time. Of a name that is written meanwhile reads may say either; of every other only what is so. */
  async turn(steps: readonly Step[]): Promise<void> {
    const writes = steps.filter((each): each is Write => each.kind === 'create' || each.kind === 'delete');
    const unsure = new Set(writes.map((each) => each.name));
    const results = await Promise.all(steps.map((each) => this.#take(each)));
    const pages: Page[] = [];
    for (const [index, each] of steps.entries()) {
      const result = results[index];
      if (typeof result === 'object') pages.push(result);
      else if (each.kind === 'show' && !unsure.has(each.name)) assert.equal(result, this.#there.has(each.name), `show of ${each.name}`);
      else if ((each.kind === 'create' || each.kind === 'delete') && writes.filter((write) => write.name === each.name).length === 1) {
        assert.equal(result, this.#there.has(each.name) === (each.kind === 'delete'), `${each.kind} of ${each.name}`);
      }
    }
    for (const page of pages) this.#check(page, unsure);
    for (const key of unsure) await this.#learn(key, writes.filter((write) => write.name === key).map(({ kind }) => kind));
    const last = pages.at(-1);
    if (last !== undefined) this.#marker = last.isRefused || last.names.length < last.limit ? null : (last.names.at(-1) ?? null);
  }

  /** Everything moves, and is what the answers said. */
  async settle(): Promise<void> {
    for (const each of [0, 1] as const) while ((await this.#rows(each)) > 0) await this.#house.moveOne(each);
    const expected = [...this.#there].toSorted((one, other) => (isBefore(one, other) ? -1 : 1));
    assert.deepEqual((await this.#page(1_000, null)).names, expected);
    assert.deepEqual((await this.#house.api.apiDb.keyPairs.list(this.#id)).map((keyPair) => keyPair.name), expected);
    assert.equal(await this.#keyPairs.count(this.#context, this.#id), expected.length);
  }

  #check({ marker, limit, isRefused, names }: Page, unsure: ReadonlySet<string>): void {
    if (isRefused && marker !== null && (unsure.has(marker) || !this.#there.has(marker))) return;
    assert.ok(!isRefused, `${marker} was there`);
    const walked = marker === null ? names : [marker, ...names];
    for (const [index, each] of walked.entries()) assert.ok(index === 0 || isBefore(walked[index - 1] ?? '', each), `${walked.join()} is in order, each once`);
    for (const each of names) assert.ok(this.#there.has(each) || unsure.has(each), `${each} came back`);
    const end = names.length < limit ? null : (names.at(-1) ?? null);
    for (const each of this.#there) {
      const isOnPage = (marker === null || isBefore(marker, each)) && (end === null || !isBefore(end, each));
      if (isOnPage && !unsure.has(each)) assert.ok(names.includes(each), `${each} was skipped between ${marker} and ${end}: ${names.join()}`);
    }
  }

  /** Of writes of one name at one time the last may have been any. */
  async #learn(key: string, kinds: readonly string[]): Promise<void> {
    const isThere = await this.#take({ kind: 'show', name: key });
    if (!kinds.includes('create')) assert.equal(isThere, false, `${key} is deleted`);
    if (!kinds.includes('delete')) assert.equal(isThere, true, `${key} is made`);
    if (isThere === true) this.#there.add(key);
    else this.#there.delete(key);
  }

  async #take(each: Step): Promise<boolean | Page> {
    switch (each.kind) {
      case 'page':
        return this.#page(each.limit, this.#marker);
      case 'move':
        await pause();
        await this.#house.moveOne(each.cell, each.how);
        return true;
      case 'show':
        return this.#isDone('NOT_FOUND', this.#keyPairs.show(this.#context, this.#id, each.name));
      case 'delete':
        return this.#isDone('NOT_FOUND', this.#keyPairs.delete(this.#context, this.#id, each.name));
      case 'create':
        return this.#isDone('ALREADY_EXISTS', this.#keyPairs.create(this.#context, { userId: this.#id, name: each.name, type: 'ssh', publicKey: ED25519 }));
    }
  }

  async #page(limit: number, marker: string | null): Promise<Page> {
    const listed = this.#keyPairs.list(this.#context, this.#id, { limit, ...(marker === null ? {} : { marker }) });
    const isRefused = !(await this.#isDone('INVALID_ARGUMENT', listed));
    return { limit, marker, isRefused, names: isRefused ? [] : (await listed).map((keyPair) => keyPair.name) };
  }

  /** False where it is refused with that code. */
  async #isDone(code: string, done: Promise<unknown>): Promise<boolean> {
    try {
      await done;
      return true;
    } catch (error) {
      if (!isServiceError(error) || error.code !== code) throw error;
      return false;
    }
  }

  async #rows(each: CellNumber): Promise<number> {
    return (await this.#house.query(each, 'SELECT FROM key_pairs WHERE user_id = $1 AND deleted = 0', [this.#id])).length;
  }
}

describe('key pairs whose rows move while they are read and written', function () {
  this.timeout(120_000);
  let house: LegacyHouse;
  let keyPairs: KeyPairs;
  let users = 0;
  before(async () => {
    house = await startLegacyHouse(ED25519);
    const legacy = new LegacyKeyPairs(house.cells.map(({ legacyKeyPairs }) => paused(legacyKeyPairs)), systemClock);
    keyPairs = new KeyPairs(new MergedKeyPairs(paused(house.api.apiDb.keyPairs), legacy), { keyPairsMax: -1, allowWeakKeys: false, generatedSshKeys: 'ed25519' }, systemClock);
  });
  after(() => house?.stop());

  it('are never skipped, doubled, brought back, or made twice', async () => {
    await fc.assert(
      fc.asyncProperty(places, turns, async (placed, plan) => {
        users += 1;
        const user = new User(house, keyPairs, `user-${users}`);
        for (const { name: each, where } of placed) for (const place of where) await user.plant(place, each);
        for (const turn of plan) await user.turn(turn);
        await user.settle();
      }),
      { numRuns: 30, seed: 20_261_122, endOnFailure: true },
    );
  });
});

/** Long enough for others to come between. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.random() * PAUSE_MS_MAX));
}

/** The store itself, whose every statement comes a moment later than it was asked for. */
function paused<T extends object>(store: T): T {
  return new Proxy(store, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      return typeof value !== 'function' ? value : async (...values: unknown[]) => {
        await pause();
        return Reflect.apply(value, target, values) as unknown;
      };
    },
  });
}
