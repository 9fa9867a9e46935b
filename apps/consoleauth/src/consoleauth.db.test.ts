import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { consoleProxy } from '@gatehouse/contracts/console-proxy';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import type { ConsoleConnection, ConsoleType } from '@gatehouse/objects/console-connection';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { serve } from '@gatehouse/rpc/server';
import type { App } from '@gatehouse/runtime/app';
import { noAudit } from '@gatehouse/runtime/audit';
import { createLogger, silentLogger } from '@gatehouse/runtime/logger';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { startConsoleAuth } from './app.module.ts';
import { consoleAuthConfig } from './config.ts';
import { Outages } from './outages.ts';
import { SessionLeases } from './session-leases.ts';
import { Sweeps } from './sweeps.ts';

const PROXY = 'proxy-1';
const HOST = 'compute-1';

function refused(code: ErrorCode, words: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof ServiceError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  };
}

describe('consoleauth on PostgreSQL', function () {
  this.timeout(60_000);
  let postgresql: Postgresql;
  let cellDb: CellDb;
  let app: App;
  const clock = new TestClock(new Date('2026-07-01T12:00:00Z'));
  const transport = createMemoryTransport();
  const client = createClient(consoleauth, transport);
  const told: Record<string, string>[] = [];
  const alice = () => newContext({ userId: 'alice', projectId: 'blue' });
  const bob = () => newContext({ userId: 'bob', projectId: 'blue' });

  before(async () => {
    postgresql = await startPostgresql();
    cellDb = await openCellDb({ url: await postgresql.createDatabase() });
    await cellDb.migrate();
    const log = createLogger({ service: 'test', level: 'silent' });
    const config = consoleAuthConfig.parse({});
    app = await startConsoleAuth({ config, server: 'consoleauth-1', transport, cellDb, audit: noAudit, log, clock });
    const endSessions = ({ sessions }: { readonly sessions: Readonly<Record<string, string>> }) => void told.push({ ...sessions });
    await serve(consoleProxy, transport, { server: PROXY, handlers: { endSessions } });
  });

  after(async () => {
    await app?.drain();
    await transport.close();
    await cellDb?.close();
    await postgresql?.stop();
  });

  beforeEach(() => report());

  async function report(endpoint: string | null = '127.0.0.1:5901'): Promise<void> {
    await client.report({ binary: 'compute-agent', host: HOST, topic: 'compute', version: '1.0', endpoint }, newContext());
  }

  async function makeInstance(): Promise<string> {
    const uuid = randomUUID();
    await cellDb.instances.create({
      uuid, projectId: 'blue', userId: 'alice', displayName: 'web-1', hostname: 'web-1', host: HOST, vmState: 'active', taskState: null,
      keyName: null, keyData: null, userData: null, metadata: {}, createdAt: clock.now(),
    });
    return uuid;
  }

  function ports(instanceUuid: string, consoleType: ConsoleType, count = 1): ConsoleConnection[] {
    return Array.from({ length: count }, (_, port) => ({
      instanceUuid, host: HOST, port, consoleType, tokenHash: null, accessUrl: null, options: { transport: 'attach' }, expires: null,
    }));
  }

  async function mint(instanceUuid: string, consoleType: ConsoleType = 'novnc', context = alice(), count = 1): Promise<string> {
    const connection = await client.authorize({ connections: ports(instanceUuid, consoleType, count), access: 'full' }, context);
    const token = /#token=([\w-]{43})$/.exec(connection.accessUrl ?? '')?.[1];
    return token ?? assert.fail('no token in the access URL');
  }

  const connect = (token: string) => client.connect({ sessionId: randomUUID(), token, proxy: PROXY, clientAddress: '192.0.2.7' }, newContext());

  function sweeps(): Sweeps {
    const leases = new SessionLeases(cellDb, new Outages(15, clock, silentLogger), noAudit, clock, 15);
    return new Sweeps(cellDb, leases, clock);
  }

  it('refuses a token it never issued, with words a person understands', async () => {
    await assert.rejects(connect('no-such-token'), refused('UNAUTHENTICATED', /unknown or has expired; ask for a new one/));
  });

  it('refuses a token at the very second it expires', async () => {
    const token = await mint(await makeInstance());
    await clock.advance(600_000);
    await report();
    await assert.rejects(connect(token), refused('UNAUTHENTICATED', /expired/));
  });

  it('refuses when the instance is gone', async () => {
    const uuid = await makeInstance();
    const token = await mint(uuid);
    await cellDb.instances.softDelete(uuid, clock.now());
    await assert.rejects(connect(token), (error: unknown) => error instanceof ServiceError && ['NOT_FOUND', 'UNAUTHENTICATED'].includes(error.code));
  });

  it('refuses when the host has not reported lately', async () => {
    const token = await mint(await makeInstance());
    await clock.advance(30_000);
    await assert.rejects(connect(token), refused('UNAVAILABLE', /host compute-1 does not answer/));
  });

  it('refuses a page that cannot show the console', async () => {
    const token = await mint(await makeInstance(), 'serial');
    const request = client.connect({ sessionId: randomUUID(), token, proxy: PROXY, clientAddress: 'x', consoleTypes: ['novnc'] }, newContext());
    await assert.rejects(request, refused('INVALID_ARGUMENT', /link opens a serial console, which this page cannot show/));
  });

  it('refuses to authorize no console, or consoles of two instances', async () => {
    await assert.rejects(client.authorize({ connections: [], access: 'full' }, alice()), refused('FAILED_PRECONDITION', /no console/));
    await assert.rejects(client.authorize({ connections: ports(randomUUID(), 'novnc'), access: 'full' }, alice()), refused('NOT_FOUND', /could not be found/));
    const mixed = [...ports(await makeInstance(), 'novnc'), ...ports(await makeInstance(), 'novnc')];
    await assert.rejects(client.authorize({ connections: mixed, access: 'full' }, alice()), refused('INVALID_ARGUMENT', /one instance/));
  });

  it('admits a client: session, endpoint, and a secret that opens the host once', async () => {
    const uuid = await makeInstance();
    const grant = await connect(await mint(uuid));
    assert.equal(grant.instanceName, 'web-1');
    assert.equal(grant.endpoint, '127.0.0.1:5901');
    assert.equal(grant.session.userId, 'alice');
    assert.equal(grant.session.clientAddress, '192.0.2.7');

    const attachSecret = grant.attachSecret ?? assert.fail('no attach secret');
    const show = (secret: string, host = HOST) => client.attach({ sessionId: grant.session.id, attachSecret: secret, host }, newContext());
    await assert.rejects(show('wrong'), refused('UNAUTHENTICATED', /connect again/));
    await assert.rejects(show(attachSecret, 'compute-2'), refused('UNAUTHENTICATED', /connect again/));
    assert.deepEqual((await show(attachSecret)).instanceUuid, uuid);
    await assert.rejects(show(attachSecret), refused('UNAUTHENTICATED', /used before/));
  });

  it('shares a VNC console, and lets a token be used until it expires', async () => {
    const token = await mint(await makeInstance());
    await connect(token);
    await connect(token);
  });

  it('keeps a serial port to one client, says since when, and frees it on release', async () => {
    const token = await mint(await makeInstance(), 'serial');
    const first = await connect(token);
    await assert.rejects(connect(token), refused('PORT_IN_USE', /in use since \d\d:\d\d:\d\d UTC; one client at a time/));
    await client.release({ proxy: PROXY, session: { id: first.session.id, bytesIn: 3, bytesOut: 90 }, reason: 'client_closed' }, newContext());
    await connect(token);
  });

  it('leaves a session alone when another proxy releases it', async () => {
    const token = await mint(await makeInstance(), 'serial');
    const { session } = await connect(token);
    await client.release({ proxy: 'proxy-2', session: { id: session.id, bytesIn: 0, bytesOut: 0 }, reason: 'client_closed' }, newContext());
    await assert.rejects(connect(token), refused('PORT_IN_USE', /in use/));
  });

  it('gives each of several users the next free port, and tells the last that none is left', async () => {
    const uuid = await makeInstance();
    const granted = await Promise.all(['a', 'b', 'c'].map((userId) =>
      client.authorize({ connections: ports(uuid, 'serial', 3), access: 'full' }, newContext({ userId }))));
    assert.deepEqual(granted.map((connection) => connection.port).sort(), [0, 1, 2]);
    await assert.rejects(mint(uuid, 'serial', bob(), 3), refused('NO_PORT_FREE', /no port of this console is free: 0 of 3 in use, 3 reserved/));
  });

  it("keeps a promised port from another user's older link until the promise ends", async () => {
    const uuid = await makeInstance();
    const bobs = await mint(uuid, 'serial', bob());
    await clock.advance(30_000);
    await report();
    const alices = await mint(uuid, 'serial', alice());
    await assert.rejects(connect(bobs), refused('PORT_IN_USE', /promised to another user/));
    await connect(alices);
  });

  it('frees the port of a proxy that renews no more, one lease later', async () => {
    const token = await mint(await makeInstance(), 'serial');
    const { session, leaseSeconds } = await connect(token);
    const renew = () => client.renew({ proxy: PROXY, sessions: [{ id: session.id, bytesIn: 1, bytesOut: 2 }] }, newContext());
    await clock.advance(leaseSeconds * 1_000 - 1);
    assert.deepEqual(await renew(), {});
    await clock.advance(leaseSeconds * 1_000 - 1);
    await report();
    await assert.rejects(connect(token), refused('PORT_IN_USE', /in use/));
    await clock.advance(1);
    await connect(token);
    assert.deepEqual(await renew(), { [session.id]: 'lease_lost' });
  });

  it('revokes an instance: no token works, the proxy is told, its renewal says so too', async () => {
    const uuid = await makeInstance();
    const token = await mint(uuid);
    const { session } = await connect(token);
    assert.equal(await client.revokeInstance({ instanceUuid: uuid, reason: 'instance_deleted' }, newContext()), 1);
    assert.deepEqual(told.at(-1), { [session.id]: 'instance_deleted' });
    await assert.rejects(connect(token), refused('UNAUTHENTICATED', /unknown/));
    const reasons = await client.renew({ proxy: PROXY, sessions: [{ id: session.id, bytesIn: 0, bytesOut: 0 }] }, newContext());
    assert.deepEqual(reasons, { [session.id]: 'instance_deleted' });
  });

  it('tells a proxy which of its sessions it does not know', async () => {
    const id = randomUUID();
    assert.deepEqual(await client.renew({ proxy: PROXY, sessions: [{ id, bytesIn: 0, bytesOut: 0 }] }, newContext()), { [id]: 'lease_lost' });
  });

  it('ends the sessions of an instance that was deleted while nobody could be told', async () => {
    const uuid = await makeInstance();
    const { session } = await connect(await mint(uuid));
    await cellDb.instances.softDelete(uuid, clock.now());
    const renew = () => client.renew({ proxy: PROXY, sessions: [{ id: session.id, bytesIn: 0, bytesOut: 0 }] }, newContext());
    assert.deepEqual(await renew(), {});
    await sweeps().tidy();
    assert.deepEqual(await renew(), { [session.id]: 'instance_deleted' });
  });

  it('forgets sessions that ended a month ago', async () => {
    const { session } = await connect(await mint(await makeInstance()));
    await client.release({ proxy: PROXY, session: { id: session.id, bytesIn: 0, bytesOut: 0 }, reason: 'client_closed' }, newContext());
    await clock.advance(29 * 86_400_000);
    await sweeps().tidy();
    assert.notEqual(await cellDb.consoleSessions.find(session.id), null);
    await clock.advance(2 * 86_400_000);
    await sweeps().tidy();
    assert.equal(await cellDb.consoleSessions.find(session.id), null);
  });

  it('sweeps what has expired on a host, and nothing else', async () => {
    const uuid = await makeInstance();
    await mint(uuid);
    await clock.advance(700_000);
    await report();
    const live = await mint(uuid);
    assert.ok((await client.sweep({ host: HOST }, newContext())) >= 1);
    assert.equal(await client.sweep({ host: 'compute-2' }, newContext()), 0);
    await connect(live);
  });

  it('is ready when its own queue and its database answer', () => app.checkReady());
});
