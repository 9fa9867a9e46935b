import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'mocha';
import { KeyPair } from '@gatehouse/objects/key-pair';
import { NOW, newInstance, onEachCellDb, seconds } from './testing.ts';

onEachCellDb('the key pairs an instance carries', (db) => {
  it('are refused for an instance that is not there', async () => {
    await assert.rejects(db().instanceExtra.saveKeyPairs(randomUUID(), { objects: [] }, NOW), { code: 'FAILED_PRECONDITION' });
  });

  it('are null where nothing was written, which is not the empty list', async () => {
    const { uuid } = await db().instances.create(newInstance());
    assert.equal(await db().instanceExtra.findKeyPairs(uuid), null);
    await db().instanceExtra.saveKeyPairs(uuid, { objects: [] }, NOW);
    assert.deepEqual(await db().instanceExtra.findKeyPairs(uuid), { objects: [] });
  });

  it('come back whole, the last written', async () => {
    const { uuid } = await db().instances.create(newInstance());
    const first = KeyPair.make({ name: 'ключ', type: 'ssh', publicKey: 'ssh-ed25519 AAAA x', userId: 'u', createdAt: seconds(1) });
    const second = KeyPair.make({ name: 'x509', type: 'x509', publicKey: '-----BEGIN', fingerprint: null });
    await db().instanceExtra.saveKeyPairs(uuid, { objects: [first] }, NOW);
    await db().instanceExtra.saveKeyPairs(uuid, { objects: [first, second] }, NOW);
    assert.deepEqual(await db().instanceExtra.findKeyPairs(uuid), { objects: [first, second] });
  });
});
