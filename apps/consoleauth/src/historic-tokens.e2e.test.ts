import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { compute } from '@gatehouse/contracts/compute';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { consoleauth1, consoleauth2 } from '@gatehouse/contracts/historic-consoleauth';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { serve } from '@gatehouse/rpc/server';
import { someHandlers } from '@gatehouse/rpc/some-handlers';
import type { App } from '@gatehouse/runtime/app';
import { noAudit } from '@gatehouse/runtime/audit';
import type { TestClock } from '@gatehouse/runtime/test-clock';
import { startConsoleAuth } from './app.module.ts';
import { consoleAuthConfig } from './config.ts';
import { hashSecret } from './console-token.ts';
import { onEachTokenBackend, SILENT } from './test-token-backends.ts';
import { TOKENS_BACKENDS } from './token-backend.ts';

const ADDRESS = '192.0.2.10';

function refused(code: ErrorCode, words: RegExp) {
  return (error: unknown) => error instanceof ServiceError && error.code === code && words.test(error.message);
}

onEachTokenBackend("tokens of Nova's services", TOKENS_BACKENDS, (backend) => {
  let cellDb: CellDb;
  let clock: TestClock;
  let app: App;
  let port = 5_900;
  /** What the host of known instances says of their consoles. */
  let isConfirmed = true;
  const transport = createMemoryTransport();
  const ours = createClient(consoleauth, transport);
  const nova = createClient(consoleauth2, transport);
  const havana = createClient(consoleauth1, transport);
  const alice = newContext({ userId: 'alice', projectId: 'blue' });

  before(async () => {
    ({ cellDb, clock } = backend());
    const config = { ...consoleAuthConfig.parse({}), ...backend().config };
    app = await startConsoleAuth({ config, server: 'consoleauth-1', transport, cellDb, audit: noAudit, log: SILENT, clock });
    await serve(compute, transport, { server: 'compute-1', handlers: someHandlers(compute, { confirmConsole: () => isConfirmed }) });
  });

  after(async () => {
    await app?.drain();
    await transport.close();
  });

  // No two tests share an address.
  beforeEach(() => void (port += 1));

  async function authorize(instanceUuid: string, consoleType: ConsoleType = 'novnc'): Promise<string> {
    const token = randomUUID();
    const accessUrl = `http://nova.example:6080/vnc_auto.html?token=${token}`;
    await nova.authorizeConsole({ token, consoleType, host: ADDRESS, port, internalAccessPath: null, instanceUuid, accessUrl }, alice);
    return token;
  }

  async function makeInstance(): Promise<string> {
    const uuid = randomUUID();
    const names = { displayName: 'web-1', hostname: 'web-1', host: 'compute-1' };
    await cellDb.instances.create({
      ...{ uuid, ...names, projectId: 'blue', userId: 'alice', vmState: 'active', taskState: null },
      ...{ keyName: null, keyData: null, userData: null, metadata: {}, createdAt: clock.now() },
    });
    return uuid;
  }

  /** Says that an instance has a console at the test's address; answers our own token for it. */
  async function claim(instanceUuid: string, consoleType: ConsoleType = 'novnc'): Promise<string> {
    const connection = {
      ...{ instanceUuid, host: 'compute-1', port, consoleType, tokenHash: null, accessUrl: null, expires: null },
      options: { transport: 'tcp', address: ADDRESS },
    };
    const { accessUrl } = await ours.authorize({ connections: [connection], access: 'full' }, alice);
    return /#token=([\w-]{43})$/.exec(accessUrl ?? '')?.[1] ?? assert.fail('no token');
  }

  const check = (token: string) => nova.checkToken({ token }, newContext());
  const connect = (token: string) => ours.connect({ sessionId: randomUUID(), token, proxy: 'proxy-1', clientAddress: '192.0.2.7' }, newContext());
  const unknown = refused('UNAUTHENTICATED', /unknown or has expired/);

  async function assertVoid(token: string): Promise<void> {
    assert.equal(await check(token), null);
    await assert.rejects(connect(token), unknown);
  }

  it('refuses a port, a console type, an instance and a token that cannot be, by their names', async () => {
    const good = { token: 't', consoleType: 'novnc', host: ADDRESS, port: 5900, internalAccessPath: null, instanceUuid: randomUUID() } as const;
    const send = (wrong: object) => nova.authorizeConsole({ ...good, ...wrong } as never, alice);
    await assert.rejects(send({ port: 70_000 }), refused('INVALID_ARGUMENT', /port: 70000 is above 65535/));
    await assert.rejects(send({ port: '59OO' }), refused('INVALID_ARGUMENT', /port: expected an integer/));
    await assert.rejects(send({ consoleType: 'telepathy' }), refused('INVALID_ARGUMENT', /console_type/));
    await assert.rejects(send({ instanceUuid: 'instance-1' }), refused('INVALID_ARGUMENT', /instance_uuid/));
    await assert.rejects(send({ token: '' }), refused('INVALID_ARGUMENT', /token/));
  });

  it('knows nothing of a token that was never authorized', () => assertVoid(randomUUID()));

  it('ends a token at the second at which it expires', async () => {
    const token = await authorize(randomUUID());
    await clock.advance(599_749);
    assert.notEqual(await check(token), null);
    await clock.advance(1);
    await assertVoid(token);
  });

  it("opens no console of a known instance but the instance's own: neither another port nor another type", async () => {
    const uuid = await makeInstance();
    await assertVoid(await authorize(uuid));
    await claim(uuid);
    await assertVoid(await authorize(uuid, 'spice-html5'));
    port += 1;
    await assertVoid(await authorize(uuid));
  });

  it('opens no address that another, known instance has by now', async () => {
    const token = await authorize(randomUUID());
    assert.notEqual(await check(token), null);
    await claim(await makeInstance());
    await assertVoid(token);
  });

  it('opens nothing of an instance that was deleted here', async () => {
    const uuid = await makeInstance();
    await cellDb.instances.softDelete(uuid, clock.now());
    await assertVoid(await authorize(uuid));
  });

  it('shows Nova none of our own tokens', async () => {
    const token = await claim(await makeInstance());
    assert.equal(await check(token), null);
    assert.equal((await connect(token)).connection.port, port);
  });

  it('opens no console that its host denies', async () => {
    const uuid = await makeInstance();
    await claim(uuid);
    const token = await authorize(uuid);
    isConfirmed = false;
    await assert.rejects(connect(token), refused('NOT_FOUND', /no longer has this console/));
    isConfirmed = true;
    assert.equal((await connect(token)).session.instanceUuid, uuid);
  });

  it('revokes all tokens of an instance, and lets open consoles be', async () => {
    const uuid = randomUUID();
    const tokens = [await authorize(uuid), await authorize(uuid)];
    const other = await authorize(randomUUID());
    const { session } = await connect(tokens[0] ?? '');
    await nova.deleteTokensForInstance({ instanceUuid: uuid }, newContext());
    // A cast: it is over when it is seen to be.
    for (const until = Date.now() + 10_000; Date.now() < until && (await check(tokens[0] ?? '')) !== null; ) await sleep(10);
    for (const token of tokens) await assertVoid(token);
    assert.notEqual(await check(other), null);
    assert.deepEqual(await ours.renew({ proxy: 'proxy-1', sessions: [{ id: session.id, bytesIn: 0, bytesOut: 0 }] }, newContext()), {});
  });

  it('answers what Nova answered, of a machine that is unknown here', async () => {
    const uuid = randomUUID();
    const token = randomUUID();
    const accessUrl = `http://nova.example:6080/vnc_lite.html?path=%3Ftoken%3D${token}`;
    // Some drivers' ports are text.
    await nova.authorizeConsole({ token, consoleType: 'novnc', host: ADDRESS, port: String(port) as never, internalAccessPath: '/console?ref=1', instanceUuid: uuid, accessUrl }, alice);
    assert.deepEqual(await check(token), {
      ...{ token, host: ADDRESS, port },
      instance_uuid: uuid,
      console_type: 'novnc',
      internal_access_path: '/console?ref=1',
      access_url: accessUrl,
      last_activity_at: clock.now().getTime() / 1_000,
    });
  });

  it('sends a proxy of ours to the address, as a session of the user who asked Nova', async () => {
    const uuid = randomUUID();
    const grant = await connect(await authorize(uuid));
    assert.deepEqual(grant.connection.options, { transport: 'tcp', address: ADDRESS });
    assert.deepEqual([grant.connection.host, grant.connection.port, grant.endpoint, grant.attachSecret], [ADDRESS, port, null, null]);
    assert.deepEqual([grant.session.userId, grant.session.projectId, grant.session.instanceUuid, grant.instanceName], ['alice', 'blue', uuid, uuid]);
  });

  it("opens a known instance's own console, by its name", async () => {
    const uuid = await makeInstance();
    await claim(uuid);
    const token = await authorize(uuid);
    assert.equal((await check(token) as { port: number }).port, port);
    assert.equal((await connect(token)).instanceName, 'web-1');
  });

  it('keeps a serial port to one client, though two tokens name it and the machine is unknown here', async () => {
    const uuid = randomUUID();
    const [first, second] = [await authorize(uuid, 'serial'), await authorize(uuid, 'serial')];
    const both = await Promise.allSettled([connect(first), connect(second)]);
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    await assert.rejects(connect(first), refused('PORT_IN_USE', /in use since 1\d:\d\d:\d\d UTC; one client at a time/));
    const { session } = both.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))[0] ?? assert.fail('none');
    await ours.release({ proxy: 'proxy-1', session: { id: session.id, bytesIn: 0, bytesOut: 0 }, reason: 'client_closed' }, newContext());
    await connect(second);
  });

  it('takes a token again, for the console that it was said to open last', async () => {
    const token = await authorize(randomUUID());
    const elsewhere = { token, consoleType: 'novnc', host: '192.0.2.11', port, internalAccessPath: null, instanceUuid: randomUUID() } as const;
    await nova.authorizeConsole(elsewhere, alice);
    assert.equal((await connect(token)).connection.host, '192.0.2.11');
  });

  it('answers callers of RPC 1.x: with an instance as all others, without one as Nova did, by nothing', async () => {
    const args = { token: randomUUID(), consoleType: 'novnc', host: ADDRESS, port, internalAccessPath: null } as const;
    await havana.authorizeConsole({ ...args, instanceUuid: null }, alice);
    await assertVoid(args.token);
    await havana.authorizeConsole({ ...args, instanceUuid: randomUUID() }, alice);
    assert.equal(((await havana.checkToken({ token: args.token }, newContext())) as { access_url: unknown }).access_url, null);
  });

  it('is never kept in clear', async () => {
    const token = `it's a token/${randomUUID()}`;
    const accessUrl = `http://nova.example/?token=${encodeURIComponent(token)}&again=${token}`;
    await nova.authorizeConsole({ token, consoleType: 'novnc', host: ADDRESS, port, internalAccessPath: null, instanceUuid: randomUUID(), accessUrl }, alice);
    assert.equal((await check(token) as { access_url: string }).access_url, accessUrl);
    const stored = await backend().tokens.find(hashSecret(token));
    assert.equal(stored?.accessUrlBase, 'http://nova.example/?token={encoded token}&again={token}');
  });
});
