/** TLS to the hosts of consoles, with certificates that openssl made: who is let in, who is not, and what is said of it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, type AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import { createServer, type Server, type TlsOptions } from 'node:tls';
import { createLogger } from '@gatehouse/runtime/logger';
import { makeCertificate, makeSignedCertificate, type CertificateFiles } from '../../../../test/servers/certificates.ts';
import { freePort } from '../../../../test/servers/free-port.ts';
import { accepts, makeTempFolder, removeTempFolder, startServer, type ServerProcess } from '../../../../test/servers/server-process.ts';
import { readExactly } from './handshake-bytes.ts';
import { HostTls } from './host-tls.ts';
import { dial, refusalOf, startHost, type Refusal, type TestDial } from './test-host.ts';

const IDENTITY = "The console's host could not prove that it is the right one.";
const INSECURE = "The connection to the console's host could not be secured.";
const STRANGER = "The console's host did not accept this proxy.";

describe('TLS to the host of a console', () => {
  let folder: string;
  let authority: CertificateFiles;
  let other: CertificateFiles;
  let good: CertificateFiles;
  let own: CertificateFiles;
  const servers: Server[] = [];

  before(() => {
    folder = makeTempFolder('dial-tls');
    authority = makeCertificate(folder, 'authority');
    other = makeCertificate(folder, 'other');
    good = makeSignedCertificate(folder, 'good', authority, 'IP:127.0.0.1');
    own = makeSignedCertificate(folder, 'own', authority, 'DNS:proxy-1');
  });
  after(() => removeTempFolder(folder));
  afterEach(() => servers.splice(0).forEach((server) => server.close()));

  const startTls = async ({ certificate, key }: CertificateFiles, options: TlsOptions = {}): Promise<number> => {
    const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key), ...options }, (socket) => {
      socket.on('error', () => {});
      socket.end('a console');
    });
    servers.push(server);
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const required = (): Pick<TestDial, 'consoleType' | 'dialTls' | 'dialTlsCa'> => ({ consoleType: 'serial', dialTls: 'required', dialTlsCa: authority.certificate });
  const refused = (port: number, config: Partial<TestDial> = {}): Promise<Refusal> => refusalOf(dial({ port, ...required(), ...config }));
  const opened = async (port: number, config: Partial<TestDial> = {}): Promise<void> => {
    const stream = await dial({ port, ...required(), ...config });
    assert.equal((await readExactly(stream, 9, 'words')).toString(), 'a console');
    stream.destroy();
  };

  describe('is refused', () => {
    const certificates: readonly (readonly [string, () => CertificateFiles, RegExp])[] = [
      ['of another authority', () => makeSignedCertificate(folder, 'foreign', other, 'IP:127.0.0.1'), /the certificate of foreign \(issuer other, .* is refused: UNABLE_TO_VERIFY_LEAF_SIGNATURE; trusted is .*authority\.pem/],
      ['signed by itself', () => makeCertificate(folder, 'selfish'), /the certificate of selfish \(issuer selfish, .* is refused: DEPTH_ZERO_SELF_SIGNED_CERT/],
      ['of another address', () => makeSignedCertificate(folder, 'elsewhere', authority, 'IP:127.0.0.2,DNS:compute-2'), /the certificate of elsewhere .*names IP Address:127\.0\.0\.2, DNS:compute-2, .* is refused: it is not for 127\.0\.0\.1 or compute-1/],
      ['of the right name, but only as its common name', () => makeSignedCertificate(folder, 'compute-1', authority, ''), /the certificate of compute-1 .*names none, .* is refused: it is not for 127\.0\.0\.1 or compute-1/],
    ];
    for (const [what, make, detail] of certificates) {
      it(`with a certificate ${what}: the user reads little, the log has the names`, async () => {
        const refusal = await refused(await startTls(make()));
        assert.deepEqual([refusal.code, refusal.words], ['UNAVAILABLE', IDENTITY]);
        assert.match(refusal.detail, detail);
      });
    }

    it('with TLS before 1.2', async () => {
      const ciphers = 'DEFAULT@SECLEVEL=0';
      const { words, detail } = await refused(await startTls(good, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers }));
      assert.equal(words, INSECURE);
      assert.match(detail, /TLS failed: .*(unsupported protocol|alert protocol version|version)/i);
    });

    for (const [what, parts] of Object.entries({ 'does not speak TLS': ['login: '], 'closes at once': ['end'], 'closes after the first bytes': [10, 'end'] } as const)) {
      it(`by a host that ${what}`, async () => {
        const host = await startHost(...parts);
        const { code, words } = await refused(host.port);
        assert.deepEqual([code, words], ['UNAVAILABLE', INSECURE]);
        await host.close();
      });
    }

    it('by a host that falls silent: in time', async () => {
      const host = await startHost();
      assert.equal((await refused(host.port, { timeoutMs: 300 })).code, 'DEADLINE_EXCEEDED');
      await host.close();
    });

    for (const version of ['tls1_2', 'tls1_3'] as const) {
      describe(`where OpenSSL asks for a client certificate, by ${version},`, () => {
        let server: ServerProcess;
        let port: number;
        before(async () => {
          port = await freePort();
          const files = ['-cert', good.certificate, '-key', good.key, '-CAfile', authority.certificate];
          const args = ['s_server', '-accept', `127.0.0.1:${port}`, `-${version}`, ...files, '-Verify', '1', '-verify_return_error', '-www'];
          server = await startServer({ name: 'openssl s_server', command: 'openssl', args, isReady: () => accepts(port) });
        });
        after(() => server.stop());

        it('when there is none', async () => {
          const { words, detail } = await refused(port);
          assert.equal(words, STRANGER);
          assert.match(detail, /it may ask for a client certificate, and GATEHOUSE_DIAL_TLS_CERT is not set/);
        });

        it('when it does not trust ours', async () => {
          const wrong = makeSignedCertificate(folder, 'wrong-client', other, 'DNS:proxy-1');
          const { words, detail } = await refused(port, { dialTlsCert: wrong.certificate, dialTlsKey: wrong.key });
          assert.equal(words, STRANGER);
          assert.match(detail, /it may not trust the certificate of GATEHOUSE_DIAL_TLS_CERT/);
        });

        it('but not when it trusts ours', async () => {
          const stream = await dial({ port, ...required(), dialTlsCert: own.certificate, dialTlsKey: own.key });
          stream.write('GET / HTTP/1.0\r\n\r\n');
          assert.equal((await readExactly(stream, 13, 'an answer')).toString(), 'HTTP/1.0 200 ');
          stream.destroy();
        });
      });
    }

    it('without an authority, where the console takes TLS alone', async () => {
      const { words, detail } = await refused(await startTls(good), { dialTls: 'off', dialTlsCa: null, options: { tls_required: 'true' } });
      assert.equal(words, 'This console proxy is not set up for that console.');
      assert.match(detail, /GATEHOUSE_DIAL_TLS_CA is not set/);
    });
  });

  describe('opens', () => {
    for (const names of ['IP:127.0.0.1', 'DNS:compute-1', 'DNS:other,DNS:compute-1']) {
      it(`for a certificate of ${names}: the address that is dialled, or the host's name`, async () => {
        await opened(await startTls(makeSignedCertificate(folder, 'named', authority, names)));
      });
    }

    it('a SPICE console at its TLS port', async () => {
      await opened(1, { consoleType: 'spice-html5', options: { tls_port: String(await startTls(good)) } });
    });

    it('a SPICE console that has no other port, or says that it takes TLS alone', async () => {
      const off = { consoleType: 'spice-html5', dialTls: 'off' } as const;
      await opened(-1, { ...off, options: { tls_port: String(await startTls(good)) } });
      await opened(await startTls(good), { ...off, options: { tls_required: 'true' } });
    });

    it('in clear where TLS is off and the host has both', async () => {
      const host = await startHost('a console');
      await opened(host.port, { consoleType: 'spice-html5', dialTls: 'off', options: { tls_port: '1' } });
      await host.close();
    });
  });
});

describe('the certificates for hosts', () => {
  let folder: string;
  before(() => (folder = makeTempFolder('dial-renewal')));
  after(() => removeTempFolder(folder));

  it('count when their files change, and stay when what came cannot be used', async () => {
    const [first, second] = [makeCertificate(folder, 'first'), makeCertificate(folder, 'second')];
    const host = makeSignedCertificate(folder, 'host', second, 'IP:127.0.0.1');
    const server = createServer({ cert: readFileSync(host.certificate), key: readFileSync(host.key) }, (socket) => socket.on('error', () => {}));
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const path = `${folder}/trusted.pem`;
    copyFileSync(first.certificate, path);
    let logged = '';
    const log = createLogger({ service: 'test', level: 'info', destination: new Writable({ write: (chunk: Buffer, _encoding, done) => ((logged += chunk.toString()), done()) }) });
    const tls = new HostTls({ authority: path, own: null }, log);
    const secure = async (): Promise<void> => {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
      socket.on('error', () => {});
      (await tls.secure(socket, ['127.0.0.1'])).destroy();
    };
    await assert.rejects(secure(), { message: IDENTITY });
    copyFileSync(second.certificate, path);
    await secure();
    assert.match(logged, /were read again/);
    writeFileSync(path, 'nothing of use');
    await secure();
    await secure();
    assert.equal(logged.match(/cannot be used; those from before stay/g)?.length, 1);
    assert.match(logged, /GATEHOUSE_DIAL_TLS_CA names .*trusted\.pem, which is no PEM file/);
    server.close();
  });
});
