import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { StoredInstance } from '@gatehouse/cell-db/instances-store';
import { attachConsole } from '@gatehouse/console-stream/attach-console';
import type { AttachedConsole } from '@gatehouse/console-stream/attach-console';
import { compute } from '@gatehouse/contracts/compute';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import type { ConsoleConnection, ConsoleType } from '@gatehouse/objects/console-connection';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { serve } from '@gatehouse/rpc/server';
import { someHandlers } from '@gatehouse/rpc/some-handlers';
import type { App } from '@gatehouse/runtime/app';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { startComputeAgent } from './app.module.ts';
import { ComputeAgent } from './compute-agent.ts';
import { computeAgentConfig } from './config.ts';
import type { Driver } from './drivers/driver.ts';
import { SimulatedDriver } from './drivers/simulated/simulated-driver.ts';
import { GuestFacts } from './guest-facts.ts';
import { SerialLines } from './serial-lines.ts';

const HOST = 'compute-1';

describe('a compute agent with simulated guests', function () {
  this.timeout(60_000);
  const transport = createMemoryTransport();
  const agentOf = createClient(compute, transport);
  const grants = new Map<string, ConsoleConnection>();
  const reports: { host: string; endpoint: string | null }[] = [];
  const consoles: AttachedConsole[] = [];
  let postgresql: Postgresql;
  let cellDb: CellDb;
  let app: App;

  before(async () => {
    postgresql = await startPostgresql();
    cellDb = await openCellDb({ url: await postgresql.createDatabase() });
    await cellDb.migrate();
    await serveConsoleAuth();
    app = await startAgent();
  });

  after(async () => {
    await app?.drain();
    await transport.close();
    await cellDb?.close();
    await postgresql?.stop();
  });

  afterEach(() => consoles.splice(0).forEach((console) => console.destroy()));

  function startAgent(): Promise<App> {
    const config = computeAgentConfig.parse({ host: HOST });
    return startComputeAgent({ config, transport, cellDb, log: silentLogger, clock: systemClock });
  }

  /** As much of consoleauth as an agent sees: one-time secrets, and the first port for whoever asks. */
  async function serveConsoleAuth(): Promise<void> {
    await serve(consoleauth, transport, {
      server: 'consoleauth-1',
      handlers: someHandlers(consoleauth, {
        authorize: ({ connections }) => ({ ...connections[0]!, accessUrl: 'http://127.0.0.1:6080/vnc#token=t' }),
        attach({ attachSecret }) {
          const granted = grants.get(attachSecret);
          grants.delete(attachSecret);
          return granted ?? assertUnknown();
        },
        report: (report) => void reports.push(report),
        levels: () => ({ consoleauth: consoleauth.version }),
        sweep: () => 0,
        register: () => 0,
      }),
    });
  }

  async function store(metadata: Record<string, string> = {}, change: object = {}): Promise<StoredInstance> {
    return cellDb.instances.create({
      uuid: randomUUID(), projectId: 'blue', userId: 'alice', displayName: 'web', hostname: 'web', host: HOST,
      vmState: 'building', taskState: null, keyName: null, keyData: null, userData: null, metadata, createdAt: new Date(), ...change,
    });
  }

  async function make(metadata: Record<string, string> = {}): Promise<string> {
    const instance = await store(metadata);
    await agentOf.createInstance({ instance }, newContext(), { server: HOST });
    return instance.uuid;
  }

  function getConsole(instanceUuid: string, consoleType: ConsoleType): Promise<ConsoleConnection> {
    return agentOf.getConsole({ instanceUuid, consoleType, access: 'full' }, newContext({ userId: 'alice', projectId: 'blue' }), { server: HOST });
  }

  async function attach(connection: ConsoleConnection, offset: number | null = null): Promise<AttachedConsole> {
    const attachSecret = randomUUID();
    grants.set(attachSecret, connection);
    const console = await attachConsole({ endpoint: endpoint(), sessionId: randomUUID(), attachSecret, offset });
    console.on('error', () => {});
    consoles.push(console);
    return console;
  }

  const endpoint = (): string => reports.at(-1)?.endpoint ?? assert.fail('no report yet');
  const stateOf = async (uuid: string): Promise<string | null> => (await cellDb.instances.get(uuid)).vmState;

  it('tells consoleauth where its consoles are reached', async () => {
    await until(() => reports.length > 0);
    assert.equal(reports[0]?.host, HOST);
    assert.match(endpoint(), /^127\.0\.0\.1:\d+$/);
    await app.checkReady();
  });

  it('refuses an instance of another host, and one that it does not have', async () => {
    const instance = await store({}, { host: 'elsewhere' });
    await assert.rejects(agentOf.createInstance({ instance }, newContext(), { server: HOST }), refused('INVALID_ARGUMENT', /belongs to host elsewhere/));
    await assert.rejects(getConsole(randomUUID(), 'novnc'), refused('NOT_FOUND', /could not be found/));
    const building = await store();
    await assert.rejects(getConsole(building.uuid, 'novnc'), refused('FAILED_PRECONDITION', /not ready \(building\)/));
    await agentOf.deleteInstance({ instanceUuid: randomUUID(), reason: 'instance_deleted' }, newContext(), { server: HOST });
  });

  it('writes the state error where a guest cannot be made', async () => {
    const instance = await store({ 'hw:serial_port_count': 'many' });
    await assert.rejects(agentOf.createInstance({ instance }, newContext(), { server: HOST }), refused('INVALID_ARGUMENT', /serial_port_count/));
    assert.equal(await stateOf(instance.uuid), 'error');
  });

  it('makes no guest of an instance that was deleted meanwhile', async () => {
    const instance = await store();
    await cellDb.instances.softDelete(instance.uuid, new Date());
    await assert.rejects(agentOf.createInstance({ instance }, newContext(), { server: HOST }), refused('NOT_FOUND', /./));
    await assert.rejects(getConsole(instance.uuid, 'novnc'), refused('NOT_FOUND', /./));
  });

  it('makes a guest, writes its state and gives its console', async () => {
    const uuid = await make();
    assert.equal(await stateOf(uuid), 'active');
    assert.ok((await cellDb.instances.get(uuid)).launchedAt);
    const console = await getConsole(uuid, 'serial');
    assert.deepEqual([console.host, console.port, console.options['transport']], [HOST, 0, 'attach']);
    assert.match(console.accessUrl ?? '', /token=/);
    await assert.rejects(getConsole(uuid, 'rdp-html5'), refused('INVALID_ARGUMENT', /rdp-html5/));
  });

  it('refuses a secret that consoleauth does not know, and one used before', async () => {
    const serial = await getConsole(await make(), 'serial');
    const attachSecret = randomUUID();
    const open = () => attachConsole({ endpoint: endpoint(), sessionId: randomUUID(), attachSecret });
    await assert.rejects(open(), refused('UNAUTHENTICATED', /./));
    grants.set(attachSecret, serial);
    consoles.push(await open());
    await assert.rejects(open(), refused('UNAUTHENTICATED', /./));
  });

  it('refuses a port that is no console of the instance now, whatever was granted', async () => {
    const serial = await getConsole(await make(), 'serial');
    await assert.rejects(attach({ ...serial, port: 3 }), refused('NOT_FOUND', /no serial console 3/));
    await assert.rejects(attach({ ...serial, instanceUuid: randomUUID() }), refused('NOT_FOUND', /./));
  });

  it('carries a serial line: the prompt, a command, its answer', async () => {
    const terminal = await attach(await getConsole(await make(), 'serial'));
    const before = await readUntil(terminal, /[$#] $/);
    assert.ok(before.length > 0);
    terminal.write('echo hello world\r');
    assert.match(await readUntil(terminal, /\nhello world\r?\n/), /hello world/);
  });

  it('hands a serial port from one session to the next, who goes on where the first was', async () => {
    const serial = await getConsole(await make(), 'serial');
    const first = await attach(serial);
    const seen = await readUntil(first, /[$#] $/);
    first.resume();
    const second = await attach(serial, first.outputOffset + Buffer.byteLength(seen));
    await until(() => first.ending !== null);
    assert.equal(first.ending?.reason, 'superseded');
    second.write('echo again\r');
    const next = await readUntil(second, /\nagain/);
    assert.ok(!next.includes(seen), 'nothing is shown twice');
  });

  it('opens a graphical console for several at once', async () => {
    const vnc = await getConsole(await make(), 'novnc');
    for (const console of [await attach(vnc), await attach(vnc)]) {
      assert.match(await readUntil(console, /\n/), /^RFB 003\.008\n/);
    }
  });

  it('ends the consoles of an instance that is deleted, with that reason', async () => {
    const uuid = await make();
    const open = [await attach(await getConsole(uuid, 'novnc')), await attach(await getConsole(uuid, 'serial'))];
    open.forEach((console) => console.resume());
    await agentOf.deleteInstance({ instanceUuid: uuid, reason: 'instance_deleted' }, newContext(), { server: HOST });
    await until(() => open.every((console) => console.ending !== null));
    assert.deepEqual(open.map((console) => console.ending?.reason), ['instance_deleted', 'instance_deleted']);
  });

  it('has its guests again after a restart, and makes one whose making was interrupted', async () => {
    const uuid = await make();
    const stopped = await store({}, { vmState: 'stopped' });
    const held = await attach(await getConsole(uuid, 'serial'));
    held.resume();
    await app.drain();
    await until(() => held.ending !== null);
    assert.equal(held.ending?.reason, 'host_draining');
    const interrupted = await store();
    reports.length = 0;
    app = await startAgent();
    await until(() => reports.length > 0);
    assert.equal(await stateOf(interrupted.uuid), 'active');
    await assert.rejects(getConsole(stopped.uuid, 'novnc'), refused('FAILED_PRECONDITION', /stopped/));
    const again = await attach(await getConsole(uuid, 'serial'));
    assert.match(await readUntil(again, /[$#] $/), /./);
  });

  it('ends the guests whose instances were deleted while it was away, and no other stranger', async () => {
    const deleted = await store({}, { vmState: 'active' });
    await cellDb.instances.softDelete(deleted.uuid, new Date());
    const elsewhere = await store({}, { vmState: 'active', host: 'compute-2' });
    await cellDb.instances.softDelete(elsewhere.uuid, new Date());
    const ended: string[] = [];
    const driver: Driver = Object.assign(new SimulatedDriver({ host: HOST, clock: systemClock }), {
      list: async () => [deleted.uuid, elsewhere.uuid, randomUUID()],
      destroy: async (uuid: string) => void ended.push(uuid),
    });
    const lines = new SerialLines(driver, 131_072, systemClock, silentLogger);
    const consoleAuth = createClient(consoleauth, transport);
    const { instances } = cellDb;
    const guestFacts = new GuestFacts(cellDb, 'asked', silentLogger);
    await new ComputeAgent({ host: HOST, driver, lines, instances, guestFacts, consoleAuth, clock: systemClock, log: silentLogger }).start();
    assert.deepEqual(ended, [deleted.uuid]);
    await driver.close();
  });
});

function assertUnknown(): never {
  throw new ServiceError('UNAUTHENTICATED', 'this attach secret was used before');
}

function refused(code: ErrorCode, words: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof ServiceError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  };
}

async function readUntil(stream: Duplex, words: RegExp): Promise<string> {
  let text = '';
  const deadline = Date.now() + 10_000;
  while (!words.test(text)) {
    const chunk = stream.read() as Buffer | null;
    if (chunk) text += chunk.toString('latin1');
    else await Promise.race([once(stream, 'readable'), sleep(1000)]);
    assert.ok(Date.now() < deadline, `saw only ${JSON.stringify(text)}`);
  }
  return text;
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `not in time: ${condition.toString()}`);
    await sleep(10);
  }
}
