import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { NewInstance, StoredInstance } from '@gatehouse/cell-db/instances-store';
import { withLeftHosts } from '@gatehouse/cell-db/instances-store';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { serve } from '@gatehouse/rpc/server';
import { someHandlers } from '@gatehouse/rpc/some-handlers';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { ComputeAgent } from './compute-agent.ts';
import type { Driver } from './drivers/driver.ts';
import { SimulatedDriver } from './drivers/simulated/simulated-driver.ts';
import { GuestFacts } from './guest-facts.ts';
import { SerialLines } from './serial-lines.ts';

const HOST = 'compute-1';
const NEVER = new AbortController().signal;

describe('what a compute agent does with its guests', function () {
  this.timeout(60_000);
  const transport = createMemoryTransport();
  const drivers: Driver[] = [];
  const registered: { instanceUuid: string; ports: readonly string[] }[] = [];
  let consoleAuthIsAway = false;
  let postgresql: Postgresql;
  let cellDb: CellDb;
  let granted: ConsoleConnection;

  before(async () => {
    postgresql = await startPostgresql();
    cellDb = await openCellDb({ url: await postgresql.createDatabase() });
    await cellDb.migrate();
    await serve(consoleauth, transport, {
      server: 'consoleauth-1',
      handlers: someHandlers(consoleauth, {
        attach: () => granted,
        authorize: ({ connections }) => ({ ...connections[0]!, accessUrl: 'http://127.0.0.1/vnc' }),
        register({ instanceUuid, connections }) {
          if (consoleAuthIsAway) throw new ServiceError('UNAVAILABLE', 'the database is away');
          registered.push({ instanceUuid, ports: connections.map(({ consoleType, port }) => `${consoleType} ${port}`) });
          return 0;
        },
      }),
    });
  });

  after(async () => {
    await transport.close();
    await cellDb?.close();
    await postgresql?.stop();
  });

  afterEach(async () => {
    consoleAuthIsAway = false;
    for (const driver of drivers.splice(0)) await driver.close();
  });

  function makeAgent(change: Partial<Driver> = {}): { agent: ComputeAgent; driver: Driver } {
    const driver: Driver = Object.assign(new SimulatedDriver({ host: HOST, clock: systemClock }), change);
    drivers.push(driver);
    const lines = new SerialLines(driver, 131_072, systemClock, silentLogger);
    const { instances } = cellDb;
    const guestFacts = new GuestFacts(cellDb, 'asked', silentLogger);
    const consoleAuth = createClient(consoleauth, transport);
    return { agent: new ComputeAgent({ host: HOST, driver, lines, instances, guestFacts, consoleAuth, clock: systemClock, log: silentLogger }), driver };
  }

  async function store(change: Partial<NewInstance> = {}): Promise<StoredInstance> {
    return cellDb.instances.create({
      uuid: randomUUID(), projectId: 'blue', userId: 'alice', displayName: 'web', hostname: 'web', host: HOST,
      vmState: 'building', taskState: null, keyName: null, keyData: null, userData: null, metadata: {}, createdAt: new Date(), ...change,
    });
  }

  async function make(agent: ComputeAgent, change: Partial<NewInstance> = {}): Promise<StoredInstance> {
    const { uuid } = await store(change);
    await agent.createInstance(await cellDb.instances.get(uuid));
    return cellDb.instances.get(uuid);
  }

  /** As the api does before it asks. */
  const begin = (uuid: string, taskState: string) => cellDb.instances.update(uuid, { taskState }, new Date());
  const stateOf = async (uuid: string) => {
    const { vmState, taskState } = await cellDb.instances.get(uuid);
    return [vmState, taskState];
  };

  /** Both kinds of console, open, and the words with which each ends. */
  async function openConsoles(agent: ComputeAgent, driver: Driver, uuid: string): Promise<Promise<string>[]> {
    const ends: Promise<string>[] = [];
    for (const consoleType of ['novnc', 'serial'] as const) {
      granted = (await driver.consoles(uuid, consoleType))[0]!;
      const { stream } = await agent.attach({ sessionId: randomUUID(), attachSecret: 's', offset: null, signal: NEVER });
      stream.resume();
      ends.push(endOf(stream));
    }
    return ends;
  }

  const registrationsOf = (uuid: string) => registered.filter(({ instanceUuid }) => instanceUuid === uuid).map(({ ports }) => ports.join(', '));

  async function prints(agent: ComputeAgent, uuid: string, words: RegExp): Promise<void> {
    for (const deadline = Date.now() + 10_000; ; await sleep(10)) {
      const printed = await agent.consoleOutput(uuid, null);
      if (words.test(printed)) return;
      assert.ok(Date.now() < deadline, `printed ${JSON.stringify(printed)}, not ${words}`);
    }
  }

  async function awaitRegistration(uuid: string, wanted: string): Promise<void> {
    const deadline = Date.now() + 10_000;
    while (registrationsOf(uuid).at(-1) !== wanted) {
      assert.ok(Date.now() < deadline, `registered ${JSON.stringify(registrationsOf(uuid))}, not ${wanted}`);
      await sleep(10);
    }
  }

  it('refuses guests of other hosts and of nobody', async () => {
    const { agent } = makeAgent();
    const elsewhere = await store({ host: 'compute-2', vmState: 'active' });
    for (const work of [agent.startInstance(elsewhere), agent.rebootInstance(elsewhere), agent.rebuildInstance(elsewhere)]) {
      await assert.rejects(work, { code: 'INVALID_ARGUMENT', message: /belongs to host compute-2/ });
    }
    await assert.rejects(agent.stopInstance(elsewhere.uuid, 'instance_stopped'), { code: 'NOT_FOUND' });
    await assert.rejects(agent.stopInstance(randomUUID(), 'instance_stopped'), { code: 'NOT_FOUND' });
    await assert.rejects(agent.consoleOutput(randomUUID(), null), { code: 'NOT_FOUND' });
  });

  it('switches one off with its consoles, says so, keeps its last words, and switches it on again', async () => {
    const { agent, driver } = makeAgent();
    const { uuid } = await make(agent);
    const ends = await openConsoles(agent, driver, uuid);
    await begin(uuid, 'powering-off');
    await agent.stopInstance(uuid, 'instance_stopped');
    assert.deepEqual(await Promise.all(ends), ['The instance was stopped.', 'The instance was stopped.']);
    assert.deepEqual([await stateOf(uuid), await driver.powerState(uuid)], [['stopped', null], 'stopped']);
    await assert.rejects(agent.getConsole(uuid, 'novnc', 'full', newContext()), { code: 'FAILED_PRECONDITION', message: /is stopped; its consoles open when it runs/ });
    await prints(agent, uuid, /on ttyS0/);
    await awaitRegistration(uuid, '');
    await agent.stopInstance(uuid, 'instance_stopped');
    await begin(uuid, 'powering-on');
    await agent.startInstance(await cellDb.instances.get(uuid));
    assert.deepEqual([await stateOf(uuid), await driver.powerState(uuid)], [['active', null], 'running']);
    await awaitRegistration(uuid, 'novnc 0, serial 0');
  });

  it('reboots and rebuilds: the consoles end with that reason, and new ones open', async () => {
    const { agent, driver } = makeAgent();
    const { uuid } = await make(agent);
    for (const [work, words] of [
      [(instance: StoredInstance) => agent.rebootInstance(instance), /rebooted/],
      [(instance: StoredInstance) => agent.rebuildInstance({ ...instance, displayName: 'renamed' }), /rebuilt/],
    ] as const) {
      const ends = await openConsoles(agent, driver, uuid);
      await work(await cellDb.instances.get(uuid));
      for (const end of ends) assert.match(await end, words);
      assert.deepEqual(await stateOf(uuid), ['active', null]);
      assert.equal((await openConsoles(agent, driver, uuid)).length, 2);
    }
    await prints(agent, uuid, /^renamed \(/);
    await agent.stopInstance(uuid, 'instance_stopped');
    await agent.rebuildInstance(await cellDb.instances.get(uuid));
    assert.deepEqual([await stateOf(uuid), await driver.powerState(uuid)], [['stopped', null], 'stopped'], 'one that was off is off');
  });

  it('says what it could not do in the state of the instance, and throws the words', async () => {
    let broken = false;
    const { agent, driver } = makeAgent();
    const spawn = driver.spawn.bind(driver);
    const refuse = () => Promise.reject(new ServiceError('FAILED_PRECONDITION', 'no disk'));
    Object.assign(driver, { spawn: (instance: StoredInstance) => (broken ? refuse() : spawn(instance)) });
    const { uuid } = await make(agent);
    await agent.stopInstance(uuid, 'instance_stopped');
    broken = true;
    await begin(uuid, 'powering-on');
    await assert.rejects(agent.startInstance(await cellDb.instances.get(uuid)), { message: 'no disk' });
    assert.deepEqual(await stateOf(uuid), ['stopped', null]);
    await assert.rejects(agent.rebuildInstance(await begin(uuid, 'rebuilding')), { message: 'no disk' });
    assert.deepEqual(await stateOf(uuid), ['error', null]);
  });

  it('keeps the consoles of a guest shut while it ends it', async () => {
    let finish = (): void => {};
    const stopped = new Promise<void>((resolve) => (finish = resolve));
    const { agent, driver } = makeAgent();
    const { uuid } = await make(agent);
    const [console] = await driver.consoles(uuid, 'novnc');
    const stop = driver.stop.bind(driver);
    Object.assign(driver, { stop: (instanceUuid: string) => stopped.then(() => stop(instanceUuid)) });
    const stopping = agent.stopInstance(uuid, 'instance_stopped');
    while (await agent.confirmConsole(console!)) await sleep(5);
    granted = console!;
    const late = agent.attach({ sessionId: randomUUID(), attachSecret: 's', offset: null, signal: NEVER });
    await assert.rejects(late, { code: 'UNAVAILABLE', message: /The instance was stopped/ });
    await assert.rejects(agent.getConsole(uuid, 'novnc', 'full', newContext()), { code: 'UNAVAILABLE' });
    finish();
    await stopping;
  });

  it('confirms a console that is its guest\'s at this moment, and no other', async () => {
    const { agent, driver } = makeAgent();
    const { uuid } = await make(agent);
    const [serial] = await driver.consoles(uuid, 'serial');
    assert.equal(await agent.confirmConsole(serial!), true);
    assert.equal(await agent.confirmConsole({ ...serial!, options: {} }), true, 'the default transport need not be said');
    const others: Partial<ConsoleConnection>[] = [
      { port: 1 }, { host: 'compute-2' }, { instanceUuid: randomUUID() }, { consoleType: 'spice-html5' },
      { options: { transport: 'tcp' } }, { options: { internal_access_path: '/x' } },
    ];
    for (const other of others) assert.equal(await agent.confirmConsole({ ...serial!, ...other }), false, JSON.stringify(other));
    await agent.deleteInstance(uuid, 'instance_deleted');
    assert.equal(await agent.confirmConsole(serial!), false);
  });

  it('gives the last lines of what the first serial port printed, without control characters', async () => {
    const { agent, driver } = makeAgent();
    const { uuid } = await make(agent);
    granted = (await driver.consoles(uuid, 'serial'))[0]!;
    const { stream } = await agent.attach({ sessionId: randomUUID(), attachSecret: 's', offset: null, signal: NEVER });
    stream.resume().write('clear\rhostname\r');
    await prints(agent, uuid, /web\nweb:~\$ $/);
    const whole = await agent.consoleOutput(uuid, null);
    assert.match(whole, /^web \([-0-9a-f]{36}\) on ttyS0\n/);
    assert.ok(!/[\x00-\x08\x0b-\x1f]/.test(whole));
    assert.match(await agent.consoleOutput(uuid, 2), /^web\nweb:~\$ $/);
    assert.equal(await agent.consoleOutput(uuid, 0), '');
    assert.equal(await agent.consoleOutput(uuid, 10_000), whole);
  });

  it('ends the older client of a serial port when the same session comes again', async () => {
    const { agent, driver } = makeAgent();
    const { uuid } = await make(agent);
    granted = (await driver.consoles(uuid, 'serial'))[0]!;
    const session = { sessionId: randomUUID(), offset: null, signal: NEVER };
    const older = await agent.attach({ ...session, attachSecret: 'first' });
    older.stream.resume();
    const end = endOf(older.stream);
    const newer = await agent.attach({ ...session, attachSecret: 'second' });
    assert.match(await end, /newer session/);
    newer.stream.resume().write('echo on\r');
    await prints(agent, uuid, /\non\n/);
  });

  it('makes the guest of an instance that is on its way here, writes nothing of it, and takes it over when it has come', async () => {
    const { agent, driver } = makeAgent();
    const coming = await store({ host: 'compute-2', vmState: 'active', taskState: 'migrating' });
    await agent.receiveInstance({ ...coming, host: HOST }, true);
    assert.equal(await driver.powerState(coming.uuid), 'running');
    await agent.watch();
    assert.deepEqual([await driver.powerState(coming.uuid), registrationsOf(coming.uuid)], ['running', []], 'it is neither a stranger nor ours');
    const arrived = await cellDb.instances.update(coming.uuid, { host: HOST, taskState: 'resize_finish' }, new Date());
    await agent.startInstance(arrived);
    assert.deepEqual(await stateOf(coming.uuid), ['resized', null]);
    await awaitRegistration(coming.uuid, 'novnc 0, serial 0');
  });

  it('ends what it still has of instances that have left for another host, once nobody moves them any more', async () => {
    const { agent, driver } = makeAgent();
    const left = await make(agent);
    const ends = await openConsoles(agent, driver, left.uuid);
    const systemMetadata = withLeftHosts({}, [HOST]);
    await cellDb.instances.update(left.uuid, { host: 'compute-2', taskState: 'migrating', systemMetadata }, new Date());
    await agent.watch();
    assert.equal(await driver.powerState(left.uuid), 'running', 'it may still be needed');
    await begin(left.uuid, 'x').then(() => cellDb.instances.update(left.uuid, { taskState: null }, new Date()));
    await agent.watch();
    assert.equal(await driver.powerState(left.uuid), 'absent');
    for (const end of ends) assert.match(await end, /moved to another host/);
    // One that was placed elsewhere by a mistake of somebody's is not ours to end.
    const stranger = await make(agent);
    await cellDb.instances.update(stranger.uuid, { host: 'compute-2' }, new Date());
    await agent.watch();
    assert.equal(await driver.powerState(stranger.uuid), 'running');
  });

  it('goes on at its start with what was interrupted, and tells consoleauth of every guest', async () => {
    const before = await Promise.all([
      store({ vmState: 'active', taskState: 'powering-off' }),
      store({ vmState: 'stopped', taskState: 'powering-on' }),
      store({ vmState: 'active', taskState: 'rebooting_hard' }),
      store({ vmState: 'active', taskState: 'rebuilding' }),
      store({ vmState: 'active', taskState: 'migrating' }),
      store({ vmState: 'resized', taskState: null }),
      store({ vmState: 'shelved', taskState: null }),
      store({ vmState: 'shelved_offloaded', taskState: 'spawning' }),
      store({ vmState: 'error', taskState: 'rebuild_spawning' }),
      store({ vmState: 'stopped', taskState: 'rebuild_spawning' }),
    ]);
    await cellDb.instances.update(before[5].uuid, { systemMetadata: { old_vm_state: 'stopped' } }, new Date());
    const { agent, driver } = makeAgent();
    await agent.start();
    const seen = await Promise.all(before.map(async ({ uuid }) => [...(await stateOf(uuid)), await driver.powerState(uuid)].join(' ')));
    assert.deepEqual(seen, [
      'stopped  stopped', 'active  running', 'active  running', 'active  running', 'active migrating running', 'resized  stopped', 'shelved  stopped',
      'active  running', 'active  running', 'stopped rebuild_spawning stopped',
    ]);
    await agent.watch();
    for (const { uuid } of before) assert.ok(registrationsOf(uuid).length > 0, uuid);
  });

  it('tells consoleauth again what it could not be told', async () => {
    const { agent } = makeAgent();
    consoleAuthIsAway = true;
    const { uuid } = await make(agent, { metadata: { 'hw:serial_port_count': '3' } });
    await agent.watch();
    assert.deepEqual(registrationsOf(uuid), []);
    consoleAuthIsAway = false;
    await agent.watch();
    assert.deepEqual(registrationsOf(uuid), ['novnc 0, serial 0, serial 1, serial 2']);
    await agent.watch();
    assert.equal(registrationsOf(uuid).length, 1, 'told once');
  });
});

function endOf(stream: Duplex): Promise<string> {
  return new Promise((resolve) => stream.once('error', ({ message }) => resolve(message)));
}
