/**
 * Users of key pairs while these move: some page through hundreds, some make, remake and delete, some only look, and one fills
 * a quota. Each knows what must come out; what comes out otherwise is a failure, kept in words.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import type pg from 'pg';
import { HttpCalls } from './http-calls.ts';
import type { HttpAnswer } from './http-calls.ts';
import { KeyLedger } from './key-ledger.ts';
import type { LedgerKey } from './key-ledger.ts';
import { makeKey, usersOf } from './legacy-plan.ts';
import type { TrafficLoop, TrafficRecord } from './traffic-record.ts';
import type { UserChanges } from './moved-key-pairs.ts';

/** What the api is told: the filler has 490 of them. */
export const KEY_PAIRS_MAX = 500;
const FILLING_AT_ONCE = 16;
/** New ones of a user that may be there at one time. */
const FRESH_MAX = 12;
/** A walk is tried again where a user deleted the key that it stood at. */
const WALK_TRIES_MAX = 20;

interface ListedKey {
  readonly name: string;
  readonly publicKey: string;
}

export class KeyPairTraffic {
  readonly #apiUrl: string;
  readonly #record: TrafficRecord;
  readonly #http = new HttpCalls();
  readonly #ledgers: ReadonlyMap<string, KeyLedger>;
  #made = 0;
  /** How often each thing was done to its end. */
  readonly done = { walks: 0, creates: 0, conflicts: 0, deletes: 0, shows: 0, counts: 0, fills: 0 };

  private constructor(apiUrl: string, record: TrafficRecord, ledgers: ReadonlyMap<string, KeyLedger>) {
    this.#apiUrl = apiUrl;
    this.#record = record;
    this.#ledgers = ledgers;
  }

  /** `api`: the API database, with what was seeded. */
  static async of(apiUrl: string, api: pg.Pool, record: TrafficRecord): Promise<KeyPairTraffic> {
    const { rows } = await api.query<{ user_id: string; name: string; id: number; created: string; fingerprint: string; public_key: string }>(
      `SELECT user_id, name, id, to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.US') AS created, fingerprint, public_key
       FROM seeded.key_pairs WHERE user_id IN (SELECT user_id FROM seeded.users)`,
    );
    const keys = new Map<string, Map<string, LedgerKey>>();
    for (const { user_id: userId, name, id, created: createdAt, fingerprint, public_key: publicKey } of rows) {
      const own = keys.get(userId) ?? new Map<string, LedgerKey>();
      keys.set(userId, own.set(name, { publicKey, legacy: { id, createdAt, fingerprint } }));
    }
    const ledgers = [...keys].map(([userId, own]) => [userId, new KeyLedger(userId, own)] as const);
    return new KeyPairTraffic(apiUrl, record, new Map(ledgers));
  }

