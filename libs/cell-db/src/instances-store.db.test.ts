import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'mocha';
import { Instance } from '@gatehouse/objects/instance';
import { leftHostsOf, withLeftHosts } from './instances-store.ts';
import type { InstanceState, NewInstance, StoredInstance } from './instances-store.ts';
import { NOW, newInstance, newToken, onEachCellDb, seconds, serialPort } from './testing.ts';

onEachCellDb('instances', (db) => {
  it('refuse a second one of the same uuid', async () => {
    const instance = newInstance();
    await db().instances.create(instance);
    await assert.rejects(db().instances.create(instance), { name: 'ServiceError', code: 'ALREADY_EXISTS' });
  });

  it('refuse what does not fit a column, and go on', async () => {
    await assert.rejects(db().instances.create(newInstance({ displayName: 'x'.repeat(256) })), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(db().instances.create(newInstance({ displayName: 'a\u0000b' })), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(db().instances.create(newInstance({ uuid: "'; DROP TABLE instances; --" })), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(db().instances.find('no uuid'), { code: 'INVALID_ARGUMENT' });
    await db().instances.create(newInstance());
  });

  it('are not found when they are unknown', async () => {
    const uuid = randomUUID();
    assert.equal(await db().instances.find(uuid), null);
    assert.equal(await db().instances.softDelete(uuid, NOW), 0);
    await assert.rejects(db().instances.get(uuid), { code: 'NOT_FOUND', message: `Instance ${uuid} could not be found.` });
    await assert.rejects(db().instances.update(uuid, { vmState: 'active' }, NOW), { code: 'NOT_FOUND' });
  });

  it('come back as they went in, frozen, with a small id of their own', async () => {
    const given = newInstance({ userData: 'aGk=', keyName: 'key', keyData: 'ssh-ed25519 AAAA' });
    const made = await db().instances.create(given);
    const found = await db().instances.get(given.uuid);
    assert.deepEqual(found, made);
    assert.ok(made.id > 0 && Object.isFrozen(made) && Object.isFrozen(made.metadata));
    assert.deepEqual({ ...made, ...given }, made, 'every field of the input is kept');
    assert.equal(made.createdAt.getTime(), NOW.getTime());
    assert.equal((await db().instances.create(newInstance())).id > made.id, true);
    assert.equal(Instance.fromPrimitive(Instance.toPrimitive(made)).displayName, 'Ällo wörld');
  });

  it('change only on their own host when an agent writes, and say how often they changed', async () => {
    const { uuid } = await db().instances.create(newInstance({ host: 'host-1' }));
    await assert.rejects(db().instances.update(uuid, { vmState: 'error' }, NOW, 'host-2'), { code: 'NOT_FOUND' });
    const changed = await db().instances.update(uuid, { vmState: 'active', taskState: null, launchedAt: seconds(5) }, seconds(6), 'host-1');
    assert.deepEqual(
      [changed.vmState, changed.taskState, changed.launchedAt, changed.updatedAt, changed.generation],
      ['active', null, seconds(5), seconds(6), 1],
    );
  });

  it('change only while they are as they should be, and say when they were not', async () => {
    const { uuid } = await db().instances.create(newInstance({ host: 'host-1', vmState: 'active', taskState: null }));
    const change = (state: InstanceState) => db().instances.updateIf(uuid, state, { taskState: 'migrating' }, NOW);
    for (const other of [{ host: 'host-2' }, { host: null }, { vmStates: ['stopped'] }, { vmStates: [] }, { taskStates: ['rebooting'] }, { taskStates: [] }]) {
      assert.equal(await change(other), null, JSON.stringify(other));
    }
    const both = await Promise.all([change({ host: 'host-1', vmStates: ['active'], taskStates: [null] }), change({ taskStates: [null, 'rebooting'] })]);
    assert.equal(both.filter((changed) => changed !== null).length, 1, 'one of two who come at once');
    assert.equal((await db().instances.get(uuid)).taskState, 'migrating');
    await db().transaction(({ instances }) => instances.softDelete(uuid, NOW));
    assert.equal(await change({}), null);
  });

  it('keep their flavor as it was asked for, and what services remember of them', async () => {
    const { uuid, flavorRef, systemMetadata } = await db().instances.create(newInstance({ flavorRef: '1', imageRef: 'cirros' }));
    assert.deepEqual([flavorRef, systemMetadata], ['1', {}]);
    const changed = await db().instances.update(uuid, { flavorRef: '2', systemMetadata: { old_flavor: '1' } }, NOW);
    assert.deepEqual([changed.flavorRef, changed.imageRef, changed.systemMetadata], ['2', 'cirros', { old_flavor: '1' }]);
    assert.equal((await db().instances.update(uuid, { flavorRef: null }, NOW)).flavorRef, null);
  });

  it('have left a host when that is written down, nothing is under way, and it is not theirs again', async () => {
    const left = withLeftHosts({ kept: 'x' }, ['host-1', 'host-2', 'host-1']);
    assert.deepEqual([left, leftHostsOf({ systemMetadata: left })], [{ kept: 'x', left_hosts: 'host-1,host-2' }, ['host-1', 'host-2']]);
    assert.deepEqual(withLeftHosts(left, []), { kept: 'x' });
    const make = async (change: Partial<NewInstance>) => {
      const { uuid } = await db().instances.create(newInstance({ taskState: null, ...change }));
      await db().instances.update(uuid, { systemMetadata: left }, NOW);
      return uuid;
    };
    const [moved, nowhere] = [await make({ host: 'host-3' }), await make({ host: null })];
    const others = [await make({ host: 'host-3', taskState: 'migrating' }), await make({ host: 'host-1' }), randomUUID()];
    const deleted = await make({ host: 'host-3' });
    await db().transaction(({ instances }) => instances.softDelete(deleted, NOW));
    const found = await db().instances.listLeft([moved, nowhere, ...others, deleted], 'host-1');
    assert.deepEqual([...found].sort(), [moved, nowhere, deleted].sort());
    assert.deepEqual(await db().instances.listLeft([moved], 'host-4'), []);
  });

  it('are gone for every reader once deleted, with their consoles and tokens, and their uuid is spent', async () => {
    const instance = newInstance();
    const { uuid } = await db().instances.create(instance);
    const [connection] = await db().consoleConnections.upsertAll([serialPort(uuid, 0)], { exclusive: true, at: NOW });
    const token = newToken(uuid, connection?.id ?? 0);
    const loose = newToken(uuid, null);
    await db().consoleTokens.save(token);
    await db().consoleTokens.save(loose);
    assert.equal(await db().instances.softDelete(uuid, seconds(1)), 1);
    assert.equal(await db().instances.softDelete(uuid, seconds(2)), 0);
    assert.equal(await db().instances.find(uuid), null);
    assert.deepEqual(await db().consoleConnections.listByInstance(uuid), []);
    assert.equal(await db().consoleTokens.findByHash(token.tokenHash), null);
    assert.equal(await db().consoleTokens.findByHash(loose.tokenHash), null);
    await assert.rejects(db().instances.create(instance), { code: 'ALREADY_EXISTS' });
  });

  it('are listed newest first, a page at a time, of one project, without the deleted', async () => {
    const projectId = randomUUID();
    const made: StoredInstance[] = [];
    // Two of them made in the same millisecond: the id tells them apart.
    for (const at of [0, 1, 1, 2, 3]) made.push(await db().instances.create(newInstance({ projectId, createdAt: seconds(at) })));
    await db().instances.softDelete(made[3]?.uuid ?? '', NOW);
    const expected = [4, 2, 1, 0].map((index) => made[index]?.uuid ?? '');
    const listed = await db().instances.list({ projectId });
    assert.deepEqual(listed.map(({ uuid }) => uuid), expected);

    const paged: string[] = [];
    for (let page = await db().instances.list({ projectId, limit: 1 }); page[0] !== undefined; ) {
      paged.push(page[0].uuid);
      page = await db().instances.list({ projectId, limit: 1, marker: page[0].uuid });
    }
    assert.deepEqual(paged, expected);
    await assert.rejects(db().instances.list({ marker: randomUUID() }), { code: 'INVALID_ARGUMENT' });
    assert.equal(await db().instances.count({ projectId }), 4);
  });

  it('are counted by host', async () => {
    const [busy, idle] = [randomUUID(), randomUUID()];
    const { uuid } = await db().instances.create(newInstance({ host: idle }));
    await db().instances.create(newInstance({ host: busy }));
    await db().instances.create(newInstance({ host: busy }));
    await db().instances.create(newInstance({ host: null }));
    await db().instances.softDelete(uuid, NOW);
    const counts = await db().instances.countByHost();
    assert.deepEqual([counts.get(busy), counts.get(idle), counts.has('')], [2, undefined, false]);
  });

  it('take the consoles along that were authorized while their deletion waited', async function () {
    this.timeout(20_000);
    const { uuid } = await db().instances.create(newInstance());
    let deletion: Promise<number> = Promise.resolve(0);
    await db().transaction(async (stores) => {
      await stores.instances.lock(uuid);
      deletion = db().transaction(({ instances }) => instances.softDelete(uuid, NOW));
      await new Promise((resolve) => setTimeout(resolve, 200));
      const [row] = await stores.consoleConnections.upsertAll([serialPort(uuid, 0)], { exclusive: true, at: NOW });
      await stores.consoleTokens.save(newToken(uuid, row?.id ?? null));
    });
    assert.equal(await deletion, 1);
    assert.deepEqual(await db().consoleConnections.listByInstance(uuid), []);
    assert.equal(await db().consoleTokens.deleteForInstance(uuid), 0);
  });

  it('hold off their deletion while they are locked', async function () {
    this.timeout(20_000);
    const { uuid } = await db().instances.create(newInstance());
    const order: string[] = [];
    let deletion: Promise<unknown> = Promise.resolve();
    await db().transaction(async (stores) => {
      assert.equal((await stores.instances.lock(uuid))?.uuid, uuid);
      deletion = db().instances.softDelete(uuid, NOW).then(() => order.push('deleted'));
      await new Promise((resolve) => setTimeout(resolve, 200));
      order.push('unlocked');
    });
    await deletion;
    assert.deepEqual(order, ['unlocked', 'deleted']);
    assert.equal(await db().transaction((stores) => stores.instances.lock(uuid)), null);
  });
});
