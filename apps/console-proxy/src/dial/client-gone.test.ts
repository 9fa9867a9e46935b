/** A dial is for whoever waits for it: when that client leaves, it is given up at each of its steps, and its socket closed at once. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { ServiceError } from '@gatehouse/errors/service-error';
import { runFor } from '../../../../test/servers/running-time.ts';
import { TestProxies, until } from '../test-proxy.ts';
import { dial, startHost, type Part, type TestDial, type TestHost } from './test-host.ts';

const GONE = new ServiceError('CANCELLED', 'nobody waits');
/** Far beyond the test's own: what ends before it does was given up. */
const TIMEOUT_MS = 600_000;
const V38 = 'RFB 003.008\n';
const VENCRYPT = [V38, 12, '\x01\x13', 1] as const;

describe('a dialled console whose client leaves', () => {
  let folder: string;
  let authority: string;
  const hosts: TestHost[] = [];
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'gatehouse-dial-'));
    authority = join(folder, 'authority.pem');
    writeFileSync(authority, rootCertificates[0]!);
  });
  after(() => rmSync(folder, { recursive: true }));
  afterEach(() => Promise.all(hosts.splice(0).map((host) => host.close())));

  async function host(...parts: readonly Part[]): Promise<TestHost> {
    const started = await startHost(...parts);
    hosts.push(started);
    return started;
  }

  const steps: readonly (readonly [step: string, parts: readonly Part[], heardBytes: number, how: Partial<TestDial>])[] = [
    ['the answer to CONNECT', [], 20, { consoleType: 'serial', options: { internal_access_path: '/console' } }],
    ['the end of that answer', [20, 'HTTP/1.1 200 OK\r\nX: '], 20, { consoleType: 'serial', options: { internal_access_path: '/console' } }],
    ['TLS of a serial console', [], 1, { consoleType: 'serial', dialTls: 'required' }],
    ['TLS of a SPICE console', [], 1, { consoleType: 'spice-html5', dialTls: 'required' }],
    ['the RFB version', [], 0, {}],
    ['the security types', [V38], 12, {}],
    ['the rest of the security types', [V38, 12, '\x04\x10'], 12, {}],
    ['the result of the security check', [V38, 12, '\x01\x01'], 13, {}],
    ["the host's reason", [V38, 12, '\0\0\0\0\x20'], 12, {}],
    ['the VeNCrypt version', VENCRYPT, 13, { vncAuthSchemes: ['vencrypt'] }],
    ['the kinds of VeNCrypt', [...VENCRYPT, '\0\x02', 2, '\0'], 15, { vncAuthSchemes: ['vencrypt'] }],
    ['TLS within VeNCrypt', [...VENCRYPT, '\0\x02', 2, '\0\x01\0\0\x01\x04', 4, '\x01'], 20, { vncAuthSchemes: ['vencrypt'] }],
  ];
  for (const [step, parts, heardBytes, how] of steps) {
    it(`is given up where ${step} should come`, async () => {
      const silent = await host(...parts);
      const gone = new AbortController();
      const dialled = dial({ port: silent.port, timeoutMs: TIMEOUT_MS, gone: gone.signal, dialTlsCa: authority, ...how });
      const outcome = dialled.then(() => null, (error: unknown) => error);
      await until(() => silent.sockets.size === 1 && silent.heard.length >= heardBytes, 'the step');
      gone.abort(GONE);
      assert.equal(await outcome, GONE);
      await until(() => silent.sockets.size === 0, 'the socket is closed');
    });
  }

  it('is given up while its name is looked up, or before anything was done', async () => {
    const { port, sockets } = await host();
    for (const options of [{ address: 'localhost' }, { address: '127.0.0.1' }]) {
      const gone = new AbortController();
      const dialled = dial({ port, timeoutMs: TIMEOUT_MS, gone: gone.signal, options });
      gone.abort(GONE);
      await assert.rejects(dialled, GONE);
      await assert.rejects(dial({ port, timeoutMs: TIMEOUT_MS, gone: gone.signal, options }), GONE);
    }
    await until(() => sockets.size === 0, 'no socket');
  });

  it('is given up while its host does not even take the connection', async () => {
    const { port, stop } = await startFullHost();
    const connecting = (): number => process.getActiveResourcesInfo().filter((each) => each.includes('ConnectWrap')).length;
    await until(() => connecting() === 0, 'nothing else connects');
    const gone = new AbortController();
    const dialled = dial({ port, timeoutMs: TIMEOUT_MS, gone: gone.signal });
    const outcome = dialled.then(() => null, (error: unknown) => error);
    await until(() => connecting() === 1, 'the attempt');
    gone.abort(GONE);
    assert.equal(await outcome, GONE);
    await until(() => connecting() === 0, 'the attempt is given up');
    await stop();
  });

  describe('through the proxy', () => {
    let proxies: TestProxies;
    beforeEach(async () => {
      proxies = new TestProxies();
      await proxies.auth.serve(proxies.transport);
      await proxies.start('proxy-1', { proxyConnectTimeout: 300 });
    });
    afterEach(() => proxies.close());

    for (const [how, said] of [['without a word', ''], ['when it has said something already', 'x'.repeat(5_000)]] as const) {
      it(`is given up, and its session over, when it leaves ${how}`, async () => {
        const silent = await host();
        proxies.auth.consoles.set('it', { instanceName: 'vm', consoleType: 'novnc', port: silent.port });
        const client = proxies.openProgram('proxy-1', 'it');
        await once(client.socket, 'open');
        if (said !== '') client.socket.send(Buffer.from(said));
        await until(() => silent.sockets.size === 1, 'the dial');
        client.socket.terminate();
        await until(() => silent.sockets.size === 0 && proxies.auth.released.length === 1, 'the socket is closed, and the session released');
        assert.deepEqual(proxies.auth.released.map(({ reason }) => reason), ['client_lost']);
      });
    }

    it('is given up when an operator ends the session that is being opened', async () => {
      const silent = await host();
      proxies.auth.consoles.set('it', { instanceName: 'vm', consoleType: 'novnc', port: silent.port });
      const client = proxies.openProgram('proxy-1', 'it');
      await until(() => silent.sockets.size === 1, 'the dial');
      await proxies.endSessions('proxy-1', { [[...proxies.auth.open.keys()][0]!]: 'instance_deleted' });
      await until(() => silent.sockets.size === 0, 'the socket is closed');
      assert.match((await client.closed).reason, /deleted/);
    });
  });
});

/** A host that listens and takes nobody: who connects beyond its backlog hears nothing at all. */
async function startFullHost(): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const program = `
    const server = require('node:net').createServer();
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      require('node:fs').writeSync(1, server.address().port + '\\n');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const child: ChildProcess = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  const port = Number(line);
  const filling: Socket[] = [];
  for (let isFull = false; !isFull; ) {
    const socket = connect({ port, host: '127.0.0.1' }).on('error', () => {});
    filling.push(socket);
    isFull = await Promise.race([once(socket, 'connect').then(() => false), runFor(300).then(() => true)]);
    if (isFull) socket.destroy();
  }
  return {
    port,
    async stop() {
      for (const socket of filling) socket.destroy();
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
