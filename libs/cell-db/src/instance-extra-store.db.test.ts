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

onEachCellDb('the files an instance carries', (db) => {
  it('are refused for an instance that is not there', async () => {
    await assert.rejects(db().instanceExtra.saveInjectedFiles(randomUUID(), [{ path: '/a', contents: '' }], NOW), { code: 'FAILED_PRECONDITION' });
  });

  it('come back in their order, are taken away by an empty list, and leave its keys alone', async () => {
    const { uuid } = await db().instances.create(newInstance());
    const files = [{ path: '/z', contents: 'YQ==' }, { path: '/a', contents: '' }];
    await db().instanceExtra.saveKeyPairs(uuid, { objects: [] }, NOW);
    await db().instanceExtra.saveInjectedFiles(uuid, files, NOW);
    const facts = await db().instanceFacts.find(uuid);
    assert.deepEqual([facts?.injectedFiles, facts?.keyPairs, facts?.generation], [files, [], 2]);
    await db().instanceExtra.saveInjectedFiles(uuid, [], NOW);
    await db().instanceExtra.saveInjectedFiles(uuid, [], NOW);
    const after = await db().instanceFacts.find(uuid);
    assert.deepEqual([after?.injectedFiles, after?.keyPairs, after?.generation], [[], [], 3]);
  });
});
