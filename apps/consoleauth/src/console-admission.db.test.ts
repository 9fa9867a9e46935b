import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';
import { HOST, dialled, ports, refused, startConsoleAuths } from './test-consoleauths.ts';
import type { ConsoleAuths } from './test-consoleauths.ts';

const unknown = refused('UNAUTHENTICATED', /unknown or has expired; ask for a new one/);

async function until(holds: () => boolean): Promise<void> {
  for (let waited = 0; waited < 10_000 && !holds(); waited += 20) await sleep(20);
  assert.ok(holds());
}

describe('resume grants', function () {
  this.timeout(60_000);
  let bench: ConsoleAuths;
  before(async () => (bench = await startConsoleAuths({ consoleTokenSingleUse: 'true' })));
  after(() => bench?.stop());
  beforeEach(() => bench.report());

  async function open(): Promise<{ readonly uuid: string; readonly grant: ConsoleGrant; readonly resumeGrant: string }> {
    const uuid = await bench.makeInstance();
    const { token } = await bench.mint(ports(uuid, 'serial'));
    const grant = await bench.connect({ token });
    return { uuid, grant, resumeGrant: grant.resumeGrant ?? assert.fail('no grant') };
  }
  const resume = (resumeGrant: string, values = {}) => bench.connect({ resumeGrant, proxy: 'proxy-2', of: 1, ...values });

  it('that nobody issued, and texts that are none, open nothing', async () => {
    for (const resumeGrant of ['', 'x', "' OR 1=1 --", 'A'.repeat(43), 'A'.repeat(128)]) await assert.rejects(resume(resumeGrant), unknown);
  });

  it('open nothing once their session was released, revoked, marked or lost', async () => {
    const endings: ((opened: Awaited<ReturnType<typeof open>>) => Promise<unknown>)[] = [
      ({ grant }) => bench.release('proxy-1', grant.session.id),
      ({ uuid }) => bench.revoke(uuid, 'instance_stopped', 1),
      ({ grant }) => bench.db.consoleSessionEnds.mark({ ids: [grant.session.id] }, 'ended_by_operator', bench.clock.now(), 1),
      ({ uuid }) => bench.db.transaction((stores) => stores.instances.softDelete(uuid, bench.clock.now())),
      async () => {
        for (let second = 0; second < 15; second += 1) await bench.clock.advance(1_000);
        await bench.report();
      },
    ];
    for (const [index, end] of endings.entries()) {
      const opened = await open();
      await end(opened);
      await assert.rejects(resume(opened.resumeGrant), unknown, `ending ${index}`);
    }
  });

  it('that are refused stand in the audit with whose they are', async () => {
    const { uuid, grant, resumeGrant } = await open();
    for (const seconds of [12, 10]) {
      await bench.clock.advance(seconds * 1_000);
      await bench.renew('proxy-1', grant.session.id);
    }
    await assert.rejects(resume(resumeGrant), refused('UNAVAILABLE', /host compute-1 does not answer/));
    // Sessions of before, whose leases have run out, are ended meanwhile.
    const { event, facts } = bench.audited.findLast((line) => line.event === 'refused') ?? assert.fail();
    const { sessionId, instanceUuid, userId, proxy, reason } = facts as Readonly<Record<string, unknown>>;
    assert.deepEqual([event, sessionId, instanceUuid, userId, proxy, reason], ['refused', grant.session.id, uuid, 'alice', 'proxy-2', 'UNAVAILABLE']);
    await bench.report();
    assert.equal((await resume(resumeGrant)).session.id, grant.session.id);
  });

  it('open nothing on a page that cannot show the console', async () => {
    const { resumeGrant } = await open();
    await assert.rejects(resume(resumeGrant, { consoleTypes: ['novnc'] }), unknown);
  });

  it('carry the session on: its id, its beginning, its bytes; the token of single use stays spent', async () => {
    const uuid = await bench.makeInstance();
    const { token } = await bench.mint(ports(uuid, 'serial'));
    const first = await bench.connect({ token });
    const { id } = first.session;
    await bench.renew('proxy-1', id, id, 77);
    await assert.rejects(bench.connect({ token }), refused('UNAUTHENTICATED', /used before and opens its console once only/));
    const claim = randomUUID();
    const again = await resume(first.resumeGrant ?? '', { claim, token });
    assert.equal(again.resumeGrant, null);
    assert.deepEqual([again.session.id, again.session.startedAt, again.session.bytesIn], [id, first.session.startedAt, 77]);
    assert.deepEqual([again.session.proxy, again.endpoint, again.instanceName], ['proxy-2', '127.0.0.1:5901', 'web-1']);
    // And again, with the same grant, for the session's whole life.
    assert.equal((await resume(first.resumeGrant ?? '', { proxy: 'proxy-1' })).session.id, id);
  });

  it('leave the former connect nothing: its proxy is told, its renewal says so, its release and its attach secret do not count', async () => {
    const { grant, resumeGrant } = await open();
    const { id } = grant.session;
    const claim = randomUUID();
    const again = await resume(resumeGrant, { claim });
    await until(() => bench.told.some(({ proxy, reasons }) => proxy === 'proxy-1' && reasons[id] === 'superseded'));
    assert.deepEqual(await bench.renew('proxy-1', id, id), { [id]: 'superseded' });
    await bench.release('proxy-1', id, id);
    assert.deepEqual(await bench.renew('proxy-2', id, claim), {});
    await assert.rejects(bench.attach(id, grant.attachSecret), refused('UNAUTHENTICATED', /connect again/));
    assert.equal((await bench.attach(id, again.attachSecret)).port, 0);
    await assert.rejects(bench.attach(id, again.attachSecret), refused('UNAUTHENTICATED', /used before/));
  });

  it('are not told to the proxy that carries both connects', async () => {
    const { grant, resumeGrant } = await open();
    const before = bench.told.length;
    await resume(resumeGrant, { proxy: 'proxy-1' });
    await sleep(100);
    assert.deepEqual(bench.told.slice(before).filter(({ reasons }) => grant.session.id in reasons), []);
  });

  it('let the last of many who resume at once have the session, and nobody else', async () => {
    const { grant, resumeGrant } = await open();
    const { id } = grant.session;
    const claims = Array.from({ length: 6 }, () => randomUUID());
    const came = await Promise.all(claims.map((claim, of) => resume(resumeGrant, { claim, of })));
    assert.deepEqual(new Set(came.map(({ session }) => session.id)), new Set([id]));
    const opens = await Promise.allSettled(came.map(({ attachSecret }) => bench.attach(id, attachSecret)));
    assert.equal(opens.filter(({ status }) => status === 'fulfilled').length, 1);
    const live = await Promise.all(claims.map((claim) => bench.renew('proxy-2', id, claim)));
    assert.equal(live.filter((answer) => answer[id] === undefined).length, 1);
  });

  it('stand in no table and in no audit line, nor do tokens and attach secrets', async () => {
    const { grant, resumeGrant } = await open();
    const rows = JSON.stringify([await bench.db.consoleSessions.get(grant.session.id), bench.audited]);
    assert.equal(rows.includes(resumeGrant), false);
    assert.equal(rows.includes(grant.attachSecret ?? assert.fail()), false);
  });
});

