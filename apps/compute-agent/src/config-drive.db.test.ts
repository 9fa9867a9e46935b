import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { NewInstance, StoredInstance } from '@gatehouse/cell-db/instances-store';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Instance } from '@gatehouse/objects/instance';
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
import type { DriveFiles, Driver } from './drivers/driver.ts';
import { SimulatedDriver } from './drivers/simulated/simulated-driver.ts';
import { GuestFacts } from './guest-facts.ts';
import { SerialLines } from './serial-lines.ts';

const HOST = 'compute-1';

describe('the config drive of a guest', function () {
  this.timeout(60_000);
  const transport = createMemoryTransport();
  /** The first key on each drive that a driver was given; null: it was given none. */
  const given: (string | null)[] = [];
  let postgresql: Postgresql;
  let cellDb: CellDb;
  let driver: Driver;
  let agent: ComputeAgent;

  before(async () => {
    postgresql = await startPostgresql();
    cellDb = await openCellDb({ url: await postgresql.createDatabase() });
    await cellDb.migrate();
    await serve(consoleauth, transport, { server: 'consoleauth-1', handlers: someHandlers(consoleauth, { register: () => 0, sweep: () => 0 }), log: silentLogger });
  });
  after(async () => {
    await transport.close();
    await cellDb?.close();
    await postgresql?.stop();
  });
  beforeEach(() => {
    given.splice(0);
    const simulated = new SimulatedDriver({ host: HOST, clock: systemClock });
    const spawn = simulated.spawn.bind(simulated);
    driver = Object.assign(simulated, {
      spawn(instance: Instance, drive: DriveFiles | null = null) {
        given.push(drive && firstKeyOf(drive));
        return spawn(instance);
      },
    });
    const lines = new SerialLines(driver, 131_072, systemClock, silentLogger);
    const guestFacts = new GuestFacts(cellDb, 'asked', silentLogger);
    agent = new ComputeAgent({ host: HOST, driver, lines, instances: cellDb.instances, guestFacts, consoleAuth: createClient(consoleauth, transport), clock: systemClock, log: silentLogger });
  });
  afterEach(() => driver.close());

  async function store(change: Partial<NewInstance> = {}): Promise<StoredInstance> {
    const stored = await cellDb.instances.create({
      uuid: randomUUID(), projectId: 'blue', userId: 'alice', displayName: 'web', hostname: 'web', host: HOST, vmState: 'building', taskState: null,
      keyName: 'k', keyData: 'ssh-ed25519 AAAA row', userData: null, metadata: {}, configDrive: true, createdAt: new Date(), ...change,
    });
    await changeKey(stored.uuid, 'made');
    return stored;
  }
  const changeKey = (uuid: string, publicKey: string): Promise<void> => cellDb.transaction(({ instanceExtra }) =>
    instanceExtra.saveKeyPairs(uuid, { objects: [KeyPair.make({ name: 'k', type: 'ssh', publicKey })] }, new Date()));

  it('that cannot be made leaves the instance in error, and its user is told so', async () => {
    const instance = await store();
    const wanting = async (): Promise<void> => {
      throw new ServiceError('FAILED_PRECONDITION', "install Debian's package genisoimage");
    };
    Object.assign(driver, { spawn: wanting });
    await assert.rejects(agent.createInstance(instance), /genisoimage/);
    assert.equal((await cellDb.instances.get(instance.uuid)).vmState, 'error');
  });

  it('is made anew, with the keys of that moment, whenever the guest is: created, rebooted, rebuilt, started, on its way here, taken up again', async () => {
    const instance = await store();
    const { uuid } = instance;
    await agent.createInstance(instance);
    const steps: readonly (readonly [key: string, work: () => Promise<void>])[] = [
      ['rebooted', () => agent.rebootInstance(instance)],
      ['rebuilt', () => agent.rebuildInstance(instance)],
      ['started', async () => {
        await agent.stopInstance(uuid, 'instance_stopped');
        await agent.startInstance(instance);
      }],
      ['received', async () => {
        await driver.destroy(uuid);
        await agent.receiveInstance(instance, false);
      }],
      ['taken up', async () => {
        await driver.destroy(uuid);
        await cellDb.instances.update(uuid, { vmState: 'active', taskState: 'powering-on' }, new Date());
        Object.assign(driver, { restore: async () => {} });
        await agent.start();
      }],
    ];
    for (const [key, work] of steps) {
      await changeKey(uuid, key);
      await work();
    }
    assert.deepEqual(given, ['made', 'rebooted', 'rebuilt', 'started', 'received', 'taken up']);
  });

  it('is none where none was asked for', async () => {
    await agent.createInstance(await store({ configDrive: false }));
    assert.deepEqual(given, [null]);
  });
});

function firstKeyOf(drive: DriveFiles): string | null {
  const { keys = [] } = JSON.parse(String(drive.get('openstack/latest/meta_data.json'))) as { keys?: readonly { readonly data: string }[] };
  return keys[0]?.data ?? null;
}
