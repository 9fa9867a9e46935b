import assert from 'node:assert/strict';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { compute } from '@gatehouse/contracts/compute';
import { conductor } from '@gatehouse/contracts/conductor';
import { consoleauth, SERVICE_SILENCE_MS_MAX } from '@gatehouse/contracts/consoleauth';
import { ConsoleSessionUse } from '@gatehouse/objects/console-session-use';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import type { Transport } from '@gatehouse/rpc/transport';
import type { App } from '@gatehouse/runtime/app';
import { noAudit } from '@gatehouse/runtime/audit';
import { createLogger } from '@gatehouse/runtime/logger';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { startConsoleAuth } from './app.module.ts';
import { consoleAuthConfig } from './config.ts';

describe('the levels of a fleet on PostgreSQL', function () {
  this.timeout(60_000);
  let postgresql: Postgresql;
  let cellDb: CellDb;
  let apps: App[];
  let transport: Transport;
  const clock = new TestClock(new Date('2026-07-01T12:00:00Z'));
  const log = createLogger({ service: 'test', level: 'silent' });

  before(async () => {
    postgresql = await startPostgresql();
    cellDb = await openCellDb({ url: await postgresql.createDatabase() });
    await cellDb.migrate();
  });

  after(async () => {
    await cellDb?.close();
    await postgresql?.stop();
  });

  beforeEach(async () => {
    apps = [];
    transport = createMemoryTransport();
    // Nobody of an earlier test lives on.
    await clock.advance(2 * SERVICE_SILENCE_MS_MAX);
  });

  afterEach(async () => {
    for (const app of apps) await app.drain();
    await transport.close();
  });

  async function start(server: string, settings: Record<string, string> = {}): Promise<void> {
    apps.push(await startConsoleAuth({ config: consoleAuthConfig.parse(settings), server, transport, cellDb, audit: noAudit, log, clock }));
  }

  const client = () => createClient(consoleauth, transport);
  const report = (host: string, topic: string, version: string) => client().report({ binary: topic, host, topic, version, endpoint: null }, newContext());
  const levels = async () => {
    // What was asked within a second is not asked again.
    await clock.advance(1_000);
    return client().levels({}, newContext());
  };

  it('pass over what is no version or no topic', async () => {
    await start('a');
    await report('h1', 'compute', 'newest');
    await report('h2', 'compute', '');
    await report('h3', '__proto__', '1.0');
    await report('h4', 'a.b', '1.0');
    assert.deepEqual(await levels(), { consoleauth: consoleauth.version });
  });

  it('are the oldest of each topic, number by number, of the services that lately said that they live', async () => {
    await start('a');
    await report('h1', compute.topic, '1.10');
    assert.equal((await levels())[compute.topic], '1.10');
    await report('h2', compute.topic, '1.9');
    assert.equal((await levels())[compute.topic], '1.9');
    await clock.advance(SERVICE_SILENCE_MS_MAX - 5_000);
    await report('h1', compute.topic, '1.10');
    assert.equal((await levels())[compute.topic], '1.9');
    await clock.advance(5_000);
    assert.equal((await levels())[compute.topic], '1.10', 'the older one has been silent for too long');
    await report('h1', compute.topic, '1.11');
    assert.equal((await levels())[compute.topic], '1.11', 'started anew with a newer version');
  });

  it('count a consoleauth that is older than the one that is asked', async () => {
    await start('a');
    await report('b', consoleauth.topic, '3.0');
    assert.equal((await levels())[consoleauth.topic], '3.0');
    const own = async () => (await cellDb.services.list(consoleauth.topic)).filter(({ host }) => host === 'a').map(({ version }) => version);
    // It reports while it answers already.
    for (const until = Date.now() + 10_000; (await own()).length === 0; ) assert.ok(Date.now() < until, 'it does not say that it lives');
    assert.deepEqual(await own(), [consoleauth.version]);
    await clock.advance(SERVICE_SILENCE_MS_MAX + 1_000);
    assert.equal((await levels())[consoleauth.topic], consoleauth.version);
  });

  it('are not asked of Nova\'s conductor topic, which is served only where told', async () => {
    const use = ConsoleSessionUse.make({ id: '2f1bd9f0-6a9c-4c5b-9df4-0d2a61c8e5a4', bytesIn: 1, bytesOut: 2 });
    const message = {
      method: 'object_backport_versions',
      args: { objinst: ConsoleSessionUse.toPrimitive(use), object_versions: { ConsoleSessionUse: '1.0' } },
      namespace: null,
      version: '3.0',
      context: {},
    };
    const ask = (method = message.method) => transport.request({ kind: 'call', topic: conductor.topic, message: { ...message, method }, deadline: Date.now() + 5_000 });
    await start('a');
    await assert.rejects(ask(), /nobody/);
    await start('b', { rpcConductor: 'true' });
    assert.deepEqual((await ask())?.result, ConsoleSessionUse.toPrimitive(use, { version: '1.0' }));
    assert.match((await ask('object_action'))?.failure ?? '', /"class":"NoSuchMethod"/);
  });
});
