import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { openApiDb } from '@gatehouse/api-db/api-db';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import { makeCertificate } from '../servers/certificates.ts';
import { freePort } from '../servers/free-port.ts';
import { startOwnPostgresql } from '../servers/postgresql.ts';
import type { OwnPostgresql } from '../servers/postgresql.ts';
import { startOwnRabbitmq } from '../servers/rabbitmq.ts';
import type { OwnRabbitmq } from '../servers/rabbitmq.ts';
import { makeTempFolder, removeTempFolder, runCommand } from '../servers/server-process.ts';
import { ComputeClient } from './compute-client.ts';
import { ConsoleSocket, RFB_GREETING } from './console-socket.ts';
import { FiveProcesses, SERVICES, buildBundles } from './five-processes.ts';
import { SessionsClient } from './sessions-client.ts';

const SECRET = 'a-secret-of-the-test';
const OPENS_AGAIN_MS = 30_000;
const LEFT_MS_MAX = 10_000;

describe('five processes over RabbitMQ and PostgreSQL', function () {
  this.timeout(120_000);
  let rabbitmq: OwnRabbitmq;
  let postgresql: OwnPostgresql;
  let databases: readonly [string, string];
  let stack: FiveProcesses;
  let compute: ComputeClient;
  let sessions: SessionsClient;
  let serverId: string;
  let folder: string;
  const urls: string[] = [];

  before(async () => {
    [rabbitmq, postgresql] = await Promise.all([startOwnRabbitmq(), startOwnPostgresql(), buildBundles()]);
    databases = [await postgresql.createDatabase(), await postgresql.createDatabase()];
    folder = makeTempFolder('certificates');
    const { certificate, key } = makeCertificate(folder, 'stream');
    const agentPort = await freePort();
    stack = await FiveProcesses.prepare({ transportUrl: rabbitmq.url, apiDatabaseUrl: databases[0], cellDatabaseUrl: databases[1] }, {
      // The agent listens on every address, as one beyond the proxy's machine would: it does so only with TLS.
      GATEHOUSE_AGENT_LISTEN: `0.0.0.0:${agentPort}`,
      GATEHOUSE_AGENT_ENDPOINT: `127.0.0.1:${agentPort}`,
      GATEHOUSE_STREAM_TLS_CERT: certificate,
      GATEHOUSE_STREAM_TLS_KEY: key,
      GATEHOUSE_STREAM_TLS_CA: certificate,
    });
    compute = new ComputeClient(stack.apiUrl);
    sessions = new SessionsClient(stack.apiUrl, 'admin:demo');
  });

  after(async () => {
    await stack?.stopAll();
    await rabbitmq?.stop();
    await postgresql?.stop();
    removeTempFolder(folder);
  });

  async function openConsole(protocol: 'vnc' | 'serial'): Promise<ConsoleSocket> {
    const url = await compute.consoleUrl(serverId, protocol);
    urls.push(url);
    return ConsoleSocket.open(url);
  }

  async function seeConsole(protocol: 'vnc' | 'serial'): Promise<void> {
    const socket = await openConsole(protocol);
    await socket.awaitText(protocol === 'vnc' ? RFB_GREETING : /\$ /);
    socket.close();
    await socket.closed;
    // Its port may be asked for again at once: consoleauth hears from the proxy that it was left.
    for (const deadline = Date.now() + LEFT_MS_MAX; (await sessions.list(`?instance_id=${serverId}`)).length > 0; await new Promise((resolve) => setTimeout(resolve, 20))) {
      assert.ok(Date.now() < deadline, 'consoleauth has not heard that the console was left');
    }
  }

  /** Tries until a console opens. Each try is answered in time: with a console, a typed refusal, or nobody at the port. */
  async function consoleOpensAgain(): Promise<void> {
    const deadline = Date.now() + OPENS_AGAIN_MS;
    for (;;) {
      try {
        const answer = await compute.requestConsole(serverId, 'vnc');
        if (answer.status === 200) {
          const url = (answer.body['remote_console'] as { url: string }).url;
          urls.push(url);
          const socket = await ConsoleSocket.open(url);
          await socket.awaitText(RFB_GREETING);
          socket.close();
          return;
        }
        const [problem] = Object.values(answer.body) as { code?: number; message?: string }[];
        assert.equal(problem?.code, answer.status, `a refusal without a code: ${JSON.stringify(answer)}`);
        assert.ok((problem.message ?? '') !== '', 'a refusal without words');
      } catch (error) {
        assert.notEqual((error as Error).name, 'TimeoutError', 'a request hung');
        if (Date.now() > deadline) throw error;
      }
      assert.ok(Date.now() < deadline, 'no console opened again in time');
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  it('starts in any order, before its broker is there and its databases have tables, and becomes ready when they are', async () => {
    await rabbitmq.kill();
    for (const name of [...SERVICES].reverse()) await stack.start(name);
    for (const name of SERVICES) assert.equal(await stack.isReady(name), false, `${name} says that it is ready`);
    await rabbitmq.start();
    const apiDb = await openApiDb({ url: databases[0] });
    const cellDb = await openCellDb({ url: databases[1] });
    await apiDb.migrate();
    await cellDb.migrate();
    await Promise.all([apiDb.close(), cellDb.close()]);
    await stack.awaitReady();
  });

  it('opens a VNC console and a serial console of a machine it made', async () => {
    serverId = await compute.createServerOnceHostIsKnown('web-1');
    await compute.awaitActive(serverId);
    await seeConsole('vnc');
    await seeConsole('serial');
  });

  it('answers a typed command on the serial console, and refuses a second client with words', async () => {
    const url = await compute.consoleUrl(serverId, 'serial');
    urls.push(url);
    const first = await ConsoleSocket.open(url);
    await first.awaitText(/\$ /);
    first.send('hostname\r');
    await first.awaitText(/hostname\r\n(?:.*\r\n)*?web-1\r\n/);
    const second = await ConsoleSocket.open(url);
    const closed = await second.closed;
    assert.equal(closed.code, 4409);
    assert.match(closed.reason, /in use since .*one client at a time/);
    first.close();
    await first.closed;
  });

  it('refuses a token it never issued with 4401 and words', async () => {
    const socket = await ConsoleSocket.open(`${stack.proxyUrl}/vnc#token=${'x'.repeat(43)}`);
    const closed = await socket.closed;
    assert.equal(closed.code, 4401);
    assert.match(closed.reason, /unknown or has expired/);
  });

  it("serves the instance's key to whoever signs its id, and to nobody else", async () => {
    const publicKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ demo';
    const { status } = await compute.request('POST', '/os-keypairs', { keypair: { name: 'k1', type: 'ssh', public_key: publicKey } });
    assert.equal(status, 201);
    const id = await compute.createServerOnceHostIsKnown('keyed', { key_name: 'k1' });
    const ask = (secret: string) =>
      fetch(`${stack.metadataUrl}/latest/meta-data/public-keys/0/openssh-key`, {
        headers: {
          'x-instance-id': id,
          'x-tenant-id': 'demo',
          'x-instance-id-signature': createHmac('sha256', secret).update(id).digest('hex'),
        },
      });
    assert.equal((await ask('wrong')).status, 403);
    const answer = await ask(SECRET);
    assert.equal(answer.status, 200);
    assert.equal((await answer.text()).trim(), publicKey);
  });

  it('answers an unknown server, a wrong body and a host that is not there with typed refusals', async () => {
    assert.equal((await compute.requestConsole(randomUUID(), 'vnc')).status, 404);
    const wrong = await compute.request('POST', `/servers/${serverId}/remote-consoles`, { remote_console: { protocol: 'telepathy' } });
    assert.equal(wrong.status, 400);
    const nowhere = await compute.request('POST', '/servers', { server: { name: 'x', imageRef: '', flavorRef: '1', networks: 'none', availability_zone: 'nova:nowhere' } });
    assert.equal(nowhere.status, 400, JSON.stringify(nowhere.body));
  });

  for (const name of SERVICES) {
    it(`opens the next console after ${name} was killed and started again`, async () => {
      await stack.kill(name);
      const [refused] = await Promise.all([compute.requestConsole(serverId, 'vnc').catch((error: Error) => error), stack.start(name)]);
      assert.notEqual((refused as Error).name, 'TimeoutError', 'a request hung');
      await consoleOpensAgain();
      await stack.awaitReady([name]);
    });
  }

  it('opens the next console after the broker was restarted', async () => {
    await rabbitmq.restart();
    await consoleOpensAgain();
    await stack.awaitReady();
  });

  it('opens the next console after the databases were restarted', async () => {
    await postgresql.restart();
    await consoleOpensAgain();
    await stack.awaitReady();
  });

  it('ends an open console within seconds when its machine is deleted, and says so', async () => {
    const id = await compute.createServerOnceHostIsKnown('short-lived');
    await compute.awaitActive(id);
    const url = await compute.consoleUrl(id, 'vnc');
    const socket = await ConsoleSocket.open(url);
    await socket.awaitText(RFB_GREETING);
    const { status } = await compute.request('DELETE', `/servers/${id}`);
    assert.equal(status, 204);
    const closed = await socket.closed;
    assert.match(closed.reason, /deleted/);
    const again = await ConsoleSocket.open(url);
    assert.ok([4401, 4404].includes((await again.closed).code));
  });

  it('kept no clear token in any table or log', async () => {
    const dumps = await Promise.all(databases.map((url) => runCommand('pg_dump', ['--inserts', url], { timeoutMs: 60_000 })));
    const everything = dumps.join('\n') + stack.logs;
    assert.ok(urls.length > 5);
    for (const url of urls) {
      const token = new URLSearchParams(new URL(url).hash.slice(1)).get('token') ?? assert.fail(url);
      assert.ok(!everything.includes(token), 'a clear token was found');
    }
    assert.ok(!stack.logs.includes(SECRET), 'the metadata secret was found in a log');
  });

  it('drains on SIGTERM', async () => {
    for (const name of SERVICES) await stack.stop(name);
    for (const name of SERVICES) assert.equal(await stack.isReady(name), false);
  });
});
