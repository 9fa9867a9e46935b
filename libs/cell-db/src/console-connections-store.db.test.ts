import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'mocha';
import { consoleConnectionOf } from './console-connections-store.ts';
import { NOW, newInstance, newToken, onEachCellDb, seconds, serialPort } from './testing.ts';

const SERIAL = { exclusive: true, at: NOW };

const hold = (by: string | null, until: number) => ({ by, tokenHash: by ?? 'nobody', until: seconds(until) });

onEachCellDb('console connections', (db) => {
  const instance = async (): Promise<string> => (await db().instances.create(newInstance())).uuid;

  it('are refused for an instance that is not there, named twice, or by the thousand', async () => {
    const uuid = await instance();
    await assert.rejects(db().consoleConnections.upsertAll([serialPort(randomUUID(), 0)], SERIAL), { code: 'FAILED_PRECONDITION' });
    await assert.rejects(db().consoleConnections.upsertAll([serialPort(uuid, 0), serialPort(uuid, 0)], SERIAL), { code: 'INVALID_ARGUMENT' });
    const many = Array.from({ length: 257 }, (_, port) => serialPort(uuid, port));
    await assert.rejects(db().consoleConnections.upsertAll(many, SERIAL), { code: 'INVALID_ARGUMENT', message: /at most 256/ });
    assert.deepEqual(await db().consoleConnections.upsertAll([], SERIAL), []);
    assert.deepEqual(await db().consoleConnections.listByInstance(uuid), []);
  });

  it('keep two instances from one TCP port of one address', async () => {
    const options = { transport: 'tcp', address: randomUUID() };
    const [first, second] = [await instance(), await instance()];
    await db().consoleConnections.upsertAll([serialPort(first, 10_000, { options })], SERIAL);
    await assert.rejects(db().consoleConnections.upsertAll([serialPort(second, 10_000, { options })], SERIAL), { code: 'ALREADY_EXISTS' });
    assert.deepEqual((await db().consoleConnections.listInPlaceOf([serialPort(second, 10_000, { options })])).map(({ instanceUuid }) => instanceUuid), [first]);
    assert.deepEqual(await db().consoleConnections.listInPlaceOf([serialPort(first, 10_000, { options }), serialPort(second, 0)]), []);
    // Without a port (-1) nothing can be dialled, and two such would be at one place.
    await assert.rejects(db().consoleConnections.upsertAll([serialPort(first, -1, { options })], SERIAL), { code: 'INVALID_ARGUMENT', message: /needs a port/ });
    // Ordinals of devices behind an agent are each instance's own.
    await db().consoleConnections.upsertAll([serialPort(first, 0)], SERIAL);
    await db().consoleConnections.upsertAll([serialPort(second, 0)], SERIAL);
  });

  it('come back in the order they were named, with the ids they had', async () => {
    const uuid = await instance();
    const first = await db().consoleConnections.upsertAll([serialPort(uuid, 2), serialPort(uuid, 0)], SERIAL);
    const again = await db().consoleConnections.upsertAll([0, 1, 2].map((port) => serialPort(uuid, port)), SERIAL);
    assert.deepEqual(again.map(({ port }) => port), [0, 1, 2]);
    assert.deepEqual([again[2]?.id, again[0]?.id], first.map(({ id }) => id));
    assert.deepEqual((await db().consoleConnections.get(first[0]?.id ?? 0)), first[0]);
    assert.deepEqual(consoleConnectionOf(again[1] ?? assert.fail()), serialPort(uuid, 1));
  });

  it('are brought up to date without losing their reservation', async () => {
    const uuid = await instance();
    const [row] = await db().consoleConnections.upsertAll([serialPort(uuid, 0)], SERIAL);
    assert.ok(row !== undefined && (await db().consoleConnections.reserve(row.id, hold('user', 60), NOW)));
    const options = { transport: 'tcp', address: randomUUID(), internal_access_path: '/x' };
    const [changed] = await db().consoleConnections.upsertAll([serialPort(uuid, 0, { options })], { exclusive: false, at: seconds(9) });
    assert.deepEqual(changed, { ...row, options, address: options.address, exclusive: false, reservedBy: 'user', reservedTokenHash: 'user', reservedUntil: seconds(60) });
  });

  it('are held by one at a time, until the hold has run out or is given back', async () => {
    const uuid = await instance();
    const [row] = await db().consoleConnections.upsertAll([serialPort(uuid, 0)], SERIAL);
    const id = row?.id ?? 0;
    const { consoleConnections } = db();
    assert.equal(await consoleConnections.reserve(id, hold('ann', 60), NOW), true);
    assert.equal(await consoleConnections.reserve(id, hold('bob', 60), seconds(59)), false);
    assert.equal(await consoleConnections.reserve(id, hold(null, 60), seconds(59)), false);
    assert.equal(await consoleConnections.reserve(id, hold('ann', 70), seconds(59)), true);
    assert.equal(await consoleConnections.reserve(id, hold(null, 90), seconds(70)), true);
    // Whom no request named supersedes nobody, not even another of whom that is true.
    assert.equal(await consoleConnections.reserve(id, hold(null, 95), seconds(80)), false);
    assert.equal(await consoleConnections.deleteReservation(id), 1);
    assert.equal(await consoleConnections.deleteReservation(id), 0);
    assert.deepEqual((await consoleConnections.get(id)).reservedUntil, null);
    assert.equal(await consoleConnections.reserve(-1, hold('ann', 60), NOW), false);
  });

  it('are given to one each of many who choose at the same time', async function () {
    this.timeout(30_000);
    const uuid = await instance();
    const ports = [0, 1, 2, 3].map((port) => serialPort(uuid, port));
    const choices = Array.from({ length: 6 }, (_, caller) =>
      db().transaction(async ({ instances, consoleConnections }) => {
        await instances.lock(uuid);
        await consoleConnections.upsertAll(ports, SERIAL);
        const free = (await consoleConnections.listByInstance(uuid)).find((row) => row.reservedUntil === null);
        if (free !== undefined) assert.equal(await consoleConnections.reserve(free.id, hold(`caller ${caller}`, 60), NOW), true);
        return free?.port ?? null;
      }),
    );
    const chosen = await Promise.all(choices);
    assert.deepEqual([...chosen].sort(), [0, 1, 2, 3, null, null]);
  });

  it('are reserved by exactly one of many who do not lock at all', async () => {
    const uuid = await instance();
    const [row] = await db().consoleConnections.upsertAll([serialPort(uuid, 0)], SERIAL);
    const won = await Promise.all(Array.from({ length: 8 }, (_, caller) => db().consoleConnections.reserve(row?.id ?? 0, hold(`c${caller}`, 60), NOW)));
    assert.equal(won.filter(Boolean).length, 1);
  });

  it('take their tokens along, except those that still are', async () => {
    const uuid = await instance();
    const [gone, kept] = await db().consoleConnections.upsertAll([serialPort(uuid, 0), serialPort(uuid, 1)], SERIAL);
    const tokens = [newToken(uuid, gone?.id ?? 0), newToken(uuid, kept?.id ?? 0)];
    for (const token of tokens) await db().consoleTokens.save(token);
    assert.equal(await db().consoleConnections.deleteForInstance(uuid, [kept?.id ?? 0]), 1);
    assert.deepEqual(await Promise.all(tokens.map(async ({ tokenHash }) => (await db().consoleTokens.findByHash(tokenHash)) !== null)), [false, true]);
    assert.equal(await db().consoleConnections.deleteForInstance(uuid), 1);
    await assert.rejects(db().consoleConnections.get(kept?.id ?? 0), { code: 'NOT_FOUND' });
  });
});
