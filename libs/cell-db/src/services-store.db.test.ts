import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'mocha';
import { NOW, newInstance, newToken, onEachCellDb, seconds, serialPort } from './testing.ts';

onEachCellDb('services', (db) => {
  const agent = (host: string, values = {}) => ({
    binary: 'gatehouse-compute-agent', host, topic: 'compute', version: '1.0', endpoint: '127.0.0.1:4000', lastSeenAt: NOW, ...values,
  });

  it('are refused with a name that is too long', async () => {
    await assert.rejects(db().services.report(agent('h'.repeat(256))), { code: 'INVALID_ARGUMENT' });
  });

  it('are what each last reported, never an older report', async () => {
    const host = randomUUID();
    await db().services.report(agent(host));
    await db().services.report(agent(host, { endpoint: '127.0.0.1:5000', lastSeenAt: seconds(5) }));
    await db().services.report(agent(host, { endpoint: '127.0.0.1:1', lastSeenAt: seconds(4) }));
    const found = await db().services.findLive('compute', host, seconds(5));
    assert.deepEqual(found, agent(host, { endpoint: '127.0.0.1:5000', lastSeenAt: seconds(5) }));
    assert.equal(await db().services.findLive('compute', host, seconds(6)), null);
    assert.equal(await db().services.findLive('console-proxy', host, NOW), null);
  });

  it('say the versions that live, each once for its topic', async () => {
    const topic = randomUUID();
    const at = (host: string, version: string, lastSeenAt = seconds(1)) => db().services.report(agent(host, { topic, binary: topic, version, lastSeenAt }));
    await Promise.all([at('a', '1.0', seconds(-100)), at('b', '1.1'), at('c', '1.1'), at('d', '1.10')]);
    const live = (await db().services.listLiveVersions(NOW)).filter((each) => each.topic === topic);
    assert.deepEqual(live, [{ topic, version: '1.1' }, { topic, version: '1.10' }]);
  });

  it('are listed by topic, the live ones alone if so asked, and forgotten', async () => {
    const topic = randomUUID();
    await db().services.report(agent('b', { topic, binary: topic, lastSeenAt: seconds(-1_000_000) }));
    await db().services.report(agent('a', { topic, binary: topic, endpoint: null }));
    assert.deepEqual((await db().services.list(topic)).map(({ host }) => host), ['a', 'b']);
    assert.deepEqual((await db().services.listLive(topic, NOW)).map(({ host, endpoint }) => [host, endpoint]), [['a', null]]);
    assert.ok((await db().services.list()).length >= 2);
    assert.equal(await db().services.deleteUnseen(seconds(-999_999)), 1);
    assert.deepEqual((await db().services.list(topic)).map(({ host }) => host), ['a']);
  });

  it('that are gone are told by the rows that name their hosts, and those rows are removed in batches', async () => {
    const topic = randomUUID();
    const [live, silent, unknown] = [`a-${topic}`, `b-${topic}`, `c-${topic}`];
    await db().services.report(agent(live, { topic }));
    await db().services.report(agent(silent, { topic, lastSeenAt: seconds(-60) }));
    const { uuid } = await db().instances.create(newInstance());
    for (const host of [live, silent, unknown]) {
      await db().consoleConnections.upsertAll([serialPort(uuid, 0, { host }), serialPort(uuid, 1, { host })], { exclusive: true, at: NOW });
      await db().consoleTokens.save(newToken(uuid, null, { host }));
    }
    const ours = (hosts: readonly string[]) => hosts.filter((host) => host.endsWith(topic)).toSorted();
    assert.deepEqual(ours(await db().services.listHostsOfTokensWithout(topic, seconds(-59))), [silent, unknown]);
    assert.deepEqual(ours(await db().services.listHostsOfConnectionsWithout(topic, seconds(-60))), [unknown]);
    assert.equal(await db().consoleConnections.deleteForHost(unknown, NOW, 10), 0);
    assert.equal(await db().consoleConnections.deleteForHost(unknown, seconds(1), 1), 1);
    assert.equal(await db().consoleConnections.deleteForHost(unknown, seconds(1), 10), 1);
    assert.deepEqual(ours(await db().services.listHostsOfConnectionsWithout(topic, seconds(-60))), []);
  });
});
