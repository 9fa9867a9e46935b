import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'mocha';
import { NOTHING_KNOWN } from './console-openings-store.ts';
import type { Opener, Opening, OpeningQuestion } from './console-openings-store.ts';
import { NOW, newInstance, newSession, newToken, onEachCellDb, seconds } from './testing.ts';

onEachCellDb('the opening of a console', (db, kind) => {
  const ask = (values: Partial<OpeningQuestion> = {}): OpeningQuestion => ({ proxy: 'proxy-1', upTo: {}, liveAfter: NOW, agentsSince: NOW, ...values });
  const look = (opener: Opener, question = ask()): Promise<Opening> => db().consoleTransaction(({ consoleOpenings }) => consoleOpenings.look(opener, question));
  const all = { instance: 9, user: 9, proxy: 9 };

  it('is nothing for an unknown token, and knows neither a deleted machine nor an agent that is silent', async () => {
    assert.deepEqual(await look({ tokenHash: 'a'.repeat(64) }, ask({ upTo: all })), NOTHING_KNOWN);
    const [{ uuid }, host] = [await db().instances.create(newInstance()), randomUUID()];
    await db().instances.softDelete(uuid, NOW);
    await db().services.report({ binary: 'compute-agent', host, topic: 'compute', version: '1.0', endpoint: '127.0.0.1:1', lastSeenAt: seconds(-1) });
    assert.deepEqual(await look({ instanceUuid: uuid, host, userId: null }), NOTHING_KNOWN);
  });

  it('names the machine and its agent, for a token as for who knows what it says', async () => {
    const [{ uuid, displayName }, host] = [await db().instances.create(newInstance()), randomUUID()];
    await db().services.report({ binary: 'compute-agent', host, topic: 'compute', version: '1.0', endpoint: '127.0.0.1:1', lastSeenAt: NOW });
    await db().services.report({ binary: 'console-proxy', host, topic: 'console-proxy', version: '1.0', endpoint: '127.0.0.1:2', lastSeenAt: seconds(9) });
    const token = newToken(uuid, null, { host });
    await db().consoleTokens.save(token);
    const known = { instance: { displayName }, agent: { endpoint: '127.0.0.1:1' }, counts: { instance: 0, user: 0, proxy: 0 } };
    assert.deepEqual(await look({ tokenHash: token.tokenHash }), known);
    assert.deepEqual(await look({ instanceUuid: uuid, host, userId: null }), known);
  });

  it('counts what is open and live, of each whom it is asked for and up to a number', async () => {
    const { uuid } = await db().instances.create(newInstance());
    const [userId, proxy] = [randomUUID(), randomUUID()];
    const open = (values = {}) => db().consoleSessionClaims.open(newSession(uuid, null, { exclusive: false, userId, proxy, ...values }));
    await open();
    await open({ userId: 'another' });
    await open({ leaseExpires: NOW });
    const ended = await open();
    await db().consoleSessionEnds.close(ended.id, { reason: 'client_closed', at: NOW });
    const counts = async (of: string | null, question: Partial<OpeningQuestion>) => (await look({ instanceUuid: uuid, host: 'host-1', userId: of }, ask({ proxy, ...question }))).counts;
    assert.deepEqual(await counts(userId, { upTo: all }), { instance: 2, user: 1, proxy: 2 });
    assert.deepEqual(await counts(userId, { upTo: { instance: 9 }, liveAfter: seconds(-1) }), { instance: 3, user: 0, proxy: 0 });
    assert.deepEqual(await counts(null, { upTo: { instance: 1, user: 9 } }), { instance: 1, user: 0, proxy: 0 });
  });

  // The embedded one has a single session: nothing there runs beside another.
  if (kind !== 'PostgreSQL') return;

  it('is one at a time for who counts for the same, and not for others', async () => {
    const instanceUuid = randomUUID();
    const steps: string[] = [];
    const one = (who: string, values: Partial<OpeningQuestion> = {}): Promise<void> => db().consoleTransaction(async ({ consoleOpenings }) => {
      await consoleOpenings.look({ instanceUuid, host: 'host-1', userId: null }, ask({ upTo: all, ...values }));
      steps.push(`${who} in`);
      await new Promise((resolve) => setTimeout(resolve, 20));
      steps.push(`${who} out`);
    });
    await Promise.all(['a', 'b', 'c'].map((who) => one(who)));
    assert.deepEqual(steps.map((step) => step.slice(2)), ['in', 'out', 'in', 'out', 'in', 'out']);
    // Would wait for ever.
    await db().consoleTransaction(async ({ consoleOpenings }) => {
      await consoleOpenings.look({ instanceUuid, host: 'host-1', userId: null }, ask({ proxy: 'a', upTo: { proxy: 9 } }));
      await one('another', { proxy: 'b', upTo: { proxy: 9 } });
    });
  });
});
