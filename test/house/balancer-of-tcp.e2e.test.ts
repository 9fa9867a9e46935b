/**
 * Console proxies behind haproxy as a balancer of TCP, with the configuration that operators are given (docs/operating.md): TLS ends at the proxy or
 * nowhere, and whose connection it is comes by the PROXY protocol, in both its versions.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { echo, startGuest, type TestGuest } from '@gatehouse/console-proxy/test-guests';
import { TestProxies, until } from '@gatehouse/console-proxy/test-proxy';
import { makeCertificate } from '../servers/certificates.ts';
import { freePort } from '../servers/free-port.ts';
import { accepts, makeTempFolder, removeTempFolder, startServer, type ServerProcess } from '../servers/server-process.ts';

const CLIENT = '127.0.0.77';
const DOCUMENT = new URL('../../docs/operating.md', import.meta.url);

/** The document's configuration, changed where each of these stands in it. */
function configWith(changes: Readonly<Record<string, string>>): string {
  const [, block] = /```\n(listen consoles\n[^`]+)```/.exec(readFileSync(DOCUMENT, 'utf8')) ?? assert.fail('no configuration in docs/operating.md');
  let text = block!;
  for (const [from, to] of Object.entries(changes)) {
    assert.ok(text.includes(from), `docs/operating.md has no ${from}`);
    text = text.replace(from, to);
  }
  return text;
}

for (const how of ['send-proxy', 'send-proxy-v2', 'send-proxy-v2-ssl', 'send-proxy-v2 proxy-v2-options unique-id,crc32c check inter 200ms']) {
  for (const isTls of [false, true]) {
    describe(`a console proxy ${isTls ? 'with TLS ' : ''}behind haproxy's ${how}`, function () {
      this.timeout(30_000);
      let proxies: TestProxies;
      let guest: TestGuest;
      let haproxy: ServerProcess;
      let folder: string;
      let port: number;
      before(async () => {
        folder = makeTempFolder('tcp-balancer');
        const { certificate, key } = makeCertificate(folder, 'edge');
        proxies = new TestProxies();
        await proxies.auth.serve(proxies.transport);
        guest = await startGuest(echo);
        proxies.auth.consoles.set('good', { instanceName: 'demo-1', consoleType: 'serial', port: guest.port });
        const tls = isTls ? { proxyTlsCert: certificate, proxyTlsKey: key } : {};
        await proxies.start('proxy-1', { proxyProtocolFrom: ['127.0.0.1'], proxyHeaderTimeout: 5, ...tls });
        port = await freePort();
        const proxyPort = new URL(proxies.urlOf('proxy-1')).port;
        writeFileSync(join(folder, 'haproxy.cfg'), configWith({ 'bind :443': `bind 127.0.0.1:${port}`, '10.0.0.11:6080 send-proxy-v2': `127.0.0.1:${proxyPort} ${how}` }));
        haproxy = await startServer({ name: 'haproxy', command: '/usr/sbin/haproxy', args: ['-db', '-f', join(folder, 'haproxy.cfg')], isReady: () => accepts(port) });
      });
      after(async () => {
        await haproxy?.stop();
        await proxies.close();
        await guest.close();
        removeTempFolder(folder);
      });

      function open(token: string, words = 'hello'): { readonly socket: WebSocket; readonly heard: () => string; readonly closed: Promise<number> } {
        const socket = new WebSocket(`${isTls ? 'wss' : 'ws'}://127.0.0.1:${port}/?token=${token}`, ['binary'], { localAddress: CLIENT, rejectUnauthorized: false });
        let heard = '';
        socket.on('error', () => {});
        socket.on('open', () => socket.send(Buffer.from(words)));
        socket.on('message', (bytes: Buffer) => (heard += bytes.toString()));
        return { socket, heard: () => heard, closed: once(socket, 'close').then(([code]: unknown[]) => code as number) };
      }

      it('opens consoles, of whoever the balancer says', async () => {
        const words = 'x'.repeat(200_000);
        const { socket, heard, closed } = open('good', words);
        await until(() => heard().length === words.length, 'the echo');
        assert.match(proxies.logged, new RegExp(`"client_address":"${CLIENT}".*"console open"`));
        socket.close();
        await closed;
      });

      it('refuses in the name of the client, and believes none of its headers', async () => {
        const socket = new WebSocket(`${isTls ? 'wss' : 'ws'}://127.0.0.1:${port}/`, { localAddress: CLIENT, rejectUnauthorized: false, headers: { 'x-forwarded-for': '203.0.113.1' } });
        socket.on('error', () => {});
        assert.deepEqual((await once(socket, 'close'))[0], 4401);
        assert.deepEqual(proxies.audited.map(({ clientAddress }) => clientAddress), [CLIENT]);
      });

      it('opens one console after the other', async () => {
        for (let time = 0; time < 20; time += 1) {
          const { socket, heard, closed } = open('good', `${time}`);
          await until(() => heard() === `${time}`, 'the echo');
          socket.close();
          await closed;
        }
        assert.doesNotMatch(proxies.logged, /PROXY header/);
      });
    });
  }
}
