/** VeNCrypt towards a host, byte by byte up to TLS and through it. Named after Nova's tests where there is one. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { makeCertificate, makeSignedCertificate, type CertificateFiles } from '../../../../test/servers/certificates.ts';
import { makeTempFolder, removeTempFolder } from '../../../../test/servers/server-process.ts';
import { readExactly } from './handshake-bytes.ts';
import { dial, refusalOf, startHost, type Part, type TestDial } from './test-host.ts';
import { answerChallenge } from './vnc-password.ts';

const V38 = 'RFB 003.008\n';
const NO_SECURITY = "The console's host offers no security that this proxy accepts.";
const INSECURE = "The connection to the console's host could not be secured.";
const IDENTITY = "The console's host could not prove that it is the right one.";
/** Up to the point where VeNCrypt says its version. */
const BEFORE: readonly Part[] = [V38, 12, '\x01\x13', 1];
const CHALLENGE = Buffer.from('sixteen  bytes..');

describe('VeNCrypt to the host of a VNC console', () => {
  let folder: string;
  let authority: CertificateFiles;
  let host: CertificateFiles;
  let passwordFile: string;
  const servers: Server[] = [];
  before(() => {
    folder = makeTempFolder('vencrypt');
    authority = makeCertificate(folder, 'authority');
    host = makeSignedCertificate(folder, 'host', authority, 'DNS:compute-1');
    passwordFile = `${folder}/password`;
    writeFileSync(passwordFile, 'secret');
  });
  after(() => removeTempFolder(folder));
  afterEach(() => servers.splice(0).forEach((server) => server.close()));

  const config = (): Partial<TestDial> => ({ vncAuthSchemes: ['vencrypt'], dialTlsCa: authority.certificate });

  describe('is refused when the host', () => {
    const table: readonly (readonly [string, readonly Part[], string, RegExp])[] = [
      ['speaks VeNCrypt 0.1 (test_security_handshake_fails_on_low_version)', ['\0\x01'], NO_SECURITY, /it speaks VeNCrypt 0\.1; this proxy speaks 0\.2/],
      ['cannot speak the version that it offered (test_security_handshake_fails_on_cant_use_version)', ['\0\x02', 2, '\x01'], NO_SECURITY, /offered VeNCrypt 0\.2 and could not speak it/],
      ['offers X509Vnc alone, and there is no password (test_security_handshake_fails_on_missing_subauth)', ['\0\x02', 2, '\0\x01\0\0\x01\x05'], NO_SECURITY, /it offers 261 \(X509Vnc\) within VeNCrypt; accepted is 260 \(X509None\)/],
      ['offers TLS without certificates, which proves nothing', ['\0\x02', 2, '\0\x03\0\0\x01\x01\0\0\x01\x02\0\0\x01\x00'], NO_SECURITY, /it offers 257 \(TLSNone\), 258 \(TLSVnc\), 256 \(Plain\) within VeNCrypt/],
      ['offers nothing', ['\0\x02', 2, '\0\0'], NO_SECURITY, /it offers none at all within VeNCrypt/],
      ['does not accept what it offered (test_security_handshake_fails_on_auth_not_accepted)', ['\0\x02', 2, '\0\x01\0\0\x01\x04', 4, '\0'], NO_SECURITY, /it offered 260 \(X509None\) and did not accept it/],
      ['speaks no TLS then (test_security_handshake_fails_on_ssl_failure)', ['\0\x02', 2, '\0\x01\0\0\x01\x04', 4, '\x01this is no TLS record'], INSECURE, /TLS failed: /],
      ['closes instead of TLS', ['\0\x02', 2, '\0\x01\0\0\x01\x04', 4, '\x01', 'end'], INSECURE, /before secure TLS connection was established/],
      ['closes after its version', ['\0\x02', 2, 'end'], "The console's host closed the connection before the console was open.", /the word on the VeNCrypt version should have come/],
      ['closes within its kinds', ['\0\x02', 2, '\0\x02\0\0\x01\x04\0', 'end'], "The console's host closed the connection before the console was open.", /the kinds of VeNCrypt should have come \(after 5 bytes of it\)/],
    ];
    for (const [what, parts, words, detail] of table) {
      it(what, async () => {
        const actor = await startHost(...BEFORE, ...parts);
        const refusal = await refusalOf(dial({ port: actor.port, ...config() }));
        assert.deepEqual([refusal.code, refusal.words], ['UNAVAILABLE', words]);
        assert.match(refusal.detail, detail);
        await actor.close();
      });
    }

    const silences: Readonly<Record<string, readonly Part[]>> = {
      'the VeNCrypt version': ['\0'],
      'the word on the VeNCrypt version': ['\0\x02', 2],
      'the kinds of VeNCrypt': ['\0\x02', 2, '\0\xff\0\0\x01\x04'],
      'the word on the kind of VeNCrypt': ['\0\x02', 2, '\0\x01\0\0\x01\x04'],
    };
    it(`falls silent before the end of ${Object.keys(silences).join(', ')}`, async () => {
      // Each has to come so far in its time, so it is not short; they wait together.
      await Promise.all(Object.entries(silences).map(async ([step, parts]) => {
        const actor = await startHost(...BEFORE, ...parts);
        const refusal = await refusalOf(dial({ port: actor.port, timeoutMs: 1_500, ...config() }));
        assert.equal(refusal.code, 'DEADLINE_EXCEEDED');
        assert.ok(refusal.detail.includes(`where ${step} should have come`), refusal.detail);
        await actor.close();
      }));
    });

    it('falls silent within TLS', async () => {
      const actor = await startHost(...BEFORE, '\0\x02', 2, '\0\x01\0\0\x01\x04', 4, '\x01');
      assert.equal((await refusalOf(dial({ port: actor.port, timeoutMs: 250, ...config() }))).code, 'DEADLINE_EXCEEDED');
      await actor.close();
    });

    it('is another one, whoever signed its certificate (Nova verifies no name)', async () => {
      const port = await startVencrypt({ kind: 260, files: makeSignedCertificate(folder, 'elsewhere', authority, 'DNS:compute-2') });
      assert.equal((await refusalOf(dial({ port, ...config() }))).words, IDENTITY);
    });

    it('has a certificate that our authority did not sign', async () => {
      const port = await startVencrypt({ kind: 260, files: makeCertificate(folder, 'selfish') });
      assert.equal((await refusalOf(dial({ port, ...config() }))).words, IDENTITY);
    });
  });

  for (const [what, kind, secured] of [
    ['X509None, without a certificate of ours (test_security_handshake_without_x509; broken in Nova 34)', 260, {}],
    ['X509Vnc, the password inside TLS', 261, { withPassword: true }],
  ] as const) {
    it(`opens by ${what}`, async () => {
      const port = await startVencrypt({ kind, files: host });
      const stream = await dial({ port, ...config(), ...('withPassword' in secured ? { vncPasswordFile: passwordFile } : {}) });
      stream.write(`${V38}\x01\x01typed`);
      assert.equal((await readExactly(stream, 18 + 10, 'greeting and echo')).toString('latin1'), `${V38}\x01\x01\0\0\0\0echo\x01typed`);
      stream.destroy();
    });
  }

  /** A whole VeNCrypt server, which then says `echo` and what it hears. */
  async function startVencrypt({ kind, files }: { readonly kind: 260 | 261; readonly files: CertificateFiles }): Promise<number> {
    const server = createServer((socket) => void serve(socket).catch(() => socket.destroy()));
    const serve = async (socket: Socket): Promise<void> => {
      socket.on('error', () => {});
      socket.write(`${V38}\x01\x13\0\x02`, 'latin1');
      await readExactly(socket, 12 + 1 + 2, 'version, type and VeNCrypt');
      socket.write(Buffer.of(0, 2, 0, 0, 1, 255, 0, 0, kind >> 8, kind & 255));
      assert.equal((await readExactly(socket, 4, 'the kind')).readUInt32BE(), kind);
      socket.write(Buffer.of(1));
      const tls = new TLSSocket(socket, { isServer: true, cert: readFileSync(files.certificate), key: readFileSync(files.key) });
      tls.on('error', () => {});
      if (kind === 261) {
        tls.write(CHALLENGE);
        assert.deepEqual(await readExactly(tls, 16, 'the answer'), answerChallenge(Buffer.from('secret'), CHALLENGE));
      }
      tls.write(Buffer.from('\0\0\0\0echo', 'latin1'));
      tls.pipe(tls);
    };
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }
});
