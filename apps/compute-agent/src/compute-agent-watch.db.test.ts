import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { StoredInstance } from '@gatehouse/cell-db/instances-store';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import { createClient } from '@gatehouse/rpc/client';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { serve } from '@gatehouse/rpc/server';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { ComputeAgent } from './compute-agent.ts';
import type { ComputeAgentParts } from './compute-agent.ts';
import { SimulatedDriver } from './drivers/simulated/simulated-driver.ts';
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
    const unexpected = (): never => assert.fail('not in this test');
    await serve(consoleauth, transport, {
      server: 'consoleauth-1',
      handlers: {
        attach: () => granted,
        authorize: unexpected, report: unexpected, sweep: unexpected, connect: unexpected, renew: unexpected, release: unexpected, revokeInstance: unexpected,
      },
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
    const parts = { host: HOST, driver, lines, instances: cellDb.instances, consoleAuth: createClient(consoleauth, transport), clock: systemClock, log: silentLogger };
    return { agent: new ComputeAgent({ ...parts, ...change }), driver };
  }

  async function store(change: object = {}): Promise<StoredInstance> {
    return cellDb.instances.create({
      uuid: randomUUID(), projectId: 'blue', userId: 'alice', displayName: 'web', hostname: 'web', host: HOST,
      vmState: 'building', taskState: null, keyName: null, keyData: null, userData: null, metadata: {}, createdAt: new Date(), ...change,
    });
  }

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
});
