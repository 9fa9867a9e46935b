/** What a user must have of key pairs at each moment, as the one who changes them knows it. Names that are being changed may be there or not. */
import assert from 'node:assert/strict';

export interface LedgerKey {
  readonly publicKey: string;
  /** Of one that was there from the beginning: as the legacy row says it. */
  readonly legacy: { readonly id: number; readonly createdAt: string; readonly fingerprint: string } | null;
}

interface Entry {
  readonly state: 'present' | 'absent' | 'changing';
  readonly key: LedgerKey;
  /** Grows with every change of state. */
  readonly version: number;
}

export type Snapshot = ReadonlyMap<string, Entry>;

export class KeyLedger {
  readonly userId: string;
  readonly #entries = new Map<string, Entry>();
  readonly #deletedLegacy = new Set<string>();

  constructor(userId: string, legacy: ReadonlyMap<string, LedgerKey>) {
    this.userId = userId;
    for (const [name, key] of legacy) this.#entries.set(name, { state: 'present', key, version: 0 });
  }

  /** Makes or deletes one: `work` answers what is there afterwards, null for nothing. Only one change of a name may be under way. */
  async change(name: string, work: () => Promise<LedgerKey | null>): Promise<void> {
    const before = this.#entries.get(name);
    assert.notEqual(before?.state, 'changing');
    const version = (before?.version ?? 0) + 1;
    const unknown = { publicKey: '', legacy: null };
    this.#entries.set(name, { state: 'changing', key: before?.key ?? unknown, version });
    const key = await work();
    if (before?.key.legacy != null && key?.legacy == null) this.#deletedLegacy.add(name);
    this.#entries.set(name, { state: key === null ? 'absent' : 'present', key: key ?? before?.key ?? unknown, version: version + 1 });
  }

  names(state: Entry['state']): readonly string[] {
    return [...this.#entries].filter(([, entry]) => entry.state === state).map(([name]) => name);
  }

  get(name: string): LedgerKey | null {
    const entry = this.#entries.get(name);
    return entry?.state === 'present' ? entry.key : null;
  }

  /** Whether nobody is changing, or has changed since the snapshot, this name. */
  holds(name: string, since: Snapshot): boolean {
    const [before, now] = [since.get(name), this.#entries.get(name)];
    return before !== undefined && before.state !== 'changing' && before.version === now?.version;
  }

  snapshot(): Snapshot {
    return new Map(this.#entries);
  }

  /**
   * Whether what was read between the snapshot and now can be: every key that was there throughout exactly once and as it is,
   * none that was away throughout, none twice, all in the order of their bytes.
   * @throws AssertionError in words
   */
  check(since: Snapshot, read: readonly { readonly name: string; readonly publicKey: string }[]): void {
    const seen = new Map<string, string>();
    let last = Buffer.alloc(0);
    for (const { name, publicKey } of read) {
      const bytes = Buffer.from(name);
      assert.ok(Buffer.compare(last, bytes) < 0, `${this.userId}: ${JSON.stringify(name)} comes after ${JSON.stringify(last.toString())}`);
      last = bytes;
      seen.set(name, publicKey);
    }
    for (const [name, { state, key }] of since) {
      if (!this.holds(name, since)) continue;
      if (state === 'absent') assert.ok(!seen.has(name), `${this.userId}: ${JSON.stringify(name)} was deleted and is listed`);
      if (state === 'present') assert.equal(seen.get(name), key.publicKey, `${this.userId}: ${JSON.stringify(name)} is not listed as it is`);
    }
    for (const name of seen.keys()) assert.ok(this.#entries.has(name), `${this.userId}: ${JSON.stringify(name)} is listed and nobody made it`);
  }

  /** Those that are there and were not from the beginning. */
  created(): readonly { readonly userId: string; readonly name: string; readonly publicKey: string }[] {
    return [...this.#entries].flatMap(([name, { state, key }]) => (state === 'present' && key.legacy === null ? [{ userId: this.userId, name, publicKey: key.publicKey }] : []));
  }

  deletedLegacy(): readonly { readonly userId: string; readonly name: string }[] {
    return [...this.#deletedLegacy].map((name) => ({ userId: this.userId, name }));
  }
}
