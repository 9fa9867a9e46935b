import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'mocha';
import { NOW, newInstance, onEachCellDb } from './testing.ts';

const DATA = { links: [{ id: 'a', type: 'phy' }], networks: [], services: [{ type: 'dns', address: '10.0.0.2' }] };

onEachCellDb("an instance's network", (db) => {
  it('is not found where there is no instance, or a deleted one', async () => {
    const { uuid } = await db().instances.create(newInstance());
    await db().transaction(({ instances }) => instances.softDelete(uuid, NOW));
    for (const gone of [uuid, randomUUID()]) {
      await assert.rejects(db().instanceNetworks.get(gone), { code: 'NOT_FOUND' });
      await assert.rejects(db().transaction(({ instanceNetworks }) => instanceNetworks.save(gone, { data: null, fixed: [], floating: [] }, NOW)), { code: 'NOT_FOUND' });
    }
  });

  it('refuses an address twice, and keeps what there was', async () => {
    const { uuid } = await db().instances.create(newInstance());
    const { generation } = await db().instanceNetworks.get(uuid);
    await assert.rejects(db().transaction(({ instanceNetworks }) => instanceNetworks.save(uuid, { data: DATA, fixed: ['10.0.0.5'], floating: ['10.0.0.5'] }, NOW)), { code: 'ALREADY_EXISTS' });
    assert.deepEqual(await db().instanceNetworks.get(uuid), { data: null, fixed: [], floating: [], generation });
  });

  it('is stored with its addresses, found by them, replaced as a whole, and forgotten', async () => {
    const { uuid, generation } = await db().instances.create(newInstance());
    const address = `fd00::${randomUUID().slice(0, 4)}`;
    const save = (data: typeof DATA | null, fixed: readonly string[], floating: readonly string[]): Promise<void> =>
      db().transaction(({ instanceNetworks }) => instanceNetworks.save(uuid, { data, fixed, floating }, NOW));
    await save(DATA, [address], ['203.0.113.7', '203.0.113.8']);
    assert.deepEqual(await db().instanceNetworks.get(uuid), { data: DATA, fixed: [address], floating: ['203.0.113.7', '203.0.113.8'], generation: generation + 1 });
    assert.equal(await db().instanceFacts.findByAddress(address), uuid);
    assert.deepEqual((await db().instanceFacts.find(uuid))?.network, DATA);
    await save(null, [], []);
    assert.deepEqual(await db().instanceNetworks.get(uuid), { data: null, fixed: [], floating: [], generation: generation + 2 });
    assert.equal(await db().instanceFacts.findByAddress(address), null);
  });
});
