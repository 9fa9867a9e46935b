import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'mocha';
import { NOW, onEachApiDb } from './testing.ts';

onEachApiDb('cells and the instances in them', (db) => {
  const cell = (values = {}) => ({
    uuid: randomUUID(), name: `cell ${randomUUID()}`, transportUrl: 'amqp://h', databaseUrl: 'postgresql://h/cell', disabled: false, ...values,
  });
  const mapping = (cellUuid: string | null) => ({ instanceUuid: randomUUID(), cellUuid, projectId: 'p', userId: 'u', createdAt: NOW });

  it('are refused: a second cell of one name, an instance in a cell that is not there', async () => {
    const first = cell();
    await db().cellMappings.save(first, NOW);
    await assert.rejects(db().cellMappings.save(cell({ name: first.name }), NOW), { code: 'ALREADY_EXISTS' });
    await assert.rejects(db().instanceMappings.save(mapping(randomUUID())), { code: 'FAILED_PRECONDITION' });
    await assert.rejects(db().cellMappings.get(randomUUID()), { code: 'NOT_FOUND' });
    await assert.rejects(db().instanceMappings.get(randomUUID()), { code: 'NOT_FOUND' });
    assert.equal(await db().cellMappings.findByName('no such'), null);
  });

  it('come back as they were last saved', async () => {
    const first = cell();
    await db().cellMappings.save(first, NOW);
    const moved = { ...first, databaseUrl: 'postgresql://elsewhere/cell', disabled: true };
    await db().cellMappings.save(moved, NOW);
    assert.deepEqual(await db().cellMappings.get(first.uuid), moved);
    assert.deepEqual(await db().cellMappings.findByName(first.name), moved);
    assert.ok((await db().cellMappings.list()).some(({ uuid }) => uuid === first.uuid));
  });

  it('hold together: a cell goes only when no instance is mapped to it', async () => {
    const home = cell();
    await db().cellMappings.save(home, NOW);
    const waiting = mapping(null);
    await db().instanceMappings.save(waiting);
    await db().instanceMappings.save({ ...waiting, cellUuid: home.uuid });
    assert.deepEqual(await db().instanceMappings.get(waiting.instanceUuid), { ...waiting, cellUuid: home.uuid });
    await assert.rejects(db().cellMappings.delete(home.uuid), { code: 'FAILED_PRECONDITION' });
    assert.equal(await db().instanceMappings.delete(waiting.instanceUuid), 1);
    assert.equal(await db().instanceMappings.delete(waiting.instanceUuid), 0);
    assert.equal(await db().cellMappings.delete(home.uuid), 1);
  });
});
