import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { SERVICE_SILENCE_MS_MAX } from '@gatehouse/contracts/consoleauth';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import { HOST, dialled, ports, refused, startConsoleAuths } from './test-consoleauths.ts';
import type { ConsoleAuths } from './test-consoleauths.ts';

const NEW_HOST = 'compute-2';
const unknown = refused('UNAUTHENTICATED', /unknown or has expired/);

describe('consoles that agents register', function () {
  this.timeout(60_000);
  let bench: ConsoleAuths;
  before(async () => (bench = await startConsoleAuths()));
  after(() => bench?.stop());

  const registered = async (uuid: string): Promise<readonly string[]> =>
    (await bench.db.consoleConnections.listByInstance(uuid)).map(({ host, consoleType, port }) => `${host} ${consoleType} ${port}`).sort();
  const both = (uuid: string, serials = 2, host = HOST): ConsoleConnection[] => [...ports(uuid, 'serial', serials, host), ...ports(uuid, 'novnc', 1, host)];

  it('are refused when they are of another machine or host, or named twice', async () => {
    const uuid = await bench.makeInstance();
    await assert.rejects(bench.register(uuid, ports(randomUUID(), 'serial')), refused('INVALID_ARGUMENT', /expected consoles of instance/));
    await assert.rejects(bench.register(uuid, ports(uuid, 'serial', 1, NEW_HOST)), refused('INVALID_ARGUMENT', /on host compute-1/));
    await assert.rejects(bench.register(uuid, [...ports(uuid, 'serial'), ...ports(uuid, 'serial')]), refused('INVALID_ARGUMENT', /named twice/));
  });

  it('are kept of no machine that is unknown or deleted; what is left of that one ends', async () => {
    assert.equal(await bench.register(randomUUID(), []), 0);
    const gone = randomUUID();
    assert.equal(await bench.register(gone, both(gone)), 0);
    assert.deepEqual(await registered(gone), []);
    const uuid = await bench.makeInstance();
    const { session } = await bench.connect({ token: (await bench.mint(ports(uuid, 'serial'))).token });
    await bench.db.transaction((stores) => stores.instances.softDelete(uuid, bench.clock.now()));
    assert.equal(await bench.register(uuid, both(uuid)), 1);
    assert.deepEqual(await bench.renew('proxy-1', session.id), { [session.id]: 'instance_deleted' });
    assert.equal(await bench.register(uuid, both(uuid)), 0);
  });

  it('stay what they are when they are said again, with their tokens, sessions and promises', async () => {
    const uuid = await bench.makeInstance();
    assert.equal(await bench.register(uuid, both(uuid)), 0);
    const before = await bench.db.consoleConnections.listByInstance(uuid);
    assert.deepEqual(before.map(({ consoleType, exclusive }) => [consoleType, exclusive]).sort(), [['novnc', false], ['serial', true], ['serial', true]]);
    const { token, port } = await bench.mint(ports(uuid, 'serial', 2), 'alice');
    const promised = await bench.db.consoleConnections.listByInstance(uuid);
    assert.equal(await bench.register(uuid, both(uuid), HOST, 1), 0);
    assert.deepEqual(await bench.db.consoleConnections.listByInstance(uuid), promised);
    assert.equal((await bench.connect({ token })).connection.port, port);
    assert.equal(await bench.register(uuid, both(uuid)), 0);
  });

  it('that are not named any more go with their tokens, and their sessions end and are told', async () => {
    const uuid = await bench.makeInstance();
    await bench.register(uuid, both(uuid));
    const links = [await bench.mint(ports(uuid, 'serial', 2), 'alice'), await bench.mint(ports(uuid, 'serial', 2), 'bob')];
    const screen = await bench.connect({ token: (await bench.mint(ports(uuid, 'novnc'))).token });
    const [stays, goes] = await Promise.all(links.map(({ token }) => bench.connect({ token })));
    assert.ok(stays !== undefined && goes !== undefined);
    assert.equal(await bench.register(uuid, both(uuid, 1)), 1);
    assert.deepEqual(bench.told.at(-1), { proxy: 'proxy-1', reasons: { [goes.session.id]: 'console_gone' } });
    assert.deepEqual(await bench.renew('proxy-1', goes.session.id), { [goes.session.id]: 'console_gone' });
    await assert.rejects(bench.connect({ token: links[1]?.token ?? '' }), unknown);
    await assert.rejects(bench.connect({ resumeGrant: goes.resumeGrant }), unknown);
    await assert.rejects(bench.attach(goes.session.id, goes.attachSecret), refused('UNAUTHENTICATED', /connect again/));
    for (const { session } of [stays, screen]) assert.deepEqual(await bench.renew('proxy-1', session.id), {});
  });

  it('of a machine that has moved are those of its new host alone', async () => {
    const uuid = await bench.makeInstance();
    await bench.register(uuid, both(uuid));
    const { session } = await bench.connect({ token: (await bench.mint(ports(uuid, 'novnc'))).token });
    // The destination speaks before the move is done: nothing of the source goes.
    assert.equal(await bench.register(uuid, both(uuid, 1, NEW_HOST), NEW_HOST), 0);
    assert.equal((await registered(uuid)).length, 5);
    await bench.db.instances.update(uuid, { host: NEW_HOST }, bench.clock.now());
    assert.equal(await bench.register(uuid, both(uuid, 1, NEW_HOST), NEW_HOST), 1);
    assert.deepEqual(await registered(uuid), ['compute-2 novnc 0', 'compute-2 serial 0']);
    assert.deepEqual(await bench.renew('proxy-1', session.id), { [session.id]: 'console_gone' });
    // The source comes back and finds the guest's remains: it takes nothing from the new host.
    await bench.register(uuid, both(uuid, 1));
    await bench.register(uuid, []);
    assert.deepEqual(await registered(uuid), ['compute-2 novnc 0', 'compute-2 serial 0']);
  });

  it('displace on one host whoever had the port before', async () => {
    const [former, next] = [await bench.makeInstance(), await bench.makeInstance()];
    await bench.register(former, [dialled(former, 5_910)]);
    const { token } = await bench.mint([dialled(former, 5_910)]);
    const { session } = await bench.connect({ token });
    assert.equal(await bench.register(next, [dialled(next, 5_910)]), 1);
    assert.deepEqual([await registered(former), await registered(next)], [[], ['compute-1 novnc 5910']]);
    assert.deepEqual(await bench.renew('proxy-1', session.id), { [session.id]: 'console_gone' });
    await assert.rejects(bench.connect({ token }), unknown);
  });

  it('that two hosts have at one address and port are refused to the later, in words, and break nothing else', async () => {
    const [first, second, other] = [await bench.makeInstance(), await bench.makeInstance({ host: NEW_HOST }), await bench.makeInstance({ host: NEW_HOST })];
    await bench.report(HOST);
    await bench.report(NEW_HOST);
    await bench.register(first, [dialled(first, 5_920)]);
    await bench.register(second, ports(second, 'serial', 1, NEW_HOST), NEW_HOST);
    const claim = bench.register(second, [...ports(second, 'serial', 1, NEW_HOST), dialled(second, 5_920, { host: NEW_HOST })], NEW_HOST, 1);
    await assert.rejects(claim, refused('ALREADY_EXISTS', new RegExp(`^192\\.0\\.2\\.50:5920 is a console of instance ${first} on host compute-1.*differ$`)));
    assert.deepEqual(await registered(first), ['compute-1 novnc 5920']);
    assert.deepEqual(await registered(second), ['compute-2 serial 0']);
    await bench.register(other, [dialled(other, 5_921, { host: NEW_HOST })], NEW_HOST);
    // Whoever asks for a link to it hears the same.
    await assert.rejects(bench.mint([dialled(second, 5_920, { host: NEW_HOST })]), refused('ALREADY_EXISTS', /^192\.0\.2\.50:5920 is a console of instance .* differ$/));
    await assert.rejects(bench.mint([dialled(await bench.makeInstance(), 5_920)]), refused('ALREADY_EXISTS', /is a console of instance .* its agent says which of them has it/));
    // Of two that come at once one has it.
    const at = (uuid: string, host: string, of: number) => bench.register(uuid, [dialled(uuid, 5_922, { host })], host, of);
    const came = await Promise.allSettled([at(first, HOST, 0), at(second, NEW_HOST, 1)]);
    assert.deepEqual(came.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  });

  it('make room for a living host when their own counts as gone, or their machine is deleted', async () => {
    const [first, second, third] = [await bench.makeInstance(), await bench.makeInstance(), await bench.makeInstance({ host: NEW_HOST })];
    await bench.register(first, [dialled(first, 5_930)]);
    await bench.register(second, [dialled(second, 5_931)]);
    const { token } = await bench.mint([dialled(first, 5_930)]);
    const at = (port: number): ConsoleConnection[] => [dialled(third, port, { host: NEW_HOST })];
    await bench.clock.advance(SERVICE_SILENCE_MS_MAX - 1_000);
    await bench.report(NEW_HOST);
    await assert.rejects(bench.mint(at(5_930)), refused('ALREADY_EXISTS', /is a console of instance/));
    await bench.clock.advance(2_000);
    assert.equal((await bench.mint(at(5_930))).port, 5_930);
    await assert.rejects(bench.connect({ token }), unknown);
    await bench.register(third, [...at(5_930), ...at(5_931)], NEW_HOST);
    assert.deepEqual([await registered(first), await registered(second), await registered(third)], [[], [], ['compute-2 novnc 5930', 'compute-2 novnc 5931']]);
    // And the other way round: it comes back, and what is taken stays taken.
    await bench.report(HOST);
    await assert.rejects(bench.register(first, [dialled(first, 5_930)]), refused('ALREADY_EXISTS', /on host compute-2/));
    await bench.db.transaction((stores) => stores.instances.softDelete(third, bench.clock.now()));
    assert.equal((await bench.mint([dialled(first, 5_930)])).port, 5_930);
  });
});
