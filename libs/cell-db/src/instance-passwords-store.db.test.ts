import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'mocha';
import { NOW, newInstance, onEachCellDb } from './testing.ts';

onEachCellDb('the password that a guest posts', (db) => {
  it('is refused for an instance that was never there, and for a deleted one, which shows none', async () => {
    assert.equal(await db().instancePasswords.save(randomUUID(), 'secret', NOW), 'gone');
    const { uuid } = await db().instances.create(newInstance());
    assert.equal(await db().instancePasswords.save(uuid, 'secret', NOW), 'saved');
    await db().instances.softDelete(uuid, NOW);
    assert.equal(await db().instancePasswords.find(uuid), null);
    assert.equal(await db().instancePasswords.save(uuid, 'secret', NOW), 'gone');
  });

  it('is the first one until it is cleared, and then the next', async () => {
    const { uuid } = await db().instances.create(newInstance());
    assert.equal(await db().instancePasswords.find(uuid), null);
    assert.equal(await db().instancePasswords.save(uuid, 'first', NOW), 'saved');
    assert.equal(await db().instancePasswords.save(uuid, 'second', NOW), 'set');
    assert.equal(await db().instancePasswords.find(uuid), 'first');
    assert.deepEqual([await db().instancePasswords.deleteOf(uuid), await db().instancePasswords.deleteOf(uuid)], [1, 0]);
    assert.equal(await db().instancePasswords.find(uuid), null);
    assert.equal(await db().instancePasswords.save(uuid, 'third', NOW), 'saved');
  });

  it('has 1020 characters at most, of any kind', async () => {
    const { uuid } = await db().instances.create(newInstance());
    await assert.rejects(db().instancePasswords.save(uuid, 'x'.repeat(1_021), NOW), { code: 'INVALID_ARGUMENT' });
    const longest = 'ü'.repeat(1_020);
    assert.equal(await db().instancePasswords.save(uuid, longest, NOW), 'saved');
    assert.equal(await db().instancePasswords.find(uuid), longest);
  });

  it('is one of the fifty that come at once, whole', async () => {
    const { uuid } = await db().instances.create(newInstance());
    const passwords = Array.from({ length: 50 }, (_, index) => `${index}-`.repeat(200).slice(0, 400));
    const ends = await Promise.all(passwords.map((password) => db().instancePasswords.save(uuid, password, NOW)));
    assert.equal(ends.filter((end) => end === 'saved').length, 1);
    assert.equal(ends.filter((end) => end === 'set').length, 49);
    assert.equal(await db().instancePasswords.find(uuid), passwords[ends.indexOf('saved')]);
  });
});
