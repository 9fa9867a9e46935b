import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { newContext } from '@gatehouse/rpc/context';
import type { Audit } from '@gatehouse/runtime/audit';
import { silentLogger } from '@gatehouse/runtime/logger';
import { Outages } from './outages.ts';
import { SessionLeases } from './session-leases.ts';
import { Sweeps } from './sweeps.ts';
import { HOST, PROXIES, ports, startConsoleAuths } from './test-consoleauths.ts';
import type { ConsoleAuths } from './test-consoleauths.ts';

const DAY_MS = 86_400_000;
const GONE = 'compute-gone';

describe('sweeps on PostgreSQL', function () {
  this.timeout(120_000);
  let house: ConsoleAuths;
  before(async () => (house = await startConsoleAuths()));
  after(() => house?.stop());
  beforeEach(() => house.report());

  /** Those of a consoleauth that has no outage behind it. */
  function sweeps(): Sweeps {
    const audit: Audit = { write: (event, facts) => void house.audited.push({ event, facts }), check() {} };
    return new Sweeps(house.db, new SessionLeases(house.db, new Outages(0, house.clock, silentLogger), audit, house.clock, 15), house.clock);
  }

  async function tokenOn(host: string): Promise<{ readonly uuid: string; readonly hash: string; readonly token: string }> {
    const uuid = await house.makeInstance({ host });
    const { token } = await house.mint(ports(uuid, 'novnc', 1, host));
    const { tokenHash } = await house.client.authorize({ connections: ports(uuid, 'novnc', 1, host), access: 'full' }, newContext({ userId: 'bob' }));
    return { uuid, token, hash: tokenHash ?? assert.fail('no hash') };
  }
  const isKept = async (hash: string) => (await house.db.consoleTokens.findByHash(hash)) !== null;

  it('leave the rows of a host to its agent while that lives, and remove those of a host whose agent is gone', async () => {
    const [live, gone] = [await tokenOn(HOST), await tokenOn(GONE)];
    for (let passed = 0; passed < 700_000; passed += 20_000) {
      await house.clock.advance(20_000);
      await house.report();
    }
    await sweeps().tidy();
    assert.deepEqual([await isKept(live.hash), await isKept(gone.hash)], [true, false]);
    assert.ok((await house.client.sweep({ host: HOST }, newContext())) >= 1);
    assert.equal(await isKept(live.hash), false);
  });

  it('remove nothing that still counts, though its agent is gone', async () => {
    const { hash } = await tokenOn(GONE);
    await house.clock.advance(599_000);
    await house.report();
    await sweeps().tidy();
    assert.equal(await isKept(hash), true);
  });

  it('remove the consoles of a host that is gone for days, and not of one that was silent for a while', async () => {
    await house.report(GONE);
    const { uuid } = await tokenOn(GONE);
    await house.clock.advance(2 * DAY_MS);
    await house.report();
    await sweeps().tidy();
    assert.equal((await house.db.consoleConnections.listByInstance(uuid)).length, 1);
    await house.clock.advance(2 * DAY_MS);
    await house.report();
    await sweeps().tidy();
    assert.equal((await house.db.consoleConnections.listByInstance(uuid)).length, 0);
  });

  it('end a session when its lease has run out, wherever it is, within seconds and for all to see', async () => {
    const { token } = await tokenOn(HOST);
    const { session } = await house.connect({ token });
    await house.clock.advance(14_999);
    const show = () => house.client.showSession({ sessionId: session.id }, newContext());
    assert.equal((await show()).endedAt, null);
    // The port is free at once; the row follows at the next look, each second.
    const audited = () => house.audited.filter(({ event, facts }) => event === 'ended' && facts.sessionId === session.id);
    for (const until = Date.now() + 20_000; audited().length === 0 && Date.now() < until; await pause(20)) await house.clock.advance(1_000);
    assert.equal((await show()).endReason, 'lease_lost');
    const ends = audited();
    assert.deepEqual(ends.map(({ facts }) => facts.reason), ['lease_lost']);
  });

  it('end the sessions of a host that died as its proxies say', async () => {
    await house.report(GONE);
    const { token } = await tokenOn(GONE);
    const { session } = await house.connect({ token });
    await house.client.release({ proxy: PROXIES[0], session: { id: session.id, bytesIn: 5, bytesOut: 7 }, reason: 'host_unreachable' }, newContext());
    const ended = await house.client.showSession({ sessionId: session.id }, newContext());
    assert.deepEqual([ended.endReason, ended.bytesIn, ended.bytesOut], ['host_unreachable', 5, 7]);
    const line = house.audited.find(({ event, facts }) => event === 'ended' && facts.sessionId === session.id)?.facts;
    assert.deepEqual([line?.reason, line?.bytesIn, line?.bytesOut, line?.userId, line?.clientAddress, line?.host], ['host_unreachable', 5, 7, 'alice', '192.0.2.7', GONE]);
  });

  it('go through more rows than one batch holds', async () => {
    const { uuid } = await tokenOn(GONE);
    const now = house.clock.now();
    const make = () => house.db.consoleTokens.save({
      ...{ tokenHash: randomUUID().replaceAll('-', '').repeat(2), connectionId: null, instanceUuid: uuid, consoleType: 'novnc', host: GONE, port: 0 },
      ...{ internalAccessPath: null, accessUrlBase: null, access: 'full', singleUse: false, expires: now, userId: 'alice', projectId: 'blue', createdAt: now },
    });
    for (let row = 0; row < 1_200; row += 20) await Promise.all(Array.from({ length: 20 }, make));
    assert.ok((await sweeps().sweep(GONE)) >= 1_200);
    assert.equal(await sweeps().sweep(GONE), 0);
  });
});
