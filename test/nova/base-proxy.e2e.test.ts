/**
 * Replays nova/tests/unit/cmd/test_baseproxy.py, and what test_websocketproxy.py says of TLS: what a proxy is started with, what
 * it refuses to start with, and which TLS its clients must speak; with certificates of openssl's.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect, type SecureVersion } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { consoleProxyConfig, type ConsoleProxyConfig } from '@gatehouse/console-proxy/config';
import { echo, startGuest, type TestGuest } from '@gatehouse/console-proxy/test-guests';
import { TestProxies } from '@gatehouse/console-proxy/test-proxy';
import { makeCertificate, type CertificateFiles } from '../servers/certificates.ts';
import { makeTempFolder, removeTempFolder } from '../servers/server-process.ts';
import { hello, say } from './proxy-visitor.ts';

const MAIN = fileURLToPath(import.meta.resolve('@gatehouse/console-proxy/main'));

describe("Nova's tests of its proxies' start", function () {
  this.timeout(60_000);
  let folder: string;
  let pair: CertificateFiles;
  let proxies: TestProxies;
  let guest: TestGuest;

  before(async () => {
    folder = makeTempFolder('nova-base');
    pair = makeCertificate(folder, 'proxy');
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    guest = await startGuest(echo);
    proxies.auth.consoles.set('good', { instanceName: 'vm', consoleType: 'serial', port: guest.port });
  });
  after(async () => {
    await proxies.close();
    await guest.close();
    removeTempFolder(folder);
  });

  /** The proxy's own process, which does not come so far as to look for its broker. */
  async function startFails(settings: Readonly<Record<string, string>>): Promise<string> {
    const env = { PATH: process.env['PATH'], GATEHOUSE_TRANSPORT_URL: 'amqp://127.0.0.1:1', GATEHOUSE_PROXY_PORT: '0', GATEHOUSE_OPS_PORT: '0', ...settings };
    const child = spawn(process.execPath, ['--import', 'tsx', MAIN], { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 40_000 });
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close') as Promise<[number | null]>]);
    assert.equal(code, 1, out + err);
    return out + err;
  }

  const startTls = async (name: string, settings: Partial<ConsoleProxyConfig> = {}): Promise<string> => {
    await proxies.start(name, { proxyTlsCert: pair.certificate, proxyTlsKey: pair.key, ...settings });
    return proxies.urlOf(name);
  };

  /** What a client of exactly this version and these ciphers agrees on; null when on nothing. */
  async function agreed(url: string, version: SecureVersion, ciphers = 'DEFAULT'): Promise<string | null> {
    const { hostname, port } = new URL(url);
    // A level of 0, for versions that OpenSSL would not even ask for.
    const socket = connect({ host: hostname, port: Number(port), ca: readFileSync(pair.certificate), minVersion: version, maxVersion: version, ciphers: `${ciphers}:@SECLEVEL=0` });
    try {
      await once(socket, 'secureConnect');
      return socket.getCipher().standardName;
    } catch {
      return null;
    } finally {
      socket.destroy();
    }
  }

  it('test_proxy_ssl_without_cert: a certificate that is not there is named, with its setting, and the proxy does not start', async () => {
    const missing = join(folder, 'self.pem');
    const said = await startFails({ GATEHOUSE_PROXY_TLS_CERT: missing });
    assert.ok(said.includes(`GATEHOUSE_PROXY_TLS_CERT names ${missing}, which cannot be read (ENOENT)`), said);
  });

  it('test_proxy_exit_with_error: nor does it with a key alone, or a certificate of another key', async () => {
    await assert.rejects(proxies.start('keyless', { proxyTlsKey: pair.key }), /GATEHOUSE_PROXY_TLS_KEY is set without GATEHOUSE_PROXY_TLS_CERT/);
    const { key } = makeCertificate(folder, 'other');
    await assert.rejects(proxies.start('mixed', { proxyTlsCert: pair.certificate, proxyTlsKey: key }), /GATEHOUSE_PROXY_TLS_KEY names .* does not hold the key of that certificate/);
  });

  it('test_proxy: one port for pages and WebSockets, the loopback and clear unless told, and no folder of files', async () => {
    const { proxyPort, bindAddress, proxyTlsCert, proxyTlsKey, proxyTlsCiphers, proxyTlsMinVersion } = consoleProxyConfig.parse({});
    assert.deepEqual([proxyPort, bindAddress, proxyTlsCert, proxyTlsKey, proxyTlsCiphers, proxyTlsMinVersion], [6080, '127.0.0.1', null, null, null, 'default']);
    await proxies.start('clear');
    const url = proxies.urlOf('clear');
    assert.equal((await hello(url, '/?token=good')).code, null);
    assert.match(await say(url, 'GET /vnc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 200 [^]*<html/);
    assert.match(await say(url, 'GET /assets/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 404 /);
  });

  it('test_proxy_ssl_settings: the version and the ciphers that are set are those that are spoken', async () => {
    const ciphers = 'ECDHE-ECDSA-AES256-GCM-SHA384';
    const url = await startTls('settings', { proxyTlsCiphers: ciphers });
    assert.equal(await agreed(url, 'TLSv1.2'), 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384');
    assert.equal(await agreed(url, 'TLSv1.2', 'ECDHE-ECDSA-AES128-GCM-SHA256'), null);
    // With both, as in Nova's test.
    const newest = await startTls('both', { proxyTlsCiphers: 'ALL:!aNULL', proxyTlsMinVersion: 'tlsv1_3' });
    assert.deepEqual([await agreed(newest, 'TLSv1.2'), (await agreed(newest, 'TLSv1.3'))?.startsWith('TLS_')], [null, true]);
  });

  it('test_ssl_min_version_is_not_set: TLS 1.2 at least, whatever the system would allow', async () => {
    const url = await startTls('unset');
    assert.match(url, /^https:/);
    assert.deepEqual([await agreed(url, 'TLSv1.1'), (await agreed(url, 'TLSv1.2')) !== null, (await agreed(url, 'TLSv1.3')) !== null], [null, true, true]);
  });

  it("test_ssl_min_version_not_set_by_default: `default` is Nova's word for that", async () => {
    const url = await startTls('default', { proxyTlsMinVersion: 'default' });
    assert.deepEqual([await agreed(url, 'TLSv1.1'), (await agreed(url, 'TLSv1.2')) !== null], [null, true]);
  });

  it('test_non_default_ssl_min_version_is_set: tlsv1_3 refuses 1.2; tlsv1_1 takes 1.1 where the ciphers allow it', async () => {
    const newest = await startTls('newest', { proxyTlsMinVersion: 'tlsv1_3' });
    assert.deepEqual([await agreed(newest, 'TLSv1.2'), (await agreed(newest, 'TLSv1.3')) !== null], [null, true]);
    const oldest = await startTls('oldest', { proxyTlsMinVersion: 'tlsv1_1', proxyTlsCiphers: 'DEFAULT:@SECLEVEL=0' });
    assert.notEqual(await agreed(oldest, 'TLSv1.1'), null);
  });

  it('ssl_only, measured: a port with a certificate answers nobody in clear; a console opens by WSS', async () => {
    const url = await startTls('only');
    // A connection that is reset is no answer, either.
    assert.equal(await say(url, 'GET /vnc HTTP/1.1\r\nHost: x\r\n\r\n').catch(() => ''), '');
    const socket = new WebSocket(`${url.replace('https', 'wss')}/?token=good`, ['binary'], { ca: readFileSync(pair.certificate), origin: url });
    await once(socket, 'open');
    socket.send(Buffer.from('hello'));
    const [data] = (await once(socket, 'message')) as [Buffer];
    assert.equal(data.toString(), 'hello');
    socket.terminate();
  });

  it('test_new_websocket_client_http_forwarded_proto_https (by TLS): the header of a trusted proxy replaces the scheme of the Origin, of others it is nothing', async () => {
    const opens = async (url: string, headers: Readonly<Record<string, string>>): Promise<boolean> => {
      const socket = new WebSocket(`${url.replace('https', 'wss')}/?token=good`, ['binary'], { ca: readFileSync(pair.certificate), headers });
      socket.on('error', () => {});
      socket.on('open', () => socket.send(Buffer.from('hello')));
      const heard = once(socket, 'message').then(() => true);
      const closed = once(socket, 'close').then(([code]: unknown[]) => (assert.equal(code, 4403), false));
      const isOpen = await Promise.race([heard, closed]);
      socket.terminate();
      return isOpen;
    };
    const inClear = { origin: 'http://example.net:6080', host: 'example.net:6080' };
    const forwarded = { ...inClear, 'x-forwarded-proto': 'https' };
    const direct = await startTls('direct');
    assert.deepEqual([await opens(direct, inClear), await opens(direct, forwarded)], [false, false]);
    const behind = await startTls('behind', { trustedProxies: ['127.0.0.1'] });
    assert.deepEqual([await opens(behind, inClear), await opens(behind, forwarded)], [false, true]);
  });
});
