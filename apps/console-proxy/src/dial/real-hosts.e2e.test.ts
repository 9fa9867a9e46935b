/**
 * Hosts as they are: TigerVNC and QEMU behind the proxy that dials them, and a client that goes through its WebSocket up to
 * the first picture, or to what it typed on a serial line.
 */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { WebSocket } from 'ws';
import { makeCertificate, makeSignedCertificate, type CertificateFiles } from '../../../../test/servers/certificates.ts';
import { freePort } from '../../../../test/servers/free-port.ts';
import { accepts, makeTempFolder, removeTempFolder, startServer, type ServerProcess } from '../../../../test/servers/server-process.ts';
import type { ConsoleProxyConfig } from '../config.ts';
import type { TestConsole } from '../test-console-auth.ts';
import { TestProxies, until } from '../test-proxy.ts';
import { echoFirmware } from './echo-firmware.ts';
import { answerChallenge } from './vnc-password.ts';

/** With which TigerVNC's password files are written, the same for everybody. */
const TIGERVNC_KEY = Buffer.from([23, 82, 107, 6, 35, 78, 88, 7]);

/** SpiceLinkMess: protocol 2.2, the main channel, no capabilities. */
const SPICE_LINK = Buffer.from('52454451020000000200000012000000000000000100000000000000000012000000', 'hex');