describe('a console that is dialled', function () {
  this.timeout(60_000);
  let bench: ConsoleAuths;
  before(async () => (bench = await startConsoleAuths()));
  after(() => bench?.stop());
  beforeEach(() => void (bench.host.confirms = () => true));

  it('is asked of its host as a whole: instance, type, host, port, address and path', async () => {
    const uuid = await bench.makeInstance();
    const options = { transport: 'tcp', address: '192.0.2.51', internal_access_path: '/secret/7' };
    const { token } = await bench.mint([dialled(uuid, 5_900, { options })]);
    const asked: unknown[] = [];
    bench.host.confirms = (connection) => asked.push(connection) > 0;
    const grant = await bench.connect({ token });
    assert.deepEqual([grant.endpoint, grant.attachSecret], [null, null]);
    assert.deepEqual(asked, [{ ...dialled(uuid, 5_900, { options }) }]);
  });

  it('opens to nobody when its host says no, and its session is over', async () => {
    const uuid = await bench.makeInstance();
    const { token } = await bench.mint([dialled(uuid, 5_901, { consoleType: 'serial' })]);
    bench.host.confirms = () => false;
    await assert.rejects(bench.connect({ token }), refused('NOT_FOUND', /no longer has this console; ask for a new link/));
    const sessions = await bench.db.consoleSessions.listOpenByInstance(uuid);
    assert.deepEqual(sessions, []);
    bench.host.confirms = () => true;
    await bench.connect({ token });
  });

  it('opens to nobody when its host does not answer', async () => {
    const uuid = await bench.makeInstance({ host: 'compute-9' });
    const { token } = await bench.mint([dialled(uuid, 5_902, { host: 'compute-9' })]);
    await assert.rejects(bench.connect({ token }), refused('UNAVAILABLE', /host compute-9 does not say whether/));
    assert.deepEqual(await bench.db.consoleSessions.listOpenByInstance(uuid), []);
  });

  it("is not another tenant's machine, though that has got the address meanwhile (CVE-2013-0335)", async () => {
    const [mine, theirs] = [await bench.makeInstance(), await bench.makeInstance()];
    const { token } = await bench.mint([dialled(mine, 5_903)]);
    const { resumeGrant, session } = await bench.connect({ token });
    // The host has given the port to another machine, and its word has not come here yet.
    bench.host.confirms = ({ instanceUuid, port }) => instanceUuid === theirs && port === 5_903;
    await assert.rejects(bench.connect({ token }), refused('NOT_FOUND', /no longer has this console/));
    await assert.rejects(bench.connect({ resumeGrant }), refused('NOT_FOUND', /no longer has this console/));
    assert.equal((await bench.db.consoleSessions.get(session.id)).endReason, 'console_gone');
    // Now it has: the former owner's link opens nothing at all.
    await bench.register(theirs, [dialled(theirs, 5_903)]);
    await assert.rejects(bench.connect({ token }), unknown);
  });
});

