/** The RFB handshake with a host: what it may say, and what it is refused for. Named after Nova's tests where there is one. */
import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../test-proxy.ts';
import { readExactly } from './handshake-bytes.ts';
import { dial, refusalOf, startHost, type Part, type Refusal, type TestDial, type TestHost } from './test-host.ts';

const V38 = 'RFB 003.008\n';
const OK = '\0\0\0\0';
const NO_SECURITY = "The console's host offers no security that this proxy accepts.";
const CLOSED = "The console's host closed the connection before the console was open.";
const NO_RFB = "The console's host does not speak as a VNC server should.";
const STRANGER = "The console's host did not accept this proxy.";
const reason = (words: string): Buffer => Buffer.concat([Buffer.of(0, 0, words.length >> 8, words.length & 255), Buffer.from(words)]);

describe('a VNC console that is dialled', () => {
  let host: TestHost;
  let folder: string;
  let passwordFile: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-rfb-'));
    passwordFile = join(folder, 'password');
    await writeFile(passwordFile, 'secret\n');
  });
  after(() => rm(folder, { recursive: true }));
  afterEach(() => host.close());

  const refused = async (parts: readonly Part[], config: Partial<TestDial> = {}): Promise<Refusal> => {
    host = await startHost(...parts);
    return refusalOf(dial({ port: host.port, ...config }));
  };
  const heard = (): string => host.heard.toString('latin1');

  describe('is refused, with words for its user and the reason in the log, when its host', () => {
    const table: readonly (readonly [string, readonly Part[], string, RegExp])[] = [
      ['closes without a word', ['end'], CLOSED, /closed where the RFB version should have come \(after 0 bytes of it\)/],
      ['closes within its version', ['RFB 003', 'end'], CLOSED, /the RFB version should have come \(after 7 bytes of it\)/],
      ['speaks no RFB', ['SSH-2.0-Open'], NO_RFB, /it began with "SSH-2\.0-Open", which is no RFB version/],
      ['begins with bytes that are no letters', [Buffer.alloc(12, 0x80)], NO_RFB, /which is no RFB version/],
      ['speaks a version before 3.3', ['RFB 003.002\n'], NO_RFB, /it speaks RFB 3\.2; this proxy speaks 3\.3, 3\.7 and 3\.8/],
      ['speaks version 0.0, as repeaters do', ['RFB 000.000\n'], NO_RFB, /it speaks RFB 0\.0/],
      ['closes after its version', [V38, 12, 'end'], CLOSED, /the number of security types should have come/],
      ['closes within its types', [V38, 12, '\x03\x01', 'end'], CLOSED, /the security types should have come \(after 1 bytes of it\)/],
      ['has types that nobody knows', [V38, 12, '\x03\x81\x11\xff'], NO_SECURITY, /it offers 129, 17 \(Ultra\), 255, and GATEHOUSE_VNC_AUTH_SCHEMES accepts 1 \(None\)/],
      ['closes instead of its result', [V38, 12, '\x01\x01', 1, 'end'], CLOSED, /the result of the security check should have come/],
      ['closes within its result', [V38, 12, '\x01\x01', 1, '\0\0', 'end'], CLOSED, /after 2 bytes of it/],
      ['fails the check, with its words', [V38, 12, '\x01\x01', 1, '\0\0\0\x01', reason('Too many\r\n failures')], "The console's host refused: Too many?? failures", /it refused: Too many\?\? failures/],
      ['fails the check with too many words', [V38, 12, '\x01\x01', 1, '\0\0\0\x01\xff\xff\xff\xff'], STRANGER, /a reason of 4294967295 bytes, which was not read/],
      ['fails the check and closes within its words', [V38, 12, '\x01\x01', 1, '\0\0\0\x01\0\0\0\x09Too', 'end'], CLOSED, /the host's reason should have come \(after 3 bytes of it\)/],
      ['fails the check without words', [V38, 12, '\x01\x01', 1, '\0\0\0\x02\0\0\0\0'], STRANGER, /it refused without a reason/],
      ['speaks 3.3 and refuses', ['RFB 003.003\n', 12, '\0\0\0\0', reason('No')], "The console's host refused: No", /it refused: No/],
      ['speaks 3.3 and decides for a type that is not accepted', ['RFB 003.003\n', 12, '\0\0\0\x02'], NO_SECURITY, /it offers 2 \(VNC\)/],
      ['speaks 3.3 and a number that is no type', ['RFB 003.003\n', 12, '\xff\xff\xff\xfa'], NO_SECURITY, /it offers 4294967290/],
    ];
    for (const [what, parts, words, detail] of table) {
      it(what, async () => {
        const refusal = await refused(parts);
        assert.deepEqual([refusal.code, refusal.words], ['UNAVAILABLE', words]);
        assert.match(refusal.detail, detail);
        assert.ok(!refusal.words.includes('127.0.0.1') && refusal.detail.startsWith('127.0.0.1:'));
        await until(() => host.sockets.size === 0, 'the connection is closed');
      });
    }

    const silences: Readonly<Record<string, readonly Part[]>> = {
      'the RFB version': ['RFB'],
      'the number of security types': [V38],
      'the security types': [V38, 12, '\x02\x01'],
      'the result of the security check': [V38, 12, '\x01\x01'],
      "the length of the host's reason": [V38, 12, '\0'],
      "the host's reason": [V38, 12, '\0\0\0\0\x05No'],
    };
    it(`falls silent before the end of ${Object.keys(silences).join(', ')}`, async () => {
      // Each has to come so far in its time, so it is not short; they wait together.
      await Promise.all(Object.entries(silences).map(async ([step, parts]) => {
        const silent = await startHost(...parts);
        const refusal = await refusalOf(dial({ port: silent.port, timeoutMs: 1_500 }));
        assert.equal(refusal.code, 'DEADLINE_EXCEEDED');
        assert.ok(refusal.detail.includes(`where ${step} should have come`), refusal.detail);
        await silent.close();
      }));
    });
  });

  describe('opens when its host', () => {
    // What it says, what it has heard when the client is let in, and the settings.
    const table: readonly (readonly [string, readonly Part[], string, Partial<TestDial>])[] = [
      ['speaks 3.8 (test_full_run: of {None, VNC} it is told None)', [V38, 12, '\x02\x01\x02', 1, OK], `${V38}\x01`, {}],
      ['speaks 3.7, and says no result (test_fails_on_compute_version: Nova refuses 3.7)', ['RFB 003.007\n', 12, '\x01\x01', 1], 'RFB 003.007\n\x01', {}],
      ['speaks 3.9 and is answered with 3.8 (test_fails_on_compute_version: Nova refuses 3.9)', ['RFB 003.009\n', 12, '\x01\x01', 1, OK], `${V38}\x01`, {}],
      ['speaks 3.889, 4.1 or 5.0, which are 3.8', ['RFB 005.000\n', 12, '\x01\x01', 1, OK], `${V38}\x01`, {}],
      ['speaks 3.3, and decides', ['RFB 003.003\n', 12, '\0\0\0\x01'], 'RFB 003.003\n', {}],
      ['speaks 3.5, which is 3.3', ['RFB 003.005\n', 12, '\0\0\0\x01'], 'RFB 003.003\n', {}],
      ['offers types that nobody knows (Nova breaks on 129)', [V38, 12, '\x04\x81\xff\x01\x10', 1, OK], `${V38}\x01`, {}],
      ['offers None and Tight (test_find_scheme_ok)', [V38, 12, '\x02\x10\x01', 1, OK], `${V38}\x01`, {}],
      ['says all at once', [`${V38}\x01\x01${OK}`], `${V38}\x01`, {}],
    ];
    for (const [what, parts, expected, config] of table) {
      it(what, async () => {
        host = await startHost(...parts);
        const stream = await dial({ port: host.port, ...config });
        stream.write(`${V38}\x01client init`);
        await until(() => heard().endsWith('client init'), 'what the client says');
        assert.equal(heard(), `${expected}client init`);
        stream.destroy();
      });
    }

    it('test_parse_version: is written with leading zeros, and any version above ours is answered with ours', async () => {
      host = await startHost('RFB 012.034\n', 12, '\x01\x01', 1, OK);
      (await dial({ port: host.port })).destroy();
      assert.equal(heard(), `${V38}\x01`);
    });
  });

  describe('meets what Nova tests of hosts:', () => {
    it('test_fails_on_sec_type_cnt_zero: the reason of a host reaches its user', async () => {
      const { words } = await refused([V38, 12, '\0', reason('cos I said so')]);
      assert.equal(words, "The console's host refused: cos I said so");
    });

    it('test_fails_on_sec_type_cnt_zero_oversized_reason: 1000 bytes are not read, and the words are general', async () => {
      const { words, detail } = await refused([V38, 12, '\0\0\0\x03\xe8', 'x'.repeat(1_000)]);
      assert.equal(words, STRANGER);
      assert.match(detail, /a reason of 1000 bytes, which was not read/);
    });

    it('test_exception_in_choose_security_type_fails, test_find_scheme_fail: a host of {VNC, RA2} is left without a choice', async () => {
      const { words, detail } = await refused([V38, 12, '\x02\x02\x05']);
      assert.equal(words, NO_SECURITY);
      assert.match(detail, /it offers 2 \(VNC\), 5 \(RA2\), and GATEHOUSE_VNC_AUTH_SCHEMES accepts 1 \(None\)/);
      assert.equal(heard(), V38);
    });

    it("test_find_scheme_priority: our order decides, not the host's as in Nova", async () => {
      for (const [schemes, chosen] of [[['none', 'vnc'], '\x01'], [['vnc', 'none'], '\x02']] as const) {
        host = await startHost(V38, 12, '\x02\x01\x02', 1);
        const dialling = refusalOf(dial({ port: host.port, vncAuthSchemes: schemes, vncPasswordFile: passwordFile }));
        await until(() => heard().length === 13, 'the choice');
        assert.equal(heard(), `${V38}${chosen}`);
        await host.close();
        await dialling;
      }
    });
  });

  describe('behind a VNC password', () => {
    const CHALLENGE = 'sixteen  bytes..';
    const withPassword = (): Partial<TestDial> => ({ vncAuthSchemes: ['vnc'], vncPasswordFile: passwordFile });
    /** As the host computes it, written apart from what is tested: `secret` with each byte's bits reversed. */
    const answer = (): string => {
      const key = Buffer.from('cea6c64ea62e0000', 'hex');
      const cipher = createCipheriv('des-ede-ecb', Buffer.concat([key, key]), null).setAutoPadding(false);
      return cipher.update(CHALLENGE).toString('latin1');
    };

    for (const [version, before, after] of [
      ['3.8', [V38, 12, '\x02\x05\x02', 1], [OK]],
      ['3.7', ['RFB 003.007\n', 12, '\x01\x02', 1], [OK]],
      ['3.3', ['RFB 003.003\n', 12, '\0\0\0\x02'], [OK]],
    ] as const) {
      it(`opens with RFB ${version}, and its client is asked for nothing`, async () => {
        host = await startHost(...before, CHALLENGE, 16, ...after);
        const stream = await dial({ port: host.port, ...withPassword() });
        assert.equal(heard().slice(-16), answer());
        assert.equal((await readExactly(stream, 12, 'version')).toString(), V38);
        stream.write(V38);
        assert.deepEqual([...(await readExactly(stream, 2, 'types'))], [1, 1]);
        stream.destroy();
      });
    }

    it('is refused when the password is wrong, and neither words nor log have it', async () => {
      const refusal = await refused([V38, 12, '\x01\x02', 1, CHALLENGE, 16, '\0\0\0\x01', reason('Authentication failure')], withPassword());
      assert.equal(refusal.words, "The console's host refused: Authentication failure");
      assert.ok(!JSON.stringify(refusal).includes('secret'));
    });

    it('is refused when the password is wrong and RFB 3.7 has no words for that', async () => {
      const refusal = await refused(['RFB 003.007\n', 12, '\x01\x02', 1, CHALLENGE, 16, '\0\0\0\x01'], withPassword());
      assert.equal(refusal.words, STRANGER);
      assert.match(refusal.detail, /its security check failed \(1\)/);
    });

    it('is refused when its host closes within the challenge', async () => {
      const refusal = await refused([V38, 12, '\x01\x02', 1, 'short', 'end'], withPassword());
      assert.match(refusal.detail, /the challenge of the password check should have come \(after 5 bytes of it\)/);
    });

    it('is refused when the password cannot be read, before anything is answered', async () => {
      const refusal = await refused([V38, 12, '\x01\x02', 1, CHALLENGE], { vncAuthSchemes: ['vnc'], vncPasswordFile: join(folder, 'none') });
      assert.equal(refusal.words, 'This console proxy is not set up for that console.');
      assert.equal(heard(), `${V38}\x02`);
    });
  });
});