  loops(): readonly TrafficLoop[] {
    const of = (kind: 'walker' | 'churner' | 'shower', what: string, turn: (ledger: KeyLedger) => Promise<void>): readonly TrafficLoop[] =>
      usersOf(kind).map((user) => ({ what: `${what} of ${user}`, turn: () => turn(this.#ledger(user)) }));
    const [filler] = usersOf('filler').map((user) => this.#ledger(user));
    return [
      ...of('walker', 'walk', (ledger) => this.#walk(ledger)),
      // One changes what another pages through.
      ...of('walker', 'change', (ledger) => this.#change(ledger)).slice(0, 2),
      ...of('churner', 'change', (ledger) => this.#change(ledger)),
      ...of('churner', 'walk', (ledger) => this.#walk(ledger)).slice(0, 2),
      ...of('shower', 'show', (ledger) => this.#show(ledger)),
      ...of('shower', 'count', (ledger) => this.#count(ledger)).slice(0, 2),
      ...(filler === undefined ? [] : [{ what: 'fill', turn: () => this.#fill(filler) }]),
    ];
  }

  /** A legacy one that nobody changes. */
  someKey(): { readonly userId: string; readonly name: string; readonly publicKey: string } {
    const ledger = this.#ledger(pick(usersOf('shower')) ?? '');
    const name = pick(ledger.names('present')) ?? '';
    return { userId: ledger.userId, name, publicKey: ledger.get(name)?.publicKey ?? '' };
  }

  /** Every user's list, whole, once more. @throws AssertionError where it is not what the user knows */
  async checkAll(): Promise<void> {
    for (const ledger of this.#ledgers.values()) {
      const before = ledger.snapshot();
      ledger.check(before, await this.#pages(ledger, 1_000));
      assert.equal(await this.#inUse(ledger), ledger.names('present').length, `the count of ${ledger.userId}`);
    }
  }

  changes(): UserChanges {
    const all = [...this.#ledgers.values()];
    return { created: all.flatMap((ledger) => ledger.created()), deleted: all.flatMap((ledger) => ledger.deletedLegacy()) };
  }

  close(): void {
    this.#http.close();
  }

  async #walk(ledger: KeyLedger): Promise<void> {
    const limit = randomInt(5, 40);
    const before = ledger.snapshot();
    ledger.check(before, await this.#pages(ledger, limit));
    this.done.walks += 1;
  }

  async #pages(ledger: KeyLedger, limit: number): Promise<readonly ListedKey[]> {
    for (let tries = 1; ; tries += 1) {
      const read: ListedKey[] = [];
      let since = ledger.snapshot();
      for (;;) {
        const marker = read.at(-1)?.name;
        const from = marker === undefined ? '' : `&marker=${encodeURIComponent(marker)}`;
        const answer = await this.#send('list', ledger.userId, 'GET', `?limit=${limit}${from}`);
        if (answer.status === 400 && marker !== undefined && !(ledger.holds(marker, since) && ledger.get(marker) !== null)) break;
        assert.equal(answer.status, 200, `page after ${JSON.stringify(marker)}: ${answer.status} ${answer.text}`);
        // Of what this page says; the next one's marker was there after this moment, or is being deleted.
        since = ledger.snapshot();
        const { keypairs } = JSON.parse(answer.text) as { keypairs: readonly { keypair: { name: string; public_key: string } }[] };
        read.push(...keypairs.map(({ keypair }) => ({ name: keypair.name, publicKey: keypair.public_key })));
        if (keypairs.length < limit) return read;
      }
      assert.ok(tries < WALK_TRIES_MAX, 'every walk met a marker that was deleted');
    }
  }

  async #show(ledger: KeyLedger): Promise<void> {
    const name = pick(ledger.names('present'));
    if (name === null) return;
    const key = ledger.get(name);
    const answer = await this.#send('show', ledger.userId, 'GET', `/${encodeURIComponent(name)}`);
    assert.equal(answer.status, 200, `${JSON.stringify(name)}: ${answer.status} ${answer.text}`);
    const { keypair } = JSON.parse(answer.text) as { keypair: Record<string, unknown> };
    const { public_key: publicKey, id, created_at: createdAt, fingerprint } = keypair;
    const expected = { publicKey: key?.publicKey, ...key?.legacy };
    assert.deepEqual({ publicKey, ...(key?.legacy == null ? {} : { id, createdAt, fingerprint }) }, expected);
    this.done.shows += 1;
  }

  async #count(ledger: KeyLedger): Promise<void> {
    assert.equal(await this.#inUse(ledger), ledger.names('present').length, `the count of ${ledger.userId}`);
    this.done.counts += 1;
  }

  async #inUse({ userId }: KeyLedger): Promise<number> {
    const answer = await this.#http.send({ url: `${this.#apiUrl}/v2.1/os-quota-sets/moving/detail?user_id=${userId}`, headers: headersOf(userId) });
    assert.equal(answer.status, 200, answer.text);
    this.#record.took('count', answer.ms);
    return (JSON.parse(answer.text) as { quota_set: { key_pairs: { in_use: number } } }).quota_set.key_pairs.in_use;
  }

  /** One of what users do; whatever was deleted is looked for at once. */
  async #change(ledger: KeyLedger): Promise<void> {
    const [present, absent] = [ledger.names('present'), ledger.names('absent')];
    const fresh = present.filter((name) => ledger.get(name)?.legacy === null);
    const chosen = randomInt(5);
    if (chosen === 0) return this.#conflict(ledger, pick(present));
    if (chosen === 1) return this.#delete(ledger, pick(fresh.length > FRESH_MAX / 2 ? fresh : present));
    if (chosen === 2 && fresh.length < FRESH_MAX) return this.#create(ledger, `made-${(this.#made += 1)}`);
    // A name that a cell may once have had; a user may only choose from some of all letters.
    const again = pick(absent.filter((name) => /^[\w@. -]+$/.test(name)));
    if (chosen === 3 && fresh.length < FRESH_MAX && again !== null) return this.#create(ledger, again);
    return this.#notThere(ledger, pick(absent));
  }

  async #create(ledger: KeyLedger, name: string): Promise<void> {
    const publicKey = `${makeKey().line} ${name}`;
    await ledger.change(name, async () => {
      const answer = await this.#send('create', ledger.userId, 'POST', '', { keypair: { name, type: 'ssh', public_key: publicKey } });
      assert.equal(answer.status, 201, `create ${JSON.stringify(name)}: ${answer.status} ${answer.text}`);
      return { publicKey, legacy: null };
    });
    this.done.creates += 1;
  }

  async #conflict(ledger: KeyLedger, name: string | null): Promise<void> {
    if (name === null || !/^[\w@. -]+$/.test(name)) return;
    const since = ledger.snapshot();
    const answer = await this.#send('create', ledger.userId, 'POST', '', { keypair: { name, type: 'ssh', public_key: makeKey().line } });
    assert.ok(answer.status === 409 || !ledger.holds(name, since), `create ${JSON.stringify(name)}, which is there: ${answer.status} ${answer.text}`);
    this.done.conflicts += 1;
  }

  async #delete(ledger: KeyLedger, name: string | null): Promise<void> {
    if (name === null) return;
    await ledger.change(name, async () => {
      const answer = await this.#send('delete', ledger.userId, 'DELETE', `/${encodeURIComponent(name)}`);
      assert.equal(answer.status, 204, `delete ${JSON.stringify(name)}: ${answer.status} ${answer.text}`);
      return null;
    });
    this.done.deletes += 1;
    await this.#notThere(ledger, name);
  }

  async #notThere(ledger: KeyLedger, name: string | null): Promise<void> {
    if (name === null) return;
    const since = ledger.snapshot();
    const method = randomInt(2) === 0 ? 'GET' : 'DELETE';
    const answer = await this.#send(method === 'GET' ? 'show' : 'delete', ledger.userId, method, `/${encodeURIComponent(name)}`);
    assert.ok(answer.status === 404 || !ledger.holds(name, since), `${method} ${JSON.stringify(name)}, which was deleted: ${answer.status} ${answer.text}`);
  }

  /** Takes the whole rest of the quota with many requests at once, and gives it back. */
  async #fill(ledger: KeyLedger): Promise<void> {
    const rest = KEY_PAIRS_MAX - ledger.names('present').length;
    const names = Array.from({ length: FILLING_AT_ONCE }, () => `fill-${(this.#made += 1)}`);
    const made: string[] = [];
    await Promise.all(
      names.map((name) =>
        ledger.change(name, async (): Promise<LedgerKey | null> => {
          const publicKey = makeKey().line;
          const answer = await this.#send('create', ledger.userId, 'POST', '', { keypair: { name, type: 'ssh', public_key: publicKey } });
          if (answer.status === 403) return null;
          assert.equal(answer.status, 201, `fill: ${answer.status} ${answer.text}`);
          made.push(name);
          return { publicKey, legacy: null };
        }),
      ),
    );
    assert.equal(made.length, rest, `of ${FILLING_AT_ONCE} creates at once beside ${KEY_PAIRS_MAX - rest} of ${KEY_PAIRS_MAX} key pairs`);
    assert.equal(await this.#inUse(ledger), KEY_PAIRS_MAX);
    for (const name of made) await this.#delete(ledger, name);
    this.done.fills += 1;
  }

  async #send(what: string, userId: string, method: string, path: string, body?: unknown): Promise<HttpAnswer> {
    const answer = await this.#http.send({ method, url: `${this.#apiUrl}/v2.1/os-keypairs${path}`, headers: headersOf(userId), body });
    this.#record.took(what, answer.ms);
    return answer;
  }

  #ledger(userId: string): KeyLedger {
    const ledger = this.#ledgers.get(userId);
    if (ledger === undefined) throw new Error(`nothing was seeded for ${userId}`);
    return ledger;
  }
}

function headersOf(userId: string): Readonly<Record<string, string>> {
  return { 'x-auth-token': `${userId}:moving`, 'openstack-api-version': 'compute 2.92' };
}

function pick<T>(from: readonly T[]): T | null {
  return from.length === 0 ? null : (from[randomInt(from.length)] as T);
}