describe('the proxy that dials', function () {
  this.timeout(60_000);
  let folder: string;
  let authority: CertificateFiles;
  let other: CertificateFiles;
  let host: CertificateFiles;
  let own: CertificateFiles;
  let passwordFile: string;
  let proxies: TestProxies;
  const running: ServerProcess[] = [];

  before(() => {
    folder = makeTempFolder('real-hosts');
    [authority, other] = [makeCertificate(folder, 'authority'), makeCertificate(folder, 'other')];
    host = makeSignedCertificate(folder, 'host', authority, 'IP:127.0.0.1');
    own = makeSignedCertificate(folder, 'own', authority, 'DNS:proxy-1');
    passwordFile = `${folder}/password`;
    writeFileSync(passwordFile, 'secret\n');
  });
  beforeEach(async () => {
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
  });
  afterEach(() => proxies.close());
  after(async () => {
    for (const server of running) await server.stop();
    removeTempFolder(folder);
  });

  const reach = async (target: Pick<TestConsole, 'consoleType' | 'port' | 'options'>, settings: Partial<ConsoleProxyConfig> = {}): Promise<Client> => {
    proxies.auth.consoles.set('it', { instanceName: 'vm', ...target });
    await proxies.start('proxy-1', settings);
    return new Client(proxies.urlOf('proxy-1'));
  };
  const vencrypt = (): Partial<ConsoleProxyConfig> => ({ vncAuthSchemes: ['vencrypt'], dialTlsCa: authority.certificate });
  const shown = (): Partial<ConsoleProxyConfig> => ({ dialTlsCert: own.certificate, dialTlsKey: own.key });
  /** Stock clients read it as a failure of the security check, the proxy's own pages in the close. */
  const refusedWith = async (client: Client, words: string, detail: RegExp): Promise<void> => {
    assert.deepEqual(await client.closed, { code: 4503, reason: words });
    assert.equal(client.heard.toString('latin1'), `RFB 003.008\n\0\0\0\0${String.fromCharCode(words.length)}${words}`);
    assert.match(proxies.logged, detail);
  };

  describe('to TigerVNC', () => {
    let port: number;

    const startTiger = async (...args: readonly string[]): Promise<void> => {
      port = await freePort();
      const display = `:${port}`;
      const options = ['-rfbport', String(port), '-interface', '127.0.0.1', '-geometry', '320x200', '-depth', '24', '-nolisten', 'unix', '-nolisten', 'tcp', ...args];
      running.push(await startServer({ name: 'Xtigervnc', command: 'Xtigervnc', args: [display, ...options], cwd: folder, isReady: () => accepts(port) }));
    };

    describe('with X509None', () => {
      before(() => startTiger('-SecurityTypes', 'X509None', '-X509Cert', host.certificate, '-X509Key', host.key));

      it('shows the screen', async () => {
        const client = await reach({ consoleType: 'novnc', port }, vencrypt());
        assert.deepEqual(await client.firstPicture(), { width: 320, height: 200 });
        client.socket.close();
      });

      it('refuses it when another authority is trusted', async () => {
        const client = await reach({ consoleType: 'novnc', port }, { ...vencrypt(), dialTlsCa: other.certificate });
        await refusedWith(client, "The console's host could not prove that it is the right one.", /certificate of host \(issuer authority, .*UNABLE_TO_VERIFY_LEAF_SIGNATURE; trusted is [^"]*other\.pem/);
      });

      it('refuses it when only None is accepted', async () => {
        const client = await reach({ consoleType: 'novnc', port });
        await refusedWith(client, "The console's host offers no security that this proxy accepts.", /it offers 19 \(VeNCrypt\), and GATEHOUSE_VNC_AUTH_SCHEMES accepts 1 \(None\)/);
      });
    });

    describe('with a password', () => {
      before(async () => {
        const obfuscated = answerChallenge(TIGERVNC_KEY, Buffer.from('secret\0\0'));
        writeFileSync(`${folder}/tiger.passwd`, obfuscated);
        await startTiger('-SecurityTypes', 'X509Vnc,VncAuth', '-PasswordFile', `${folder}/tiger.passwd`, '-X509Cert', host.certificate, '-X509Key', host.key);
      });

      it('shows the screen, and its user is asked for none', async () => {
        const client = await reach({ consoleType: 'novnc', port }, { vncAuthSchemes: ['vnc'], vncPasswordFile: passwordFile });
        assert.deepEqual(await client.firstPicture(), { width: 320, height: 200 });
        client.socket.close();
      });

      it('shows the screen with the password inside TLS', async () => {
        const client = await reach({ consoleType: 'novnc', port }, { ...vencrypt(), vncPasswordFile: passwordFile });
        assert.deepEqual(await client.firstPicture(), { width: 320, height: 200 });
        client.socket.close();
      });

      it('is refused in its own words when the password is wrong', async () => {
        writeFileSync(`${folder}/wrong-password`, 'wr0ng-pw');
        const client = await reach({ consoleType: 'novnc', port }, { vncAuthSchemes: ['vnc'], vncPasswordFile: `${folder}/wrong-password` });
        await refusedWith(client, "The console's host refused: Authentication failure", /it refused: Authentication failure/);
        assert.ok(!proxies.logged.includes('wr0ng-pw'));
      });
    });
  });

  describe('to QEMU', () => {
    let ports: { readonly vnc: number; readonly elsewhere: number; readonly serial: number; readonly secured: number; readonly spice: number };

    before(async () => {
      ports = { vnc: await freePort(), elsewhere: await freePort(), serial: await freePort(), secured: await freePort(), spice: await freePort() };
      const wrong = makeSignedCertificate(folder, 'elsewhere', authority, 'IP:127.0.0.2');
      writeFileSync(`${folder}/echo.bin`, echoFirmware());
      const credentials = (id: string, files: CertificateFiles): string[] => {
        mkdirSync(`${folder}/${id}`);
        copyFileSync(authority.certificate, `${folder}/${id}/ca-cert.pem`);
        copyFileSync(files.certificate, `${folder}/${id}/server-cert.pem`);
        copyFileSync(files.key, `${folder}/${id}/server-key.pem`);
        return ['-object', `tls-creds-x509,id=${id},dir=${folder}/${id},endpoint=server,verify-peer=yes`];
      };
      const chardev = (id: string, port: number, more = ''): string[] =>
        ['-chardev', `socket,id=${id},host=127.0.0.1,port=${port},server=on,wait=off${more}`, '-device', `isa-serial,chardev=${id}`];
      const screen = (id: string, port: number, credential: string): string[] => ['-vnc', `127.0.0.1:${port - 5_900},id=${id},tls-creds=${credential}`];
      const args = [
        ...['-nodefaults', '-no-user-config', '-display', 'none', '-machine', 'pc', '-accel', 'tcg', '-m', '16', '-vga', 'std', '-bios', `${folder}/echo.bin`],
        ...[...credentials('right', host), ...credentials('wrong', wrong), ...screen('a', ports.vnc, 'right'), ...screen('b', ports.elsewhere, 'wrong')],
        ...[...chardev('line', ports.serial), ...chardev('secured', ports.secured, ',tls-creds=right')],
        ...['-spice', `addr=127.0.0.1,tls-port=${ports.spice},x509-dir=${folder}/right,disable-ticketing=on`],
      ];
      const isReady = async (): Promise<boolean> => (await accepts(ports.vnc)) && accepts(ports.elsewhere);
      running.push(await startServer({ name: 'qemu', command: 'qemu-system-x86_64', args, cwd: folder, isReady }));
    });

    it('shows its screen, which verifies the certificate of the proxy', async () => {
      const client = await reach({ consoleType: 'novnc', port: ports.vnc }, { ...vencrypt(), ...shown() });
      const { width, height } = await client.firstPicture();
      assert.ok(width >= 320 && height >= 200, `${width} x ${height}`);
      client.socket.close();
    });

    it('is refused without a certificate of its own, and the log says which setting that is', async () => {
      const client = await reach({ consoleType: 'novnc', port: ports.vnc }, vencrypt());
      await refusedWith(client, "The console's host did not accept this proxy.", /it may ask for a client certificate, and GATEHOUSE_DIAL_TLS_CERT is not set/);
    });

    it('refuses a screen whose certificate is of another authority', async () => {
      const client = await reach({ consoleType: 'novnc', port: ports.vnc }, { ...vencrypt(), ...shown(), dialTlsCa: other.certificate });
      await refusedWith(client, "The console's host could not prove that it is the right one.", /trusted is [^"]*other\.pem/);
    });

    it('refuses a screen whose certificate is for another address', async () => {
      const client = await reach({ consoleType: 'novnc', port: ports.elsewhere }, { ...vencrypt(), ...shown() });
      await refusedWith(client, "The console's host could not prove that it is the right one.", /names IP Address:127\.0\.0\.2, .*it is not for 127\.0\.0\.1 or localhost/);
    });

    it('carries a serial line in clear', async () => {
      const client = await reach({ consoleType: 'serial', port: ports.serial });
      assert.equal(await client.echoOf('typed in clear'), 'typed in clear');
      client.socket.close();
    });

    it('carries a serial line in TLS', async () => {
      const client = await reach({ consoleType: 'serial', port: ports.secured }, { dialTls: 'required', dialTlsCa: authority.certificate, ...shown() });
      assert.equal(await client.echoOf('typed in TLS'), 'typed in TLS');
      client.socket.close();
    });

    it('carries SPICE in TLS, at its TLS port', async () => {
      const client = await reach({ consoleType: 'spice-html5', port: -1, options: { tls_port: String(ports.spice) } }, { dialTlsCa: authority.certificate });
      const answer = await client.answerTo(SPICE_LINK, 20);
      assert.deepEqual([answer.subarray(0, 4).toString(), answer.readUInt32LE(16)], ['REDQ', 0]);
      client.socket.close();
    });

    it('refuses SPICE when another authority is trusted', async () => {
      const client = await reach({ consoleType: 'spice-html5', port: -1, options: { tls_port: String(ports.spice) } }, { dialTlsCa: other.certificate });
      client.socket.on('open', () => client.socket.send(SPICE_LINK));
      assert.deepEqual(await client.closed, { code: 4503, reason: "The console's host could not prove that it is the right one." });
    });

    it('is refused a serial line without a certificate of its own', async () => {
      const client = await reach({ consoleType: 'serial', port: ports.secured }, { dialTls: 'required', dialTlsCa: authority.certificate });
      assert.deepEqual(await client.closed, { code: 4503, reason: "The console's host did not accept this proxy." });
      assert.match(proxies.logged, /closed the connection right after TLS.*GATEHOUSE_DIAL_TLS_CERT is not set/);
    });
  });
});

/** A client as stock ones are: it offers `binary`, and speaks RFB when it finds it. */
class Client {
  readonly socket: WebSocket;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  heard: Buffer = Buffer.alloc(0);

  constructor(url: string) {
    this.socket = new WebSocket(`${url.replace('http', 'ws')}/?token=it`, ['binary']);
    this.socket.on('message', (bytes: Buffer) => (this.heard = Buffer.concat([this.heard, bytes])));
    this.socket.on('error', () => {});
    this.closed = new Promise((resolve) => this.socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() })));
  }

  async answerTo(question: Buffer, bytes: number): Promise<Buffer> {
    await until(() => this.socket.readyState === WebSocket.OPEN, 'the upgrade', 20_000);
    this.socket.send(question);
    return this.#take(bytes, 'the answer');
  }

  /** Letter by letter: QEMU 7.2 leaves the rest of a TLS record that its serial port cannot take at once until the next one comes. */
  async echoOf(text: string): Promise<string> {
    await until(() => this.socket.readyState === WebSocket.OPEN, 'the upgrade', 20_000);
    let echoed = '';
    for (const letter of text) {
      this.socket.send(Buffer.from(letter));
      echoed += (await this.#take(1, `the echo of ${letter}`)).toString();
    }
    return echoed;
  }

  /** Through the handshake to ServerInit, and the first rectangle in full. */
  async firstPicture(): Promise<{ readonly width: number; readonly height: number }> {
    assert.equal((await this.#take(12, 'the version')).toString(), 'RFB 003.008\n');
    this.socket.send(Buffer.from('RFB 003.008\n'));
    assert.deepEqual([...(await this.#take(2, 'the types'))], [1, 1]);
    this.socket.send(Buffer.of(1));
    assert.equal((await this.#take(4, 'the result')).readUInt32BE(), 0);
    this.socket.send(Buffer.of(1));
    const init = await this.#take(24, 'ServerInit');
    const [width, height, bits] = [init.readUInt16BE(0), init.readUInt16BE(2), init[4]!];
    await this.#take(init.readUInt32BE(20), 'the name');
    this.socket.send(Buffer.of(2, 0, 0, 1, 0, 0, 0, 0));
    this.socket.send(Buffer.from([3, 0, 0, 0, 0, 0, init[0]!, init[1]!, init[2]!, init[3]!]));
    const update = await this.#take(16, 'the first picture');
    assert.deepEqual([update[0], update.readUInt16BE(2) > 0, update.readInt32BE(12)], [0, true, 0]);
    await this.#take((update.readUInt16BE(8) * update.readUInt16BE(10) * bits) / 8, 'its pixels');
    return { width, height };
  }

  async #take(count: number, what: string): Promise<Buffer> {
    await until(() => this.heard.length >= count || this.socket.readyState === WebSocket.CLOSED, what, 20_000);
    assert.ok(this.heard.length >= count, `closed before ${what}: ${JSON.stringify(this.heard.toString('latin1'))}`);
    const bytes = this.heard.subarray(0, count);
    this.heard = this.heard.subarray(count);
    return bytes;
  }
}
