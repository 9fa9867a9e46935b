import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'mocha';
import { NOW, newInstance, newSession, onEachCellDb, seconds, serialPort } from './testing.ts';

const HASH = () => randomUUID().replaceAll('-', '').repeat(2);

// What is read of events waits for every transaction of the server.
onEachCellDb('claims of console sessions', (db) => {
  const port = async (): Promise<{ readonly uuid: string; readonly id: number }> => {
    const { uuid } = await db().instances.create(newInstance());
    const [row] = await db().consoleConnections.upsertAll([serialPort(uuid, 0)], { exclusive: true, at: NOW });
    return { uuid, id: row?.id ?? assert.fail() };
  };
  const takeover = () => ({ claim: randomUUID(), proxy: 'proxy-2', clientAddress: '192.0.2.9', attachSecretHash: HASH(), leaseExpires: seconds(99) });

  it('find nothing for a resume grant that is not known, or whose session is over', async () => {
    const { uuid, id } = await port();
    const resumeHash = HASH();
    assert.equal(await db().consoleSessionClaims.findByResumeHash(resumeHash), null);
    const session = await db().consoleSessionClaims.open(newSession(uuid, id, { resumeHash }));
    assert.equal((await db().consoleSessionClaims.findByResumeHash(resumeHash))?.id, session.id);
    await db().consoleSessionEnds.close(session.id, { reason: 'client_closed', at: NOW });
    assert.equal(await db().consoleSessionClaims.findByResumeHash(resumeHash), null);
  });

  it('take over neither a session that is to end nor one that has ended', async () => {
    const { uuid, id } = await port();
    const session = await db().consoleSessionClaims.open(newSession(uuid, id));
    await db().consoleSessionEnds.mark({ ids: [session.id] }, 'ended_by_operator', NOW, 1);
    assert.equal(await db().consoleSessionClaims.lock(session.id), null);
    assert.equal(await db().consoleSessionClaims.takeOver(session.id, takeover(), NOW), null);
    await db().consoleSessionEnds.close(session.id, { reason: 'client_closed', at: NOW });
    assert.equal(await db().consoleSessionClaims.takeOver(session.id, takeover(), NOW), null);
    assert.equal(await db().consoleSessionClaims.takeOver(randomUUID(), takeover(), NOW), null);
  });

  it('carry a session on with its id, its beginning and its bytes, and leave one event each', async () => {
    const { uuid, id } = await port();
    const start = await db().consoleSessionEvents.newest();
    const session = newSession(uuid, id, { resumeHash: HASH(), attachSecretHash: HASH() });
    const opened = await db().consoleSessionClaims.open(session);
    await db().consoleSessions.renew(session.proxy, [{ id: session.id, bytesIn: 7, bytesOut: 9 }], seconds(20));
    const next = takeover();
    const resumed = await db().consoleSessionClaims.takeOver(session.id, next, seconds(5));
    assert.deepEqual(resumed, { ...opened, ...next, bytesIn: 7, bytesOut: 9 });
    assert.equal(await db().consoleSessions.useAttachSecret(session.id, session.attachSecretHash ?? '', 'host-1'), null);
    const { events } = await db().consoleSessionEvents.listAfter(start, 100);
    const told = events.filter(({ sessionId }) => sessionId === session.id).map(({ kind: what, at, reason }) => [what, at, reason]);
    assert.deepEqual(told, [['connected', NOW, null], ['resumed', seconds(5), null]]);
  });
}, { alone: true });
