import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'mocha';
import { NOW, newInstance, newToken, onEachCellDb, seconds, serialPort } from './testing.ts';

onEachCellDb('console tokens', (db) => {
  async function port(): Promise<{ uuid: string; id: number }> {
    const { uuid } = await db().instances.create(newInstance());
    const [row] = await db().consoleConnections.upsertAll([serialPort(uuid, 0)], { exclusive: true, at: NOW });
    return { uuid, id: row?.id ?? 0 };
  }

  it('are refused in clear, known already, or for a connection that is gone', async () => {
    const { uuid, id } = await port();
    const token = newToken(uuid, id);
    await assert.rejects(db().consoleTokens.save({ ...token, tokenHash: 'kJ8_the-clear-token-itself' }), (error: Error) => {
      assert.match(error.message, /the hex of its SHA-256/);
      assert.doesNotMatch(error.message, /clear-token/);
      return true;
    });
    await db().consoleTokens.save(token);
    await assert.rejects(db().consoleTokens.save(token), { code: 'ALREADY_EXISTS' });
    await assert.rejects(db().consoleTokens.save(newToken(uuid, 1_000_000_000)), { code: 'FAILED_PRECONDITION' });
  });

  it('are found by their hash with their connection, expired or not', async () => {
    const { uuid, id } = await port();
    const token = newToken(uuid, id, { expires: seconds(-1), access: 'view', internalAccessPath: '/a b' });
    await db().consoleTokens.save(token);
    const { connection, ...found } = (await db().consoleTokens.findByHash(token.tokenHash)) ?? assert.fail();
    assert.deepEqual(found, { ...token, usedAt: null });
    assert.equal(connection?.id, id);
    assert.equal(await db().consoleTokens.findByHash('0'.repeat(64)), null);
    assert.equal(await db().consoleTransaction((stores) => stores.consoleTokens.lockByHash('0'.repeat(64))), null);
  });

  it('are used for the first time once, whoever races', async () => {
    const { uuid, id } = await port();
    const token = newToken(uuid, id);
    await db().consoleTokens.save(token);
    const won = await Promise.all([1, 2, 3, 4].map((second) => db().consoleTokens.markUsed(token.tokenHash, seconds(second))));
    assert.equal(won.filter(Boolean).length, 1);
    assert.notEqual((await db().consoleTokens.findByHash(token.tokenHash))?.usedAt, null);
  });

  it('cannot be revoked between a check that locks them and the end of its transaction', async function () {
    this.timeout(20_000);
    const { uuid, id } = await port();
    const token = newToken(uuid, id);
    await db().consoleTokens.save(token);
    const order: string[] = [];
    let revocation: Promise<unknown> = Promise.resolve();
    await db().consoleTransaction(async (stores) => {
      const connection = await stores.consoleConnections.find(id);
      assert.deepEqual(await stores.consoleTokens.lockByHash(token.tokenHash), { ...token, usedAt: null, connection });
      revocation = db().consoleTokens.deleteForInstance(uuid).then((count) => order.push(`revoked ${count}`));
      await new Promise((resolve) => setTimeout(resolve, 200));
      order.push('checked');
    });
    await revocation;
    assert.deepEqual(order, ['checked', 'revoked 1']);
  });

  it('are deleted by hash, by connection and by instance', async () => {
    const { uuid, id } = await port();
    const [a, b, c] = [newToken(uuid, id), newToken(uuid, id), newToken(uuid, null)];
    for (const token of [a, b, c]) await db().consoleTokens.save(token);
    assert.equal(await db().consoleTokens.deleteByHash(a.tokenHash), 1);
    assert.equal(await db().consoleTokens.deleteByHash(a.tokenHash), 0);
    assert.equal(await db().consoleTokens.deleteForConnection(id), 1);
    assert.equal(await db().consoleTokens.deleteForInstance(uuid), 1);
  });

  it('are swept in batches once expired, of one host alone if so asked', async () => {
    const { uuid } = await port();
    const [here, there] = [randomUUID(), randomUUID()];
    const save = (host: string, expires: Date) => db().consoleTokens.save(newToken(uuid, null, { host, expires }));
    for (const second of [-3, -2, -1, 0, 1]) await save(here, seconds(second));
    await save(there, seconds(-9));
    assert.equal(await db().consoleTokens.deleteExpired(NOW, 3, here), 3);
    assert.equal(await db().consoleTokens.deleteExpired(NOW, 3, here), 1);
    assert.equal(await db().consoleTokens.deleteExpired(NOW, 3, here), 0);
    assert.ok((await db().consoleTokens.deleteExpired(NOW, 1_000)) >= 1);
    assert.equal(await db().consoleTokens.deleteExpired(NOW, 3, there), 0);
    assert.equal(await db().consoleTokens.deleteForInstance(uuid), 1, 'what has not expired is left');
  });
});
