/**
 * Console proxies behind haproxy and nginx, with the configurations that operators are given (deploy/): TLS ends in front, the
 * client's own address is known behind, and a console on which nobody types outlives the balancers' timeouts. The
 * programs that open consoles here are another browser-like client and Python's.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { echo, startGuest, type TestGuest } from '@gatehouse/console-proxy/test-guests';
import { TestProxies, until } from '@gatehouse/console-proxy/test-proxy';
import { makeCertificate } from '../servers/certificates.ts';
import { freePort } from '../servers/free-port.ts';
import { accepts, makeTempFolder, removeTempFolder, runCommand, startServer, type ServerProcess } from '../servers/server-process.ts';

const NAME = 'console.example.org';
const SECRET = 'S3cr3t-S3cr3t-S3cr3t-S3cr3t-S3cr3t-S3cr3t-0';
const DEPLOY = new URL('../../deploy/', import.meta.url).pathname;
/** The balancers' timeouts, cut from 80 s; the proxy pings each second. */
const TIMEOUT_S = 6;

/** What is changed of a file that operators get; each must be there. */
function changed(file: string, changes: Readonly<Record<string, string>>): string {
  let text = readFileSync(join(DEPLOY, file), 'utf8');
  for (const [from, to] of Object.entries(changes)) {
    assert.ok(text.includes(from), `deploy/${file} has no ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

interface Balanced {
  readonly server: ServerProcess;
  /** Everything that it logged. */
  readonly log: () => string;
}

interface Place {
  readonly folder: string;
  readonly port: number;
  readonly proxyPort: number;
  readonly opsPort: number;
}

async function startHaproxy({ folder, port, proxyPort, opsPort }: Place): Promise<Balanced> {
  const config = changed('haproxy.cfg', {
    'log /dev/log local0': 'log stdout format raw local0',
    ':443': `127.0.0.1:${port}`,
    '/etc/haproxy/console.pem': join(folder, 'both.pem'),
    // Who answers runs in this process: while it stands still nobody is gone.
    'check port 9464 inter 1s fall 2': `check port ${opsPort} inter 1s fall 30`,
    '10.0.0.11:6080': `127.0.0.1:${proxyPort}`,
    'server proxy2 10.0.0.12:6080': '',
    'timeout client 30s': `timeout client ${TIMEOUT_S}s`,
    'timeout server 30s': `timeout server ${TIMEOUT_S}s`,
    'timeout tunnel 80s': `timeout tunnel ${TIMEOUT_S}s`,
    'maxconn 40000': 'maxconn 1000',
  });
  writeFileSync(join(folder, 'haproxy.cfg'), config);
  const server = await startServer({ name: 'haproxy', command: '/usr/sbin/haproxy', args: ['-db', '-f', join(folder, 'haproxy.cfg')], isReady: () => accepts(port), outputCharsMax: 1_000_000 });
  return { server, log: () => server.output() };
}

async function startNginx({ folder, port, proxyPort }: Place): Promise<Balanced> {
  const [access, errors] = [join(folder, 'access.log'), join(folder, 'errors.log')];
  const config = changed('nginx.conf', {
    'listen 443 ssl': `listen 127.0.0.1:${port} ssl`,
    '/etc/nginx/console.pem': join(folder, 'edge.pem'),
    '/etc/nginx/console.key': join(folder, 'edge.key'),
    '/var/log/nginx/consoles.log': access,
    '/var/log/nginx/consoles.error.log': errors,
    '10.0.0.11:6080': `127.0.0.1:${proxyPort}`,
    'server 10.0.0.12:6080;': '',
    ' 80s;': ` ${TIMEOUT_S}s;`,
  });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${join(folder, what)};`);
  const main = `daemon off; worker_processes 1; pid ${join(folder, 'pid')}; error_log ${errors} crit; ${process.getuid?.() === 0 ? 'user root;' : ''}`;
  writeFileSync(join(folder, 'nginx.conf'), `${main} events {}\nhttp { ${temporary.join(' ')}\n${config}\n}`);
  const server = await startServer({ name: 'nginx', command: '/usr/sbin/nginx', args: ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', errors], isReady: () => accepts(port) });
  return { server, log: () => `${server.output()}${readFileSync(access, 'utf8')}${readFileSync(errors, 'utf8')}` };
}

const PYTHON = `
import ssl, sys, websocket
url, cookie = sys.argv[1], sys.argv[2] or None
socket = websocket.create_connection(url, cookie=cookie, subprotocols=['binary'], sslopt={'cert_reqs': ssl.CERT_NONE}, timeout=10)
socket.send_binary(b'uname\\n')
print(socket.getsubprotocol(), socket.recv())
socket.close()
`;

for (const [name, start] of [['haproxy', startHaproxy], ['nginx', startNginx]] as const) {
  describe(`a console proxy behind ${name}`, function () {
    this.timeout(60_000);
    let proxies: TestProxies;
    let guest: TestGuest;
    let ops: Server;
    let balanced: Balanced;
    let folder: string;
    let port: number;

    before(async () => {
      proxies = new TestProxies();
      await proxies.auth.serve(proxies.transport);
      guest = await startGuest(echo);
      proxies.auth.consoles.set(SECRET, { instanceName: 'demo-1', consoleType: 'serial', port: guest.port });
      await proxies.start('proxy-1', { trustedProxies: ['127.0.0.1'], proxyPing: 1, proxyDrain: 0 });
      ops = createServer((_request, response) => response.end()).listen(0, '127.0.0.1');
      await once(ops, 'listening');
      folder = makeTempFolder(name);
      chmodSync(folder, 0o755);
      const { certificate, key } = makeCertificate(folder, 'edge');
      writeFileSync(join(folder, 'both.pem'), `${readFileSync(certificate, 'utf8')}${readFileSync(key, 'utf8')}`);
      port = await freePort();
      balanced = await start({ folder, port, proxyPort: Number(new URL(proxies.urlOf('proxy-1')).port), opsPort: (ops.address() as AddressInfo).port });
    });
    after(async () => {
      await balanced?.server.stop();
      await proxies.close();
      await guest.close();
      ops.close();
      removeTempFolder(folder);
    });

    interface Opened {
      readonly socket: WebSocket;
      readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
      readonly heard: () => string;
    }

    function open(options: { origin?: string; headers?: Record<string, string>; localAddress?: string; token?: string } = {}): Opened {
      const { origin, headers = {}, localAddress = '127.0.0.1', token = SECRET } = options;
      const named = { host: NAME, ...(origin === undefined ? {} : { origin }), ...headers };
      const socket = new WebSocket(`wss://127.0.0.1:${port}/websockify?token=${token}`, ['binary'], { headers: named, rejectUnauthorized: false, localAddress });
      let heard = '';
      socket.on('message', (bytes: Buffer) => (heard += bytes.toString()));
      socket.on('error', () => {});
      const closed = once(socket, 'close').then(([code, reason]: unknown[]) => ({ code: code as number, reason: String(reason) }));
      return { socket, closed, heard: () => heard };
    }

    it('opens consoles for the page that is served there, and for no other', async () => {
      for (const origin of ['https://evil.example', 'null']) {
        const { code, reason } = await open({ origin }).closed;
        assert.equal(code, 4403, `${origin}: ${reason}`);
      }
      const page = open({ origin: `https://${NAME}` });
      await once(page.socket, 'open');
      page.socket.send(Buffer.from('hello'));
      await until(() => page.heard() === 'hello', 'the echo');
      page.socket.close();
    });

    it('knows whose sessions they are, whatever a client writes', async () => {
      const headers = { 'x-forwarded-for': '203.0.113.1', forwarded: 'for=203.0.113.2', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' };
      const far = open({ localAddress: '127.0.0.77', headers, origin: `https://${NAME}` });
      await once(far.socket, 'open');
      await until(() => /"console open"|console open/.test(proxies.logged) && proxies.logged.includes('127.0.0.77'), 'its line in the log');
      assert.ok(!proxies.logged.includes('203.0.113.'));
      far.socket.close();
    });

    it('serves the pages', async () => {
      const printed = await runCommand('/usr/bin/python3', ['-c', `
import ssl, sys, urllib.request
context = ssl._create_unverified_context()
print(urllib.request.urlopen(sys.argv[1], context=context, timeout=10).read().decode())`, `https://127.0.0.1:${port}/vnc`]);
      assert.match(printed, /<!doctype html>/i);
    });

    it(`keeps a console on which nobody types, for longer than ${name} would keep a silent connection`, async () => {
      const idle = open();
      await once(idle.socket, 'open');
      await pause(TIMEOUT_S * 1_400);
      assert.equal(idle.socket.readyState, WebSocket.OPEN);
      idle.socket.send(Buffer.from('still there'));
      await until(() => idle.heard() === 'still there', 'the echo');
      idle.socket.close();
    });

    it('opens consoles for Python, by a token in the query and by a cookie', async () => {
      for (const [query, cookie] of [[`?token=${SECRET}`, ''], ['', `theme=dark; token=${SECRET}`]] as const) {
        assert.equal(await runCommand('/usr/bin/python3', ['-c', PYTHON, `wss://127.0.0.1:${port}/websockify${query}`, cookie]), "binary b'uname\\n'\n");
      }
    });

    it('closes with the words of a refusal, and of its own stop, which it passes on', async () => {
      assert.deepEqual((await open({ token: 'unknown' }).closed).code, 4401);
      const last = open();
      await once(last.socket, 'open');
      last.socket.send(Buffer.from('x'));
      await until(() => last.heard() === 'x', 'the echo');
      await proxies.drain('proxy-1');
      const { code, reason } = await last.closed;
      assert.equal(code, 1012);
      assert.match(reason, /restarting/);
    });

    it('leaves no token in any log', () => {
      assert.match(balanced.log(), /GET \/websockify/);
      for (const log of [balanced.log(), proxies.logged]) assert.ok(!log.includes(SECRET));
    });
  });
}
