/** The console proxy by HTTPS and WSS: what it refuses, how its certificate is changed under running consoles, and how it stops. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import type { Transport } from '@gatehouse/rpc/transport';
import type { App } from '@gatehouse/runtime/app';
import { noAudit } from '@gatehouse/runtime/audit';
import { systemClock } from '@gatehouse/runtime/clock';
import { createLogger, silentLogger } from '@gatehouse/runtime/logger';
import { createMetrics } from '@gatehouse/runtime/metrics';
import { Duplex, Writable } from 'node:stream';
import { makeCertificate, type CertificateFiles } from '../../../test/servers/certificates.ts';
import { makeTempFolder, removeTempFolder } from '../../../test/servers/server-process.ts';
import { startConsoleProxy } from './app.module.ts';
import { consoleProxyConfig, type ConsoleProxyConfig } from './config.ts';
import { ServedCertificate } from './served-certificate.ts';
import { TestConsoleAuth } from './test-console-auth.ts';
import { echo, startGuest, type TestGuest } from './test-guests.ts';
import { closeOf, until, type Closed } from './test-proxy.ts';

const SHOWN_MS_MAX = 15_000;
const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

describe('the console proxy with a certificate', function () {
  this.timeout(30_000);
  let folder: string;
  let served: CertificateFiles;
  let transport: Transport;
  let auth: TestConsoleAuth;
  let guest: TestGuest;
  let app: App | null = null;
  let logged = '';

  before(() => (folder = makeTempFolder('tls')));
  after(() => removeTempFolder(folder));
  beforeEach(async () => {
    served = makeCertificate(folder, 'served');
    transport = createMemoryTransport();
    auth = new TestConsoleAuth();
    await auth.serve(transport);
    guest = await startGuest(echo);
    auth.consoles.set('good', { instanceName: 'demo-1', consoleType: 'serial', port: guest.port });
  });
  afterEach(async () => {
    await app?.drain();
    app = null;
    await transport.close();
    await guest.close();
  });

  async function start(settings: Partial<ConsoleProxyConfig> = {}): Promise<void> {
    logged = '';
    const destination = new Writable({ write: (chunk: Buffer, _encoding, done) => ((logged += chunk.toString()), done()) });
    const tls = { proxyTlsCert: served.certificate, proxyTlsKey: served.key };
    const config = { ...consoleProxyConfig.parse({ proxyPort: '0', proxyName: 'proxy-1', proxyDrain: '0' }), ...tls, ...settings };
    const log = createLogger({ service: 'console-proxy', level: 'debug', destination });
    app = await startConsoleProxy({ config, transport, audit: noAudit, log, metrics: createMetrics('console-proxy'), clock: systemClock });
  }
  const base = (): string => app?.addresses[0]?.url ?? '';
  const port = (): number => Number(new URL(base()).port);

  interface Opened {
    readonly socket: WebSocket;
    readonly closed: Promise<Closed>;
    readonly texts: string[];
    heard: string;
  }

  async function open(headers: Record<string, string> = {}): Promise<Opened> {
    const socket = new WebSocket(`${base().replace('https', 'wss')}/`, ['gatehouse.v1', 'binary', 'token.good'], { rejectUnauthorized: false, headers });
    const opened: Opened = { socket, texts: [], heard: '', closed: closeOf(socket) };
    socket.on('error', () => {});
    socket.on('message', (bytes: Buffer, isBinary: boolean) => {
      if (isBinary) opened.heard += bytes.toString();
      else opened.texts.push(bytes.toString());
    });
    await once(socket, 'open');
    return opened;
  }

  async function says(console: Opened, words: string): Promise<void> {
    console.socket.send(Buffer.from(words));
    await until(() => console.heard.endsWith(words), 'the echo');
  }

  async function shake(options: ConnectionOptions = {}): Promise<TLSSocket> {
    const socket = connectTls({ port: port(), host: '127.0.0.1', rejectUnauthorized: false, ...options });
    await once(socket, 'secureConnect');
    // How it ends is whoever's affair who asked for it.
    return socket.on('error', () => {});
  }
  async function nameShown(): Promise<string> {
    const socket = await shake();
    const { subject } = socket.getPeerCertificate();
    socket.destroy();
    return String(subject.CN);
  }
  /** One handshake after the other: an address may have so many at one time. */
  async function awaitName(name: string): Promise<void> {
    let shown = await nameShown();
    for (const lastMs = Date.now() + SHOWN_MS_MAX; shown !== name && Date.now() < lastMs; await pause(50)) shown = await nameShown();
    assert.equal(shown, name, 'the certificate that is shown');
  }

  it('carries consoles by WSS, and says https where it listens', async () => {
    await start();
    assert.match(base(), /^https:\/\/127\.0\.0\.1:\d+$/);
    await says(await open({ origin: base() }), 'hello');
    const { code, reason } = await (await open({ origin: base().replace('https', 'http') })).closed;
    assert.equal(code, 4403);
    assert.match(reason, /served by http may not/);
  });

  it('refuses who speaks no TLS, or speaks it slowly, and serves on', async () => {
    await start({ proxyHeaderTimeout: 1 });
    const clear = connect(port(), '127.0.0.1');
    clear.write('GET /?token=good HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.doesNotMatch(await text(clear).catch(() => ''), /HTTP/);
    for (const dripped of ['', '\x16\x03\x01\x02\x00\x01']) {
      const slow = connect(port(), '127.0.0.1');
      slow.on('error', () => {});
      slow.write(dripped);
      const startedMs = performance.now();
      slow.resume();
      await new Promise((resolve) => slow.once('close', resolve));
      assert.ok(performance.now() - startedMs < 8_000);
    }
    const silent = await shake();
    silent.resume();
    await once(silent, 'close');
    await says(await open(), 'hello');
  });

  it('bounds the handshakes of an address, TLS too', async () => {
    await start({ proxyHandshakesPerAddress: 3 });
    const slow = Array.from({ length: 8 }, () => connect(port(), '127.0.0.1').on('error', () => {}));
    await until(() => slow.filter(({ destroyed }) => destroyed).length === 5, 'those beyond the bound are closed');
    const console = await open();
    await says(console, 'hello');
    for (let i = 0; i < 5; i++) connect(port(), '127.0.0.1').on('error', () => {}).resume();
    await pause(200);
    await says(console, 'and on');
    for (const socket of slow) socket.destroy();
  });

  it('serves who a balancer of TCP names, wherever the header and what follows it are cut', async () => {
    await start({ proxyProtocolFrom: ['127.0.0.50'] });
    const header = Buffer.from('PROXY TCP4 203.0.113.7 10.0.0.1 4321 443\r\n');
    for (const cut of [0, 1, header.length - 1, header.length, header.length + 1, header.length + 40]) {
      const raw = connect({ port: port(), host: '127.0.0.1', localAddress: '127.0.0.50', noDelay: true }).on('error', () => {});
      let first = header;
      const carried = new Duplex({
        read() {},
        async write(bytes: Buffer, _encoding, done) {
          const whole = Buffer.concat([first, bytes]);
          if (first.length > 0 && cut > 0) {
            raw.write(whole.subarray(0, cut));
            await pause(20);
          }
          raw.write(whole.subarray(first.length > 0 ? cut : 0));
          first = Buffer.alloc(0);
          done();
        },
      });
      raw.on('data', (bytes: Buffer) => carried.push(bytes)).on('close', () => carried.push(null));
      const socket = await shake({ socket: carried });
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      const [answer] = (await once(socket, 'data')) as [Buffer];
      assert.match(answer.toString('latin1'), /^HTTP\/1\.1 200 /, `cut at ${cut}`);
      raw.destroy();
    }
  });

  it('says at debug level that it came to no TLS, also with a balancer that says whose connections they are and was not named', async () => {
    await start();
    const socket = connect(port(), '127.0.0.1').on('error', () => {});
    socket.write('PROXY TCP4 203.0.113.7 10.0.0.1 4321 443\r\n');
    assert.equal(await text(socket).catch(() => ''), '');
    assert.match(logged, /"level":"debug".*no TLS was agreed on/);
  });

  it('speaks the versions and ciphers that are set', async () => {
    await start({ proxyTlsMinVersion: 'tlsv1_3' });
    await assert.rejects(shake({ maxVersion: 'TLSv1.2' }));
    assert.equal((await shake()).getProtocol(), 'TLSv1.3');
    await app?.drain();
    await start({ proxyTlsCiphers: 'ECDHE-ECDSA-CHACHA20-POLY1305' });
    const socket = await shake({ maxVersion: 'TLSv1.2' });
    assert.equal(socket.getCipher().name, 'ECDHE-ECDSA-CHACHA20-POLY1305');
    socket.destroy();
    await app?.drain();
    await start();
    await assert.rejects(shake({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }));
  });

  it('shows a new certificate once its files were replaced, and running consoles notice nothing', async () => {
    await start();
    const console = await open();
    await says(console, 'before');
    assert.equal(await nameShown(), 'served');
    const next = makeCertificate(folder, 'next');
    // One file after the other, as tools do it: in between they do not fit each other.
    renameSync(next.certificate, served.certificate);
    await pause(300);
    renameSync(next.key, served.key);
    await awaitName('next');
    await says(console, 'after');
  });

  it('keeps the certificate that it has when the new one is broken, says so once, and takes the mended one when asked', async () => {
    await start();
    // In one step: half a file would be told of, too.
    writeFileSync(join(folder, 'broken.pem'), 'no certificate');
    renameSync(join(folder, 'broken.pem'), served.certificate);
    const told = (): number => logged.split('the new TLS certificate cannot be served').length - 1;
    await until(() => told() > 0, 'it is told', 15_000);
    assert.match(logged, /GATEHOUSE_PROXY_TLS_CERT names .*in which no certificate can be read/);
    assert.equal(await nameShown(), 'served');
    await pause(3_000);
    assert.equal(told(), 1);
    const next = makeCertificate(folder, 'asked');
    renameSync(next.key, served.key);
    renameSync(next.certificate, served.certificate);
    await app?.reload?.();
    assert.equal(await nameShown(), 'asked');
    assert.doesNotMatch(logged, /PRIVATE KEY/);
  });

  it('tells its users that it stops, takes no new ones, lets the others go on, and ends them with words', async () => {
    await start({ proxyDrain: 5 });
    const [staying, leaving] = [await open(), await open()];
    await says(staying, 'x');
    await says(leaving, 'x');
    const startedMs = performance.now();
    const drained = app?.drain();
    await until(() => [staying, leaving].every(({ texts }) => texts.some((words) => words.includes('"drain"'))), 'they are told');
    const { code, reason } = await (await open()).closed;
    assert.deepEqual([code, /restarting/.test(reason)], [1012, true]);
    await says(staying, 'still here');
    leaving.socket.close();
    assert.equal((await staying.closed).code, 1012);
    assert.ok(performance.now() - startedMs > 4_500);
    await drained;
    app = null;
  });

  it('does not wait for the limit when everybody has left', async () => {
    await start({ proxyDrain: 60 });
    const console = await open();
    await says(console, 'x');
    const drained = app?.drain();
    await until(() => console.texts.some((words) => words.includes('"drain"')), 'it is told');
    console.socket.close();
    await drained;
    app = null;
  });

  const refusals: readonly (readonly [string, () => Record<string, string>, RegExp])[] = [
    ['whose file is missing', () => ({ CERT: '/nowhere/console.pem' }), /GATEHOUSE_PROXY_TLS_CERT names \/nowhere\/console\.pem, which cannot be read \(ENOENT\)/],
    ['whose key is missing', () => ({ CERT: served.certificate }), /GATEHOUSE_PROXY_TLS_CERT names .*with no GATEHOUSE_PROXY_TLS_KEY beside it, which does not hold the key/],
    ['whose key is another\'s', () => ({ CERT: served.certificate, KEY: makeCertificate(folder, 'other').key }), /GATEHOUSE_PROXY_TLS_KEY names .* which does not hold the key of that certificate/],
    ['that is none', () => ({ CERT: served.key, KEY: served.key }), /GATEHOUSE_PROXY_TLS_CERT names .*in which no certificate can be read/],
    ['that is not set, beside a key', () => ({ KEY: served.key }), /GATEHOUSE_PROXY_TLS_KEY is set without GATEHOUSE_PROXY_TLS_CERT/],
    ['with ciphers that there are not', () => ({ CERT: served.certificate, KEY: served.key, CIPHERS: 'ROT13' }), /GATEHOUSE_PROXY_TLS_CIPHERS is no list of ciphers that OpenSSL has/],
  ];
  for (const [what, settings, words] of refusals) {
    it(`does not start with a certificate ${what}, and says so`, () => {
      const { CERT, KEY, CIPHERS } = settings();
      const read = (): unknown => ServedCertificate.read({ proxyTlsCert: CERT ?? null, proxyTlsKey: KEY ?? null, proxyTlsMinVersion: 'default', proxyTlsCiphers: CIPHERS ?? null }, silentLogger);
      assert.throws(read, (error: Error) => words.test(error.message) && !error.message.includes('PRIVATE KEY'));
    });
  }

  it('takes a key that stands in the certificate\'s file, as Nova has it', async () => {
    writeFileSync(served.certificate, `${readFileSync(served.key, 'utf8')}${readFileSync(served.certificate, 'utf8')}`);
    await start({ proxyTlsKey: null });
    await says(await open(), 'hello');
  });

  it('ends with one line when the file is missing, before it waits for a broker', async () => {
    const env = { PATH: process.env['PATH'], GATEHOUSE_TRANSPORT_URL: 'amqp://127.0.0.1:1', GATEHOUSE_PROXY_PORT: '0', GATEHOUSE_OPS_PORT: '0', GATEHOUSE_PROXY_TLS_CERT: '/nowhere/console.pem' };
    const child = spawn(process.execPath, ['--import', 'tsx', MAIN], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'close') as Promise<[number]>]);
    assert.equal(code, 1);
    assert.equal(said, 'gatehouse-console-proxy: cannot start: GATEHOUSE_PROXY_TLS_CERT names /nowhere/console.pem, which cannot be read (ENOENT): set the path of a PEM file\n');
  });
});
