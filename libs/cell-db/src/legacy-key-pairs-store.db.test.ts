import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'mocha';
import { openDatabase } from '@gatehouse/database/database';
import type { Database } from '@gatehouse/database/database';
import { START_TIMEOUT_MS, TEST_DATABASES } from '@gatehouse/database/testing';
import { MIGRATIONS } from './generated/migrations.ts';
import { LegacyKeyPairsStore } from './legacy-key-pairs-store.ts';
import { sqlClientOf } from './sql-client.ts';
import { NOW, seconds } from './testing.ts';

for (const kind of TEST_DATABASES) {
  describe(`legacy key pairs on ${kind.name}`, () => {
    let database: Database;
    let store: LegacyKeyPairsStore;
    let stop = async (): Promise<void> => {};
    before(async function () {
      this.timeout(START_TIMEOUT_MS);
      const server = await kind.start();
      stop = server.stop;
      // No store plants such rows: none arrive any more.
      database = await openDatabase(await server.source(), { schema: 'cell', migrations: MIGRATIONS });
      await database.migrate();
      store = new LegacyKeyPairsStore(sqlClientOf(database.sql.run));
    });
    after(async () => {
      await database?.close();
      await stop();
    });

    async function plant(userId: string | null, name: string, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
      const row = { user_id: userId, name, fingerprint: 'aa:bb', public_key: 'ssh-ed25519 x', created_at: NOW, ...more };
      const text = `INSERT INTO key_pairs (${Object.keys(row).join(', ')}) VALUES (${Object.keys(row).map((_, index) => `$${index + 1}`).join(', ')})`;
      await database.sql.run({ text, values: Object.values(row) });
    }

    it('are not found without a user, once deleted, or under another user or spelling', async () => {
      const user = randomUUID();
      await plant(null, 'nobodys');
      await plant(user, 'gone', { deleted: 17, deleted_at: NOW });
      await plant(user, 'kept');
      for (const [userId, name] of [[user, 'nobodys'], [user, 'gone'], [user, 'KEPT'], [randomUUID(), 'kept'], ['', 'nobodys'], [user, "kept' OR '1'='1"]] as const) {
        assert.equal(await store.find(userId, name), null);
        assert.equal(await store.delete(userId, name, NOW), 0);
      }
      assert.deepEqual(await store.names(user), ['kept']);
      await assert.rejects(store.find('a\0b', 'kept'), { code: 'INVALID_ARGUMENT' });
    });

    it('come back with what they have, and nulls for what they lack, set aside or not', async () => {
      const user = randomUUID();
      await plant(user, 'bare', { fingerprint: null, public_key: null, created_at: null, type: 'x509', set_aside: 'it has no public key' });
      await plant(user, 'whole');
      const { id, ...rest } = (await store.find(user, 'bare')) ?? assert.fail();
      assert.ok((id ?? 0) > 0);
      assert.deepEqual(rest, { userId: user, name: 'bare', fingerprint: null, publicKey: null, type: 'x509', createdAt: null, updatedAt: null, deletedAt: null, deleted: false });
      await plant(user, 'endless', { created_at: 'infinity', updated_at: '0044-03-15 BC' });
      assert.deepEqual((await store.list(user)).map(({ createdAt, updatedAt }) => [createdAt, updatedAt]), [[null, null], [null, null], [NOW, null]]);
      const whole = await store.find(user, 'whole');
      assert.deepEqual([whole?.createdAt, whole?.fingerprint, whole?.publicKey, whole?.type], [NOW, 'aa:bb', 'ssh-ed25519 x', 'ssh']);
    });

    it('are listed in byte order of their names, a page at a time', async () => {
      const user = randomUUID();
      const names = ['b', 'a', 'B', 'a-b', 'ä', 'Z', '10', '9', 'ａ', '🔑'];
      for (const name of names) await plant(user, name);
      const expected = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      const page = async (more: { limit?: number; after?: string }) => (await store.list(user, more)).map(({ name }) => name);
      assert.deepEqual(await page({}), expected);
      assert.deepEqual(await page({ limit: 3, after: expected[3] ?? '' }), expected.slice(4, 7));
      assert.deepEqual([await page({ limit: 0 }), await page({ after: '🔑' })], [[], []]);
    });

    it('stay as marked rows when they are deleted, as often as their name is', async () => {
      const user = randomUUID();
      for (const moment of [seconds(1), seconds(2)]) {
        await plant(user, 'key');
        assert.equal(await store.delete(user, 'key', moment), 1);
        assert.equal(await store.delete(user, 'key', seconds(3)), 0);
      }
      const { rows } = await database.sql.run({ text: 'SELECT deleted = id AS marked, deleted_at, updated_at FROM key_pairs WHERE user_id = $1 ORDER BY id', values: [user] });
      assert.deepEqual(rows, [seconds(1), seconds(2)].map((moment) => ({ marked: true, deleted_at: moment, updated_at: moment })));
    });

    it('are over when nobody has any, whatever is left of nobody\'s', async () => {
      // The embedded database is shared with other suites, whose rows these would be.
      await database.sql.transaction(async (run) => {
        await run({ text: 'DELETE FROM key_pairs WHERE user_id IS NOT NULL', values: [] });
        const inside = new LegacyKeyPairsStore(sqlClientOf(run));
        assert.equal(await inside.hasAny(), false);
        await run({ text: "INSERT INTO key_pairs (user_id, name, deleted) VALUES (NULL, 'nobodys', 0), ('somebody', 'gone', 5)", values: [] });
        assert.equal(await inside.hasAny(), false);
        await run({ text: "INSERT INTO key_pairs (user_id, name, set_aside) VALUES ('somebody', 'last', 'a reason')", values: [] });
        assert.equal(await inside.hasAny(), true);
        throw new Error('taken back');
      }).catch((error: unknown) => assert.equal((error as Error).message, 'taken back', String(error)));
    });
  });
}
