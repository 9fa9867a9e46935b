import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { StoredInstance } from '@gatehouse/cell-db/instances-store';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import { KeyPair } from '@gatehouse/objects/key-pair';
import { createClient } from '@gatehouse/rpc/client';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { serve } from '@gatehouse/rpc/server';
import { someHandlers } from '@gatehouse/rpc/some-handlers';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { ComputeAgent } from './compute-agent.ts';
import type { ComputeAgentParts } from './compute-agent.ts';
import { SimulatedDriver } from './drivers/simulated/simulated-driver.ts';
import { GuestFacts } from './guest-facts.ts';
import { SerialLines } from './serial-lines.ts';

const HOST = 'compute-1';
const NEVER = new AbortController().signal;

describe('a compute agent that looks after its guests', function () {
  this.timeout(60_000);
  const transport = createMemoryTransport();
  const drivers: SimulatedDriver[] = [];
  let postgresql: Postgresql;
  let cellDb: CellDb;
  let granted: ConsoleConnection;

  before(async () => {
    postgresql = await startPostgresql();
    cellDb = await openCellDb({ url: await postgresql.createDatabase() });
    await cellDb.migrate();
    await serve(consoleauth, transport, {
      server: 'consoleauth-1',
      handlers: someHandlers(consoleauth, { attach: () => granted, register: () => 0 }),
    });
  });

  after(async () => {
    await transport.close();
    await cellDb?.close();
    await postgresql?.stop();
  });

  afterEach(async () => {
    for (const driver of drivers.splice(0)) await driver.close();
  });

  function makeAgent(change: Partial<ComputeAgentParts> = {}): { agent: ComputeAgent; driver: SimulatedDriver } {
    const driver = new SimulatedDriver({ host: HOST, clock: systemClock });
    drivers.push(driver);
    const lines = new SerialLines(driver, 131_072, systemClock, silentLogger);
    const { instances } = cellDb;
    const guestFacts = new GuestFacts(cellDb, 'asked', silentLogger);
    const consoleAuth = createClient(consoleauth, transport);
    const parts = { host: HOST, driver, lines, instances, guestFacts, consoleAuth, clock: systemClock, log: silentLogger };
    return { agent: new ComputeAgent({ ...parts, ...change }), driver };
  }

  /** What the guest's shell prints from the command to its next prompt. */
  async function answerTo(agent: ComputeAgent, driver: SimulatedDriver, uuid: string, command: string): Promise<string> {
    granted = (await driver.consoles(uuid, 'serial'))[0]!;
    const { stream } = await agent.attach({ sessionId: randomUUID(), attachSecret: 's', offset: null, signal: NEVER });
    stream.write(`\r${command}\r`);
    let text = '';
    for await (const chunk of stream) {
      text += String(chunk);
      if (new RegExp(`${command}\r\n[^]*[$#] $`).test(text)) break;
    }
    return text;
  }

  /** The instances of a database that goes away before the first write. */
  function awayOnce(): ComputeAgentParts['instances'] {
    const { instances } = cellDb;
    let away = true;
    return {
      find: (uuid) => instances.find(uuid),
      list: (page) => instances.list(page),
      listDeleted: (uuids, host) => instances.listDeleted(uuids, host),
      listLeft: (uuids, host) => instances.listLeft(uuids, host),
      async update(uuid, changes, at, owner) {
        if (away) {
          away = false;
          throw new ServiceError('UNAVAILABLE', 'the database is away');
        }
        return instances.update(uuid, changes, at, owner);
      },
    };
  }

  async function store(change: object = {}): Promise<StoredInstance> {
    return cellDb.instances.create({
      uuid: randomUUID(), projectId: 'blue', userId: 'alice', displayName: 'web', hostname: 'web', host: HOST,
      vmState: 'building', taskState: null, keyName: null, keyData: null, userData: null, metadata: {}, createdAt: new Date(), ...change,
    });
  }

  it('starts the guests that should run when the host comes back without them, and no others', async () => {
    const [active, stopped] = [await store({ vmState: 'active' }), await store({ vmState: 'stopped' })];
    const { agent, driver } = makeAgent();
    // A host that was down: its guests are known to nobody.
    Object.assign(driver, { restore: async () => {} });
    await agent.start();
    assert.equal(await driver.powerState(active.uuid), 'running');
    assert.equal(await driver.powerState(stopped.uuid), 'absent');
  });

  it('ends the guest and the consoles of an instance that was deleted without its hearing of it, and no stranger', async () => {
    const { agent, driver } = makeAgent();
    const [deleted, kept, stranger] = [await store(), await store(), await store()];
    for (const instance of [deleted, kept]) await agent.createInstance(instance);
    await driver.spawn({ ...stranger, uuid: randomUUID() });
    const guests = await driver.list();
    granted = (await driver.consoles(deleted.uuid, 'novnc'))[0]!;
    const { stream } = await agent.attach({ sessionId: randomUUID(), attachSecret: 's', offset: null, signal: NEVER });
    const ended = new Promise<Error>((resolve) => stream.once('error', resolve));
    await cellDb.transaction(({ instances }) => instances.softDelete(deleted.uuid, new Date()));
    await agent.watch();
    assert.deepEqual(await driver.list(), guests.filter((uuid) => uuid !== deleted.uuid));
    assert.match((await ended).message, /deleted/);
  });

  it('gives its guests their keys also when it starts: those that ran, those half made; one with unreadable keys runs without', async () => {
    const { instanceExtra } = cellDb;
    const [ran, half, unreadable] = [await store({ vmState: 'active' }), await store(), await store({ vmState: 'active' })];
    const keypairs = { objects: [KeyPair.make({ name: 'laptop', type: 'ssh', publicKey: 'ssh-ed25519 AAAA', fingerprint: 'SHA256:abc' })] };
    for (const { uuid } of [ran, half]) await instanceExtra.saveKeyPairs(uuid, keypairs, new Date());
    const instanceFacts = {
      async find(uuid: string) {
        if (uuid === unreadable.uuid) throw new ServiceError('INTERNAL', 'the stored key pairs cannot be read');
        return cellDb.instanceFacts.find(uuid);
      },
    };
    const { agent, driver } = makeAgent({ guestFacts: new GuestFacts({ instanceFacts, instances: cellDb.instances }, 'asked', silentLogger) });
    await agent.start();
    assert.match(await answerTo(agent, driver, ran.uuid, 'keys'), /laptop {2}ssh {2}SHA256:abc/);
    assert.match(await answerTo(agent, driver, half.uuid, 'keys'), /laptop {2}ssh {2}SHA256:abc/);
    assert.match(await answerTo(agent, driver, unreadable.uuid, 'keys'), /no key pairs/);
  });

  it('writes how a making ended as soon as the database takes it', async () => {
    const { agent, driver } = makeAgent({ instances: awayOnce() });
    const made = await store();
    await assert.rejects(agent.createInstance(made), { code: 'UNAVAILABLE' });
    assert.equal(await driver.powerState(made.uuid), 'running');
    // As the api does with a making that failed.
    await cellDb.instances.update(made.uuid, { vmState: 'error' }, new Date());
    await agent.watch();
    const { vmState, launchedAt } = await cellDb.instances.get(made.uuid);
    assert.deepEqual([vmState, launchedAt instanceof Date], ['active', true]);
    await assert.rejects(driver.open(made.uuid, 'serial', 0), { code: 'PORT_IN_USE' }, 'its line is not held');

    const { agent: other } = makeAgent({ instances: awayOnce() });
    const failed = await store({ metadata: { 'hw:serial_port_count': 'many' } });
    await assert.rejects(other.createInstance(failed), { code: 'INVALID_ARGUMENT' });
    await other.watch();
    assert.equal((await cellDb.instances.get(failed.uuid)).vmState, 'error');
  });

  it('forgets how a making ended when the instance is deleted', async () => {
    const { agent, driver } = makeAgent({ instances: awayOnce() });
    const instance = await store();
    const { uuid } = instance;
    await assert.rejects(agent.createInstance(instance), { code: 'UNAVAILABLE' });
    await agent.deleteInstance(uuid, 'instance_deleted');
    await agent.watch();
    assert.deepEqual([(await cellDb.instances.get(uuid)).vmState, await driver.powerState(uuid)], ['building', 'absent']);
  });
});
