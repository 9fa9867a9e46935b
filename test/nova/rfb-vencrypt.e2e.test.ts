/**
 * Replays nova/tests/unit/console/rfb/test_authvencrypt.py with real TLS: a VNC server that plays its part of VeNCrypt as the test
 * wants it, certificates of openssl's, the proxy in between and a client that speaks RFB.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { TLSSocket, type TLSSocketOptions } from 'node:tls';
import { startGuest, type TestGuest } from '@gatehouse/console-proxy/test-guests';
import { TestProxies, until } from '@gatehouse/console-proxy/test-proxy';
import { makeCertificate, makeSignedCertificate, type CertificateFiles } from '../servers/certificates.ts';
import { makeTempFolder, removeTempFolder } from '../servers/server-process.ts';
import { Incoming, RawWebSocket } from './proxy-visitor.ts';

const V38 = 'RFB 003.008\n';
const SERVER_INIT = 'a ServerInit';
const [VENCRYPT, X509_NONE, X509_VNC] = [19, 260, 261];
const NO_SECURITY = "The console's host offers no security that this proxy accepts.";

/** What the server says at each step; by default all goes well. */
interface Server {
  readonly version?: readonly [number, number];
  readonly refusesVersion?: boolean;
  readonly kinds?: readonly number[];
  readonly accepts?: number;
  /** In place of TLS. */
  readonly garbage?: string;
  readonly certificate?: CertificateFiles;
  readonly tls?: TLSSocketOptions;
}

