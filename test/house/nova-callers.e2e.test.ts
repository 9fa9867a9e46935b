import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { on } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { freePort } from '../servers/free-port.ts';
import { startPostgresql } from '../servers/postgresql.ts';
import type { Postgresql } from '../servers/postgresql.ts';
import { startPythonLines } from '../servers/python-lines.ts';
import type { PythonLines } from '../servers/python-lines.ts';
import { startRabbitmq } from '../servers/rabbitmq.ts';
import type { Rabbitmq } from '../servers/rabbitmq.ts';
import { makeTempFolder, removeTempFolder, runCommand } from '../servers/server-process.ts';
import { ConsoleSocket, RFB_GREETING } from './console-socket.ts';
import { buildBundles, bundleOf } from './five-processes.ts';
import { ServiceProcess } from './service-process.ts';

const FIXTURE = fileURLToPath(new URL('fixtures/nova_consoleauth.py', import.meta.url));

interface Outcome {
  readonly returned?: unknown;
  readonly raised?: string;
  readonly class?: string | null;
  readonly words?: string;
}

describe("Nova's services of Juno to Stein as callers of consoleauth", function () {
  this.timeout(60_000);
  let rabbitmq: Rabbitmq;
  let postgresql: Postgresql;
  let databaseUrl: string;
  let cellDb: CellDb;
  let services: readonly ServiceProcess[] = [];
  let folder: string;
  let proxyUrl: string;
  let nova: PythonLines;
  let guest: Server;
  const tokens: string[] = [];

  before(async function () {
    this.timeout(120_000);
    [rabbitmq, postgresql, guest] = await Promise.all([startRabbitmq(), startPostgresql(), startGuest(), buildBundles()]);
    databaseUrl = await postgresql.createDatabase();
    cellDb = await openCellDb({ url: databaseUrl });
    await cellDb.migrate();
    folder = makeTempFolder('nova');
    const proxyPort = await freePort();
    proxyUrl = `http://127.0.0.1:${proxyPort}`;
    const env = {
      GATEHOUSE_TRANSPORT_URL: rabbitmq.url,
      GATEHOUSE_CELL_DATABASE_URL: databaseUrl,
      // Nova's services find a topic in this exchange.
      GATEHOUSE_RPC_EXCHANGE: 'nova',
      GATEHOUSE_PROXY_PORT: String(proxyPort),
      GATEHOUSE_PROXY_BASE_URL: proxyUrl,
    };
    services = await Promise.all(
      ['consoleauth', 'console-proxy'].map(async (name) => ServiceProcess.start({ name, entry: bundleOf(name), env, opsPort: await freePort(), cwd: folder })),
    );
    for (const service of services) await service.awaitReady();
    const url = new URL(rabbitmq.url);
    nova = startPythonLines(FIXTURE, [`rabbit://${url.username}:${url.password}@${url.host}${url.pathname}`]);
  });

  after(async () => {
    await nova?.stop();
    await Promise.all(services.map((service) => service.stop()));
    await cellDb?.close();
    guest?.close();
    await rabbitmq?.stop();
    await postgresql?.stop();
    removeTempFolder(folder);
  });

  /** A machine's VNC server without a password: its greeting, and from then on it says back what it hears. */
  async function startGuest(): Promise<Server> {
    const server = createServer(async (socket: Socket) => {
      socket.on('error', () => {});
      const heard = on(socket, 'data');
      for (const line of ['RFB 003.008\n', '\x01\x01', '\0\0\0\0']) {
        socket.write(line, 'latin1');
        if (line !== '\0\0\0\0') await heard.next();
      }
      await heard.return?.();
      socket.pipe(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  const send = async (request: readonly unknown[]) => (await nova.ask(request)) as Outcome;
  const call = (method: string, args: object, version = '2.1', cap: string | null = null) => send([version, cap, 'call', method, args]);
  const check = async (token: string) => (await call('check_token', { token })).returned;

  function consoleOf(instanceUuid: string) {
    const token = randomUUID();
    tokens.push(token);
    const { port } = guest.address() as AddressInfo;
    return { token, console_type: 'novnc', host: '127.0.0.1', port: String(port), internal_access_path: null, instance_uuid: instanceUuid };
  }

  async function authorize(instanceUuid: string = randomUUID()) {
    const args = { ...consoleOf(instanceUuid), access_url: '' };
    // Nova's novncproxy_base_url is our proxy's page.
    args.access_url = `${proxyUrl}/vnc?token=${args.token}`;
    assert.deepEqual(await call('authorize_console', args), { returned: null });
    return args;
  }

  it('refuses by the exceptions that oslo.messaging and Nova know', async () => {
    const outcome = async (method: string, args: object, version?: string) => {
      const { raised, class: name } = await call(method, args, version);
      return [raised, name];
    };
    assert.deepEqual(await outcome('check_token', { token: 'x' }, '2.2'), ['RemoteError', 'UnsupportedVersion']);
    assert.deepEqual(await outcome('forget_token', { token: 'x' }), ['RemoteError', 'NoSuchMethod']);
    const { raised, words } = await call('authorize_console', { ...consoleOf(randomUUID()), port: 'none' });
    assert.equal(raised, 'Invalid_Remote');
    assert.match(words ?? '', /consoleauth\.authorize_console\.port: expected an integer/);
  });

  it('answers None for a token that it does not know', async () => {
    assert.equal(await check(randomUUID()), null);
  });

  it('answers None for a machine that is known here and has no console at that address', async () => {
    const { uuid } = await cellDb.instances.create({
      ...{ uuid: randomUUID(), projectId: 'blue', userId: 'alice', displayName: 'web-1', hostname: 'web-1', host: 'compute-1' },
      ...{ vmState: 'active', taskState: null, keyName: null, keyData: null, userData: null, metadata: {}, createdAt: new Date() },
    });
    assert.equal(await check((await authorize(uuid)).token), null);
  });

  it('shows a proxy of Nova what it needs to dial the console', async () => {
    const args = await authorize();
    const { last_activity_at: at, ...shown } = (await check(args.token)) as Record<string, unknown>;
    assert.deepEqual(shown, { ...args, port: Number(args.port) });
    assert.ok(Math.abs(Number(at) - Date.now() / 1_000) < 60, String(at));
  });

  it('lets our proxy open the console: bytes go there and come back', async () => {
    const { token, access_url: link } = await authorize();
    const page = await fetch(link);
    assert.deepEqual([page.status, page.headers.get('content-type')], [200, 'text/html; charset=utf-8']);
    const socket = await ConsoleSocket.open(`${proxyUrl}/vnc#token=${token}`);
    await socket.awaitText(RFB_GREETING);
    socket.send('RFB 003.008\n\x01');
    await socket.awaitText(/\x01\x01\0\0\0\0$/);
    socket.send('hello, machine');
    await socket.awaitText(/hello, machine$/);
    socket.close();
    assert.equal((await socket.closed).code, 1005);
  });

  it('answers a caller that is capped to 2.0, and one of 1.2', async () => {
    const juno = consoleOf(randomUUID());
    assert.deepEqual(await call('authorize_console', juno, '2.1', '2.0'), { returned: null });
    assert.equal(((await call('check_token', { token: juno.token }, '2.1', '2.0')).returned as { access_url: unknown }).access_url, null);
    const havana = consoleOf(randomUUID());
    assert.deepEqual(await call('authorize_console', havana, '1.2'), { returned: null });
    assert.equal(((await call('check_token', { token: havana.token }, '1.2')).returned as { host: unknown }).host, '127.0.0.1');
  });

  it('forgets the tokens of an instance when it is told to, by a cast', async () => {
    const args = await authorize();
    assert.deepEqual(await send(['2.1', null, 'cast', 'delete_tokens_for_instance', { instance_uuid: args.instance_uuid }]), { returned: null });
    const deadline = Date.now() + 10_000;
    while ((await check(args.token)) !== null) assert.ok(Date.now() < deadline, 'the token is still known');
    const socket = await ConsoleSocket.open(`${proxyUrl}/vnc#token=${args.token}`);
    assert.equal((await socket.closed).code, 4401);
  });

  it('kept no clear token, and nothing secret of their context, in any table or log', async () => {
    const everything = (await runCommand('pg_dump', ['--inserts', databaseUrl])) + services.map((service) => service.log).join('\n');
    assert.ok(everything.includes('/vnc?token={token}'));
    for (const secret of [...tokens, 'not to be kept']) assert.ok(!everything.includes(secret), 'a secret was found');
  });
});