describe('what is written down of connects', function () {
  this.timeout(60_000);
  let bench: ConsoleAuths;
  before(async () => (bench = await startConsoleAuths()));
  after(() => bench?.stop());

  it('is who, what, from where and why, of each authorization, connect, resumption and refusal', async () => {
    const uuid = await bench.makeInstance();
    const { token } = await bench.mint(ports(uuid, 'serial'));
    const { session, resumeGrant } = await bench.connect({ token });
    await assert.rejects(bench.connect({ token }), ServiceError);
    await assert.rejects(bench.connect({ token: 'no such' }), ServiceError);
    await assert.rejects(bench.mint(ports(uuid, 'serial'), 'bob'), ServiceError);
    await bench.connect({ resumeGrant, proxy: 'proxy-2' });
    const lines = bench.audited.map(({ event, facts: { reason, userId, instanceUuid, clientAddress, proxy, sessionId } }) =>
      [event, reason, userId, instanceUuid, clientAddress, proxy, sessionId]);
    const [who, from] = [['alice', uuid], ['192.0.2.7', 'proxy-1']];
    assert.deepEqual(lines, [
      ['authorized', undefined, ...who, undefined, undefined, undefined],
      ['connected', undefined, ...who, ...from, session.id],
      ['refused', 'PORT_IN_USE', ...who, ...from, undefined],
      ['refused', 'UNAUTHENTICATED', undefined, undefined, ...from, undefined],
      ['refused', 'NO_PORT_FREE', 'bob', uuid, undefined, undefined, undefined],
      ['resumed', undefined, ...who, '192.0.2.7', 'proxy-2', session.id],
    ]);
    assert.ok(bench.audited.every(({ facts }) => facts.requestId !== undefined && facts.consoleType !== 'novnc'));
    assert.equal(JSON.stringify(bench.audited).includes(token), false);
    assert.equal(bench.audited[0]?.facts.host, HOST);
  });
});