describe("Nova's tests of VeNCrypt", function () {
  this.timeout(30_000);
  let folder: string;
  let authority: CertificateFiles;
  let good: CertificateFiles;
  let own: CertificateFiles;
  let proxies: TestProxies;
  let host: TestGuest;
  let server: Server;
  /** What the proxy said, in bytes; and who it proved to be. */
  let heard: number[];
  let shown: string | null;

  before(async () => {
    folder = makeTempFolder('nova-vencrypt');
    authority = makeCertificate(folder, 'authority');
    good = makeSignedCertificate(folder, 'good', authority, 'IP:127.0.0.1');
    own = makeSignedCertificate(folder, 'proxy-1', authority, 'DNS:proxy-1');
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    host = await startGuest((socket) => void play(socket).catch(() => socket.destroy()));
    proxies.auth.consoles.set('screen', { instanceName: 'vm', consoleType: 'novnc', port: host.port });
    const settings = { vncAuthSchemes: ['none' as const, 'vencrypt' as const], dialTlsCa: authority.certificate };
    await proxies.start('proxy', settings);
    await proxies.start('proving', { ...settings, dialTlsCert: own.certificate, dialTlsKey: own.key });
  });
  beforeEach(() => {
    [heard, shown, proxies.logged] = [[], null, ''];
  });
  after(async () => {
    await proxies.close();
    await host.close();
    removeTempFolder(folder);
  });

  async function play(socket: Socket): Promise<void> {
    const { version = [0, 2], refusesVersion = false, kinds = [X509_NONE, X509_VNC], accepts = 1, garbage } = server;
    const incoming = new Incoming(socket);
    const hear = async (count: number): Promise<void> => void heard.push(...(await incoming.take(count)));
    socket.write(V38);
    await incoming.take(12);
    socket.write(Buffer.of(2, 16, VENCRYPT));
    await hear(1);
    socket.write(Buffer.of(...version));
    await hear(2);
    socket.write(Buffer.of(refusesVersion ? 1 : 0));
    const list = Buffer.alloc(1 + 4 * kinds.length, kinds.length);
    kinds.forEach((kind, at) => list.writeUInt32BE(kind, 1 + 4 * at));
    socket.write(list);
    await hear(4);
    socket.removeAllListeners('data');
    socket.pause();
    socket.write(Buffer.of(accepts));
    if (garbage === undefined) await secure(socket);
    else socket.end(garbage);
  }

  async function secure(socket: Socket): Promise<void> {
    const { certificate, key } = server.certificate ?? good;
    const tls = new TLSSocket(socket, { isServer: true, cert: readFileSync(certificate), key: readFileSync(key), ...server.tls });
    const incoming = new Incoming(tls);
    tls.write(Buffer.alloc(4));
    assert.deepEqual([...(await incoming.take(1))], [1], 'ClientInit');
    shown = tls.getPeerCertificate().subject?.CN?.toString() ?? 'nobody';
    tls.write(SERVER_INIT);
  }

  async function open(proxy: string, played: Server): Promise<RawWebSocket> {
    server = played;
    const { raw } = await RawWebSocket.open(proxies.urlOf(proxy), '/?token=screen', { 'Sec-WebSocket-Protocol': 'binary' });
    return raw;
  }

  /** To the guest's first byte; the client has seen None, whatever was proved to the host. */
  async function assertOpens(proxy: string, played: Server): Promise<void> {
    const client = await open(proxy, played);
    assert.equal((await client.bytes(12)).toString(), V38);
    client.say(V38);
    assert.deepEqual([...(await client.bytes(2))], [1, 1]);
    client.say(Buffer.of(1));
    assert.deepEqual(await client.bytes(4), Buffer.alloc(4));
    client.say(Buffer.of(1));
    assert.equal((await client.bytes(SERVER_INIT.length)).toString(), SERVER_INIT);
    client.destroy();
  }

  /** What Nova names RFBAuthHandshakeFailed; its client reads words, and the log why. */
  async function assertFails(played: Server, words: string, logged: RegExp, said: readonly number[]): Promise<void> {
    const client = await open('proxy', played);
    const { code, reason, before } = await client.goodbye();
    assert.deepEqual({ code, reason }, { code: 4503, reason: words });
    assert.ok(before.startsWith(`${V38}\0`) && before.endsWith(words), before);
    await until(() => logged.test(proxies.logged), `${logged} in the log`);
    assert.deepEqual(heard, said);
    client.destroy();
  }

  it('test_security_handshake_with_x509: the proxy shows its certificate to a host that asks for one', async () => {
    const asking = { requestCert: true, rejectUnauthorized: true, ca: readFileSync(authority.certificate) };
    await assertOpens('proving', { tls: asking });
    assert.deepEqual(heard, [VENCRYPT, 0, 2, 0, 0, 1, 4]);
    assert.equal(shown, 'proxy-1');
  });

  it('test_security_handshake_without_x509: where none is set the host is verified all the same', async () => {
    await assertOpens('proxy', {});
    assert.deepEqual([heard, shown], [[VENCRYPT, 0, 2, 0, 0, 1, 4], 'nobody']);
  });

  it('test_security_handshake_fails_on_low_version: 0.1 is not spoken', () =>
    assertFails({ version: [0, 1] }, NO_SECURITY, /speaks VeNCrypt 0\.1; this proxy speaks 0\.2/, [VENCRYPT]));

  it('test_security_handshake_fails_on_cant_use_version: nor with a host that offers 0.2 and cannot', () =>
    assertFails({ refusesVersion: true }, NO_SECURITY, /offered VeNCrypt 0\.2 and could not speak it/, [VENCRYPT, 0, 2]));

  it('test_security_handshake_fails_on_missing_subauth: X509Vnc alone takes a password, which is not set; unknown kinds are passed over', async () => {
    await assertFails({ kinds: [X509_VNC, 999] }, NO_SECURITY, /it offers 261 \(X509Vnc\), 999 within VeNCrypt/, [VENCRYPT, 0, 2]);
    [heard, proxies.logged] = [[], ''];
    await assertFails({ kinds: [] }, NO_SECURITY, /offers none at all within VeNCrypt/, [VENCRYPT, 0, 2]);
    await assertOpens('proxy', { kinds: [999, 257, X509_NONE] });
  });

  it('test_security_handshake_fails_on_auth_not_accepted: a host that does not take what it offered', () =>
    assertFails({ accepts: 0 }, NO_SECURITY, /offered 260 \(X509None\) and did not accept it/, [VENCRYPT, 0, 2, 0, 0, 1, 4]));

  it('test_security_handshake_fails_on_ssl_failure: what is no TLS, who is not the host, and what nobody signed', async () => {
    const said = [VENCRYPT, 0, 2, 0, 0, 1, 4];
    const identity = "The console's host could not prove that it is the right one.";
    const cases: readonly (readonly [Server, string, RegExp])[] = [
      [{ garbage: 'no TLS at all' }, "The connection to the console's host could not be secured.", /TLS failed/],
      [{ certificate: makeCertificate(folder, 'selfish') }, identity, /selfish .* is refused/],
      // Nova takes this one: it looks at the signature alone.
      [{ certificate: makeSignedCertificate(folder, 'another', authority, 'DNS:another.example,IP:192.0.2.1') }, identity, /another .* is refused/],
    ];
    for (const [played, words, logged] of cases) {
      [heard, proxies.logged] = [[], ''];
      await assertFails(played, words, logged, said);
    }
  });
});
