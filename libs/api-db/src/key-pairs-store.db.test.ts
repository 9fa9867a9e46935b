import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'mocha';
import { KeyPair } from '@gatehouse/objects/key-pair';
import { NOW, onEachApiDb } from './testing.ts';

const PUBLIC_KEY = `ssh-ed25519 ${'A'.repeat(68)} ann@example.org`;

onEachApiDb('key pairs', (db) => {
  const keyPair = (userId: string, name: string) => ({
    userId, name, fingerprint: 'aa:bb', publicKey: PUBLIC_KEY, type: 'ssh' as const, createdAt: NOW,
  });

  it('are refused under a name that the user has already, but not to another user', async () => {
    const [ann, bob] = [randomUUID(), randomUUID()];
    await db().keyPairs.create(keyPair(ann, 'laptop'));
    await assert.rejects(db().keyPairs.create(keyPair(ann, 'laptop')), { code: 'ALREADY_EXISTS', message: "Key pair 'laptop' already exists." });
    await db().keyPairs.create(keyPair(ann, 'Laptop'));
    await db().keyPairs.create(keyPair(bob, 'laptop'));
    await assert.rejects(db().keyPairs.create(keyPair(ann, 'x'.repeat(256))), { code: 'INVALID_ARGUMENT' });
    assert.deepEqual([await db().keyPairs.count(ann), await db().keyPairs.count(bob)], [2, 1]);
  });

  it('of one name become one when many import it at the same time', async () => {
    const user = randomUUID();
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => db().keyPairs.create(keyPair(user, 'same'))));
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
    assert.equal(await db().keyPairs.count(user), 1);
  });

  it('are not found under another user or another spelling', async () => {
    const user = randomUUID();
    await db().keyPairs.create(keyPair(user, 'laptop'));
    assert.equal(await db().keyPairs.find(randomUUID(), 'laptop'), null);
    assert.equal(await db().keyPairs.find(user, "laptop' OR '1'='1"), null);
    await assert.rejects(db().keyPairs.get(user, 'LAPTOP'), { code: 'NOT_FOUND', message: `Keypair LAPTOP not found for user ${user}` });
    assert.equal(await db().keyPairs.delete(user, 'LAPTOP'), 0);
  });

  it('come back as they went in, and travel as a KeyPair', async () => {
    const user = randomUUID();
    const made = await db().keyPairs.create(keyPair(user, 'ключ'));
    assert.deepEqual(await db().keyPairs.get(user, 'ключ'), made);
    assert.deepEqual({ ...made, ...keyPair(user, 'ключ') }, made);
    const wire = KeyPair.toPrimitive(made);
    assert.equal(KeyPair.fromPrimitive(wire).publicKey, PUBLIC_KEY);
    assert.equal(await db().keyPairs.delete(user, 'ключ'), 1);
    assert.equal(await db().keyPairs.find(user, 'ключ'), null);
  });

  it('are listed in byte order of their names, on both kinds of database, a page at a time', async () => {
    const user = randomUUID();
    const names = ['b', 'a', 'B', 'a-b', 'a b', 'ä', 'Z', '10', '9', 'ａ'];
    for (const name of names) await db().keyPairs.create(keyPair(user, name));
    const expected = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    assert.deepEqual((await db().keyPairs.list(user)).map(({ name }) => name), expected);

    const paged: string[] = [];
    for (let page = await db().keyPairs.list(user, { limit: 3 }); page.length > 0; ) {
      paged.push(...page.map(({ name }) => name));
      page = await db().keyPairs.list(user, { limit: 3, after: paged.at(-1) });
    }
    assert.deepEqual(paged, expected);
    assert.deepEqual((await db().keyPairs.list(user, { after: 'a0' })).map(({ name }) => name), expected.slice(expected.indexOf('a-b') + 1), 'behind a name that is gone');
  });

  it('are refused under a name of the same user within a quota too, and a full quota is told first', async () => {
    const user = randomUUID();
    await db().keyPairs.createWithin(keyPair(user, 'one'), 2);
    await assert.rejects(db().keyPairs.createWithin(keyPair(user, 'one'), 2), { code: 'ALREADY_EXISTS', message: "Key pair 'one' already exists." });
    assert.equal(await db().keyPairs.createWithin(keyPair(user, 'one'), 1), null);
    await db().transaction(async ({ keyPairs }) => void (await keyPairs.createWithin(keyPair(user, 'two'), 2)));
    assert.equal(await db().keyPairs.count(user), 2);
  });

  it('that may be on their way here are deleted as those that are here, and leave nothing where there was nothing', async () => {
    const user = randomUUID();
    await db().keyPairs.create(keyPair(user, 'here'));
    assert.deepEqual([await db().keyPairs.deleteArriving(user, 'nowhere'), await db().keyPairs.deleteArriving(user, 'here'), await db().keyPairs.deleteArriving(user, 'here')], [0, 1, 0]);
    await db().transaction(async ({ keyPairs }) => assert.equal(await keyPairs.deleteArriving(user, 'nowhere'), 0));
    assert.deepEqual(await db().keyPairs.list(user), []);
  });

  it('count once where their names are in a cell still, in counts and quotas', async () => {
    const user = randomUUID();
    await db().keyPairs.create(keyPair(user, 'moved'));
    const besides = ['moved', 'old "one"', 'ключ'];
    assert.deepEqual([await db().keyPairs.count(user, besides), await db().keyPairs.count(user, ['moved']), await db().keyPairs.count(user)], [3, 1, 1]);
    assert.equal(await db().keyPairs.createWithin(keyPair(user, 'new'), 3, besides), null);
    assert.equal((await db().keyPairs.createWithin(keyPair(user, 'new'), 4, besides))?.name, 'new');
    await db().transaction(async ({ keyPairs }) => assert.equal(await keyPairs.createWithin(keyPair(user, 'newer'), 4, besides), null));
  });

  it('get ids above those that cells bring, whichever cell is the last to say so, and get one whatever they bring', async () => {
    const user = randomUUID();
    const bring = (...ids: readonly number[]) => Promise.all(ids.map((id) => db().keyPairAdoptions.reserveIds(id)));
    await bring(...Array.from({ length: 40 }, (_, index) => 100_000 - 1_000 * index));
    assert.ok((await db().keyPairs.create(keyPair(user, 'above'))).id > 100_000);
    await bring(2 ** 31 - 1);
    assert.ok((await db().keyPairs.create(keyPair(user, 'the highest'))).id > 100_000);
  });

  it('stay within a quota that is counted under the user\'s lock', async function () {
    this.timeout(30_000);
    const user = randomUUID();
    const imports = Array.from({ length: 9 }, (_, index) => db().keyPairs.createWithin(keyPair(user, `key ${index}`), 3));
    const made = await Promise.all(imports);
    assert.equal(made.filter(Boolean).length, 3);
    assert.equal(await db().keyPairs.count(user), 3);
  });
});
