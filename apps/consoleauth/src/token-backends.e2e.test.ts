// One suite for what keeps tokens: the database and both caches behave alike. What only a cache can do is told in token-caches.e2e.test.ts.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConsoleStores } from '@gatehouse/cell-db/cell-db';
import type { NewToken, StoredToken, TokenWithConnection } from '@gatehouse/cell-db/console-tokens-store';
import { newInstance, newToken, serialPort } from '@gatehouse/cell-db/testing';
import { ServiceError } from '@gatehouse/errors/service-error';
import { TOKENS_BACKENDS } from './token-backend.ts';
import { NOW, onEachTokenBackend } from './test-token-backends.ts';

onEachTokenBackend('console tokens', TOKENS_BACKENDS, (backend) => {
  const seen = async (_: ConsoleStores, token: TokenWithConnection | null): Promise<StoredToken | null> => {
    if (token === null) return null;
    const { connection, ...stored } = token;
    assert.equal(connection?.id ?? null, stored.connectionId);
    return stored;
  };
  const use = (hash: string): Promise<StoredToken | null> => backend().tokens.use(hash, seen);

  async function makePort(): Promise<{ readonly uuid: string; readonly id: number }> {
    const { uuid } = await backend().cellDb.instances.create(newInstance());
    const [row] = await backend().cellDb.consoleConnections.upsertAll([serialPort(uuid, 0)], { exclusive: true, at: NOW });
    return { uuid, id: row?.id ?? assert.fail('no row') };
  }

  async function issue(values: Partial<NewToken> = {}, options?: { readonly replaces: boolean }): Promise<NewToken> {
    const { uuid, id } = values.instanceUuid === undefined ? await makePort() : { uuid: values.instanceUuid, id: values.connectionId ?? null };
    const token = newToken(uuid, id, { expires: new Date(NOW.getTime() + 600_000), createdAt: NOW, ...values });
    return backend().tokens.issue(async () => ({ token, answer: token }), options);
  }

  /** `use` that refuses a token which was spent, as consoleauth does. */
  async function spend(hash: string, tokens = backend().tokens): Promise<string> {
    return tokens.use(hash, async (_, token) => {
      if (token === null) return 'unknown';
      if (token.usedAt !== null) throw new ServiceError('UNAUTHENTICATED', 'used before');
      return 'opened';
    });
  }

  it('are not there before they are issued', async () => {
    assert.equal(await use('0'.repeat(64)), null);
    assert.equal(await backend().tokens.find('0'.repeat(64)), null);
  });

  it('are not kept when the transaction that issues them fails', async () => {
    const token = newToken((await makePort()).uuid, null);
    const failing = backend().tokens.issue(async () => {
      throw new ServiceError('NO_PORT_FREE', 'none');
    });
    await assert.rejects(failing, { code: 'NO_PORT_FREE' });
    assert.equal(await backend().tokens.find(token.tokenHash), null);
  });

  it('are refused when their hash is known already, and the one that was there stays', async () => {
    const token = await issue();
    await assert.rejects(issue({ tokenHash: token.tokenHash }), { code: 'ALREADY_EXISTS' });
    assert.equal((await use(token.tokenHash))?.instanceUuid, token.instanceUuid);
  });

  it('take the place of one with the same hash where they are told to', async () => {
    const uuid = randomUUID();
    const { tokenHash } = await issue({ instanceUuid: uuid });
    await issue({ instanceUuid: uuid, tokenHash, host: 'elsewhere' }, { replaces: true });
    assert.equal((await use(tokenHash))?.host, 'elsewhere');
  });

  for (const digits of [64, 40]) {
    it(`come back as they were issued, by a hash of ${digits} digits`, async () => {
      const tokenHash = randomUUID().replaceAll('-', '').repeat(2).slice(0, digits);
      const token = await issue({ tokenHash, internalAccessPath: '/ä b?c="d"', access: 'view', userId: null });
      const stored = { ...token, usedAt: null };
      assert.deepEqual(await use(tokenHash), stored);
      const { connection, ...found } = (await backend().tokens.find(tokenHash)) ?? assert.fail('not found');
      assert.deepEqual(found, stored);
      assert.equal(connection?.id, token.connectionId);
      assert.deepEqual(await use(tokenHash), stored);
    });
  }

  it('come without a connection where they name none', async () => {
    const token = await issue({ instanceUuid: randomUUID() });
    assert.equal((await use(token.tokenHash))?.connectionId, null);
    assert.equal((await backend().tokens.find(token.tokenHash))?.connection, null);
  });

  it('say when they expire, to the millisecond, and leave the judgement to the clock of who asks', async () => {
    const expires = new Date(NOW.getTime() - 1);
    const token = await issue({ expires });
    assert.deepEqual((await use(token.tokenHash))?.expires, expires);
  });

  it('are revoked for an instance, all of them and no other', async () => {
    const { uuid, id } = await makePort();
    const [first, second, historic] = [
      await issue({ instanceUuid: uuid, connectionId: id }),
      await issue({ instanceUuid: uuid, connectionId: id }),
      await issue({ instanceUuid: uuid }),
    ];
    const other = await issue();
    assert.equal(await backend().tokens.revoke(uuid, async () => 'answer'), 'answer');
    for (const { tokenHash } of [first, second, historic]) {
      assert.equal(await use(tokenHash), null);
      assert.equal(await backend().tokens.find(tokenHash), null);
    }
    assert.notEqual(await use(other.tokenHash), null);
    assert.notEqual(await use((await issue({ instanceUuid: uuid, connectionId: id })).tokenHash), null, 'one of after that counts');
  });

  it('are not revoked by a transaction that fails', async () => {
    const token = await issue();
    const failing = backend().tokens.revoke(token.instanceUuid, async () => {
      throw new ServiceError('INTERNAL', 'no');
    });
    await assert.rejects(failing, { code: 'INTERNAL' });
    assert.notEqual(await use(token.tokenHash), null);
  });

  it('open nothing once their connection is gone, whoever took it away', async () => {
    const token = await issue();
    await backend().cellDb.consoleConnections.deleteForInstance(token.instanceUuid);
    assert.equal(await use(token.tokenHash), null);
    assert.equal(await backend().tokens.find(token.tokenHash), null);
  });

  it('cannot be revoked between their check and the end of its transaction', async () => {
    const token = await issue();
    const order: string[] = [];
    let revocation: Promise<unknown> = Promise.resolve();
    await backend().tokens.use(token.tokenHash, async (_, found) => {
      assert.notEqual(found, null);
      revocation = backend()
        .tokens.revoke(token.instanceUuid, (stores) => stores.consoleConnections.deleteForInstance(token.instanceUuid))
        .then(() => order.push('revoked'));
      await sleep(200);
      order.push('checked');
    });
    await revocation;
    assert.deepEqual(order, ['checked', 'revoked']);
    assert.equal(await use(token.tokenHash), null);
  });

  it('are known to every consoleauth that shares them', async () => {
    const other = backend().open();
    const token = await issue({ singleUse: true });
    assert.equal(await spend(token.tokenHash, other), 'opened');
    await assert.rejects(spend(token.tokenHash), /used before/);
    const second = await issue();
    await other.revoke(second.instanceUuid, async () => {});
    assert.equal(await use(second.tokenHash), null);
  });

  describe('that open once only', () => {
    it('open for one of twenty who race, at two consoleauths', async () => {
      const { tokenHash } = await issue({ singleUse: true });
      const both = [backend().tokens, backend().open()] as const;
      const all = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => spend(tokenHash, both[index % 2])));
      assert.equal(all.filter((one) => one.status === 'fulfilled' && one.value === 'opened').length, 1);
      await assert.rejects(spend(tokenHash), /used before/);
      assert.notEqual((await backend().tokens.find(tokenHash))?.usedAt, null);
    });

    it('are not spent by a look at them', async () => {
      const { tokenHash } = await issue({ singleUse: true });
      assert.equal((await backend().tokens.find(tokenHash))?.usedAt, null);
      assert.equal(await spend(tokenHash), 'opened');
    });

    it('are not spent by a connect that was refused', async () => {
      const { tokenHash } = await issue({ singleUse: true });
      const refused = backend().tokens.use(tokenHash, async () => {
        throw new ServiceError('PORT_IN_USE', 'taken');
      });
      await assert.rejects(refused, { code: 'PORT_IN_USE' });
      assert.equal(await spend(tokenHash), 'opened');
      await assert.rejects(spend(tokenHash), /used before/);
    });

    it('cannot be spent once they are revoked', async () => {
      const token = await issue({ singleUse: true });
      await backend().tokens.revoke(token.instanceUuid, async () => {});
      assert.equal(await spend(token.tokenHash), 'unknown');
    });
  });
});
