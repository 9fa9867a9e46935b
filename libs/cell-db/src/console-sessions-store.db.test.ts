import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'mocha';
import { ServiceError } from '@gatehouse/errors/service-error';
import { consoleSessionOf } from './console-session-row.ts';
import type { NewSession, StoredSession } from './console-session-row.ts';
import { NOW, newInstance, newSession, onEachCellDb, seconds, serialPort } from './testing.ts';

onEachCellDb('console sessions', (db) => {
  async function port(): Promise<{ uuid: string; id: number }> {
    const { uuid } = await db().instances.create(newInstance());
    const [row] = await db().consoleConnections.upsertAll([serialPort(uuid, 0)], { exclusive: true, at: NOW });
    return { uuid, id: row?.id ?? 0 };
  }

  /** As whoever asked for it is told. */
  const open = async (session: NewSession): Promise<StoredSession> => {
    const { consoleSessionClaims } = db();
    return consoleSessionClaims.open(session).catch(async (error: unknown) => Promise.reject(await consoleSessionClaims.inWords(error, session)));
  };

  it('are refused on an exclusive connection that has one, saying since when', async () => {
    const { uuid, id } = await port();
    const first = await open(newSession(uuid, id));
    await assert.rejects(open(newSession(uuid, id, { startedAt: seconds(1) })), (error) => {
      assert.ok(error instanceof ServiceError);
      assert.equal(error.code, 'PORT_IN_USE');
      assert.match(error.message, /in use since 2026-03-01T12:00:00/);
      assert.equal(error.details['sessionId'], first.id);
      return true;
    });
    assert.deepEqual(await db().consoleSessions.get(first.id), first);
    await assert.rejects(db().consoleSessions.get(randomUUID()), { code: 'NOT_FOUND' });
  });

  it('are refused where their id is known, and where who was in the way has ended since', async () => {
    const { uuid, id } = await port();
    const first = await open(newSession(uuid, id));
    await assert.rejects(open(newSession(uuid, null, { id: first.id, exclusive: false })), { code: 'ALREADY_EXISTS', message: `the console session ${first.id} exists already` });
    const [late, inTheWay] = [newSession(uuid, id), await db().consoleSessionClaims.open(newSession(uuid, id)).catch((error: unknown) => error)];
    await db().consoleSessionEnds.close(first.id, { reason: 'client_closed', at: NOW });
    assert.match(String(await db().consoleSessionClaims.inWords(inTheWay, late)), /changes hands too fast; try again/);
    const other = new ServiceError('UNAVAILABLE', 'the database is away');
    assert.equal(await db().consoleSessionClaims.inWords(other, late), other);
  });

  it('are opened on an exclusive connection by one of many who race', async function () {
    this.timeout(30_000);
    const { uuid, id } = await port();
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, (_, caller) => {
        const session = newSession(uuid, id, { proxy: `proxy-${caller}` });
        return caller % 2 === 0 ? db().consoleSessionClaims.open(session) : db().consoleTransaction((stores) => stores.consoleSessionClaims.open(session));
      }),
    );
    const codes = results.map((result) => (result.status === 'fulfilled' ? 'opened' : (result.reason as ServiceError).code));
    assert.deepEqual(codes.sort(), [...Array.from({ length: 9 }, () => 'ALREADY_EXISTS'), 'opened']);
    assert.equal(await db().consoleSessions.countOpen({ connectionId: id }), 1);
  });

  it('are shared on a connection that is not exclusive, and outlive it', async () => {
    const { uuid, id } = await port();
    await db().consoleSessionClaims.open(newSession(uuid, id, { exclusive: false, startedAt: seconds(1) }));
    const older = await db().consoleSessionClaims.open(newSession(uuid, id, { exclusive: false }));
    await db().consoleConnections.deleteForInstance(uuid);
    assert.equal((await db().consoleSessions.findOpenForConnection({ id, instanceUuid: uuid }))?.id, older.id);
    assert.deepEqual((await db().consoleSessions.listOpenByInstance(uuid)).map(({ startedAt }) => startedAt), [NOW, seconds(1)]);
    assert.deepEqual(Object.keys(consoleSessionOf(older)).includes('attachSecretHash'), false);
  });

  it('are renewed in batches by their own proxy, which learns what has ended or must end', async () => {
    const { uuid } = await port();
    const open = (values = {}) => db().consoleSessionClaims.open(newSession(uuid, null, { exclusive: false, ...values }));
    const [running, ending, ended, foreign] = [await open(), await open(), await open(), await open({ proxy: 'proxy-2' })];
    await db().consoleSessionEnds.mark({ ids: [ending.id] }, 'ended_by_operator', NOW, 1);
    await db().consoleSessionEnds.close(ended.id, { reason: 'lease_lost', at: NOW });
    const bytes = [running, ending, ended, foreign, { id: randomUUID() }].map(({ id }) => ({ id, bytesIn: 7, bytesOut: 5_000_000_000 }));
    const renewals = await db().consoleSessions.renew('proxy-1', bytes, seconds(30));
    assert.deepEqual(new Map(renewals.map(({ id, isOpen, reason }) => [id, `${isOpen} ${reason}`])), new Map([
      [running.id, 'true null'],
      [ending.id, 'true ended_by_operator'],
      [ended.id, 'false lease_lost'],
      [foreign.id, 'false superseded'],
    ]));
    await db().consoleSessions.renew('proxy-1', [{ id: running.id, bytesIn: 3, bytesOut: 0 }], seconds(31));
    const { leaseExpires, bytesIn, bytesOut } = consoleSessionOf(await db().consoleSessions.get(running.id));
    assert.deepEqual({ leaseExpires, bytesIn, bytesOut }, { leaseExpires: seconds(31), bytesIn: 7, bytesOut: 5_000_000_000 });
    // What is to end is not kept alive, nor what another carries.
    assert.deepEqual((await db().consoleSessions.get(ending.id)).leaseExpires, seconds(15));
    assert.deepEqual((await db().consoleSessions.get(foreign.id)).leaseExpires, seconds(15));
    assert.deepEqual(await db().consoleSessions.renew('proxy-1', [], NOW), []);
    await assert.rejects(db().consoleSessions.renew('proxy-1', [{ id: 'x', bytesIn: 0, bytesOut: 0 }], NOW), { code: 'INVALID_ARGUMENT' });
  });

  it('are renewed and closed by the connect that counts, or by one that names none', async () => {
    const { uuid, id } = await port();
    const [first, second] = [randomUUID(), randomUUID()];
    const { id: session } = await db().consoleSessionClaims.open(newSession(uuid, id, { claim: first }));
    const renew = async (claim?: string) => {
      const [renewal] = await db().consoleSessions.renew('proxy-1', [{ id: session, bytesIn: 0, bytesOut: 0, claim }], seconds(40));
      return `${renewal?.isOpen} ${renewal?.reason}`;
    };
    const close = (claim?: string) => db().consoleSessionEnds.close(session, { reason: 'client_closed', at: NOW, proxy: 'proxy-1', claim });
    assert.equal(await renew(second), 'false superseded');
    assert.equal(await renew(first), 'true null');
    assert.equal(await renew(), 'true null');
    assert.equal(await close(second), null);
    assert.equal(await db().consoleSessionEnds.close(session, { reason: 'client_closed', at: NOW, proxy: 'proxy-2', claim: first }), null);
    assert.equal((await close(first))?.endReason, 'client_closed');
    assert.equal(await renew(first), 'false client_closed');
  });

  it('are asked to end for the first reason given, and stay open until they are closed', async () => {
    const { uuid, id } = await port();
    const { id: session } = await db().consoleSessionClaims.open(newSession(uuid, id, { attachSecretHash: 'a'.repeat(64) }));
    const [marked] = await db().consoleSessionEnds.mark({ instanceUuid: uuid }, 'instance_stopped', seconds(1), 10);
    assert.deepEqual(await db().consoleSessionEnds.mark({ instanceUuid: uuid }, 'instance_deleted', seconds(2), 10), []);
    assert.deepEqual([marked?.endingReason, marked?.endingAt, marked?.endedAt], ['instance_stopped', seconds(1), null]);
    const closed = await db().consoleSessionEnds.close(session, { reason: 'instance_stopped', bytesIn: 1, bytesOut: 2, at: seconds(3) });
    assert.deepEqual([closed?.endedAt, closed?.endReason, closed?.bytesOut, closed?.attachSecretHash], [seconds(3), 'instance_stopped', 2, null]);
    assert.equal(await db().consoleSessionEnds.close(session, { reason: 'again', at: seconds(4) }), null);
    assert.equal((await db().consoleSessions.get(session)).endReason, 'instance_stopped');
    // The port is free again.
    await db().consoleSessionClaims.open(newSession(uuid, id));
  });

  it('are ended in batches when their lease has run out, for the reason they were to end for', async () => {
    const { uuid } = await port();
    const host = randomUUID();
    const open = (leaseExpires: Date) => db().consoleSessionClaims.open(newSession(uuid, null, { exclusive: false, host, leaseExpires }));
    const [first, second] = [await open(seconds(-2)), await open(seconds(-1))];
    await open(seconds(1));
    await db().consoleSessionEnds.mark({ ids: [second.id] }, 'instance_deleted', NOW, 1);
    const one = await db().consoleSessionEnds.closeExpired(NOW, 'lease_lost', 1, host);
    assert.deepEqual(one.map(({ id, endReason, endedAt }) => [id, endReason, endedAt]), [[first.id, 'lease_lost', NOW]]);
    const rest = await db().consoleSessionEnds.closeExpired(NOW, 'lease_lost', 10, host);
    assert.deepEqual(rest.map(({ id, endReason }) => [id, endReason]), [[second.id, 'instance_deleted']]);
    assert.deepEqual(await db().consoleSessionEnds.closeExpired(NOW, 'lease_lost', 10, host), []);
    assert.equal(await db().consoleSessions.countOpen({ host }), 1);
  });

  it('give their attach secret once, on their own host, while they are open', async () => {
    const { uuid, id } = await port();
    const secret = 'b'.repeat(64);
    const { id: session } = await db().consoleSessionClaims.open(newSession(uuid, id, { attachSecretHash: secret }));
    const use = (hash: string, host: string) => db().consoleSessions.useAttachSecret(session, hash, host);
    assert.equal(await use('c'.repeat(64), 'host-1'), null);
    assert.equal(await use(secret, 'host-2'), null);
    const raced = await Promise.all([use(secret, 'host-1'), use(secret, 'host-1'), use(secret, 'host-1')]);
    assert.equal(raced.filter((each) => each !== null).length, 1);
    assert.equal(await db().consoleSessions.replaceAttachSecret(session, secret), true);
    await db().consoleSessionEnds.close(session, { reason: 'client_closed', at: NOW });
    assert.equal(await use(secret, 'host-1'), null);
    assert.equal(await db().consoleSessions.replaceAttachSecret(session, secret), false);
  });

  it('are forgotten in batches some time after they ended', async () => {
    const { uuid } = await port();
    const { id } = await db().consoleSessionClaims.open(newSession(uuid, null, { exclusive: false }));
    await db().consoleSessionEnds.close(id, { reason: 'client_closed', at: seconds(-100_000) });
    assert.equal(await db().consoleSessionEnds.deleteEnded(seconds(-100_001), 10), 0);
    assert.equal(await db().consoleSessionEnds.deleteEnded(seconds(-100_000), 10), 1);
    assert.equal(await db().consoleSessions.find(id), null);
  });
});
