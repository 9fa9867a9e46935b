import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import fc from 'fast-check';
import { isServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import { Instance } from '@gatehouse/objects/instance';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { RfbTestClient } from './rfb-test-client.ts';
import { SimulatedDriver } from './simulated-driver.ts';

const UUID = '3f2b8c1e-9f4d-4c36-8a57-0d2f6f1a9b77';
const OTHER = '9b0f3f0e-55a7-4a52-9d0c-2f4f6f1e7a01';
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDemoDemoDemoDemoDemoDemoDemoDemoDemoDemoDemo demo';

function instance(changes: Partial<Instance> = {}): Instance {
  return Instance.make({
    uuid: UUID,
    projectId: 'demo',
    userId: 'demo',
    displayName: 'web 1',
    hostname: 'web-1',
    host: 'host-a',
    vmState: 'active',
    taskState: null,
    keyName: 'laptop',
    keyData: KEY,
    userData: null,
    metadata: {},
    keypairs: { objects: [{ name: 'laptop', type: 'ssh', fingerprint: 'SHA256:abc', publicKey: KEY }] },
    ...changes,
  });
}

async function refusal(work: Promise<unknown>): Promise<[ErrorCode, string]> {
  const error = await work.then(() => assert.fail('was not refused'), (reason: unknown) => reason);
  assert.ok(isServiceError(error), String(error));
  return [error.code, error.message];
}

/** A terminal as its user sees it: what stands on the lines after all the backspaces and clearings. */
class Terminal {
  readonly stream: Duplex;
  raw = '';

  constructor(stream: Duplex) {
    this.stream = stream;
    stream.on('data', (bytes: Buffer) => (this.raw += bytes.toString()));
  }

  /** Sends `input` and resolves once everything has been answered. */
  async say(input: string | Buffer): Promise<this> {
    this.stream.write(input);
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    return this;
  }

  get lines(): string[] {
    let lines = [''];
    let column = 0;
    for (const [token] of this.raw.matchAll(/\x1b\[[0-9;]*[A-Z]|[^]/gu)) {
      const line = lines.at(-1)!;
      if (token === '\n') lines.push('');
      else if (token === '\r') column = 0;
      else if (token === '\b') column = Math.max(0, column - 1);
      else if (token === '\x1b[K') lines[lines.length - 1] = line.slice(0, column);
      else if (token === '\x1b[H') [lines, column] = [[''], 0];
      else if (token >= ' ' && !token.startsWith('\x1b')) {
        lines[lines.length - 1] = line.slice(0, column) + token + line.slice(column + 1);
        column += 1;
      }
    }
    return lines.map((line) => line.trimEnd());
  }
}

describe('the simulated driver', () => {
  let clock: TestClock;
  let driver: SimulatedDriver;

  beforeEach(() => {
    clock = new TestClock(new Date('2026-03-04T05:06:07Z'));
    driver = new SimulatedDriver({ host: 'host-a', clock });
  });
  afterEach(() => driver.close());

  async function terminal(port = 0): Promise<Terminal> {
    return new Terminal(await driver.open(UUID, 'serial', port)).say('');
  }

  describe('refuses', () => {
    for (const count of ['0', '5', '-1', '1.5', '2 ', '', 'two', '1e0', '0x2', '9'.repeat(400)]) {
      it(`a guest with ${JSON.stringify(count.slice(0, 8))} serial ports`, async () => {
        const [code, words] = await refusal(driver.spawn(instance({ metadata: { 'hw:serial_port_count': count } })));
        assert.equal(code, 'INVALID_ARGUMENT');
        assert.match(words, /hw:serial_port_count.*from 1 to 4/);
        assert.ok(words.length < 200);
        assert.equal(await driver.powerState(UUID), 'absent');
      });
    }

    it('the consoles of a guest that is not here', async () => {
      assert.equal((await refusal(driver.consoles(OTHER, 'novnc')))[0], 'NOT_FOUND');
      assert.equal((await refusal(driver.open(OTHER, 'novnc', 0)))[0], 'NOT_FOUND');
    });

    it('a console that the guest has not', async () => {
      await driver.spawn(instance());
      for (const [type, port] of [['serial', 1], ['serial', -1], ['novnc', 1], ['spice-html5', 0], ['serial', 0.5]] as const) {
        assert.equal((await refusal(driver.open(UUID, type, port)))[0], 'NOT_FOUND', `${type} ${port}`);
      }
    });

    it('a serial port that is open, until it is closed', async () => {
      await driver.spawn(instance());
      const first = await driver.open(UUID, 'serial', 0);
      assert.equal((await refusal(driver.open(UUID, 'serial', 0)))[0], 'PORT_IN_USE');
      first.resume().destroy();
      await once(first, 'close');
      await new Promise((resolve) => setImmediate(resolve));
      (await driver.open(UUID, 'serial', 0)).destroy();
    });

    it('a viewer beyond the 64th, and to open what was given up', async () => {
      await driver.spawn(instance());
      const viewers = await Promise.all(Array.from({ length: 64 }, () => driver.open(UUID, 'novnc', 0)));
      await Promise.all(viewers.map((stream) => new RfbTestClient(stream).handshake()));
      assert.equal((await refusal(driver.open(UUID, 'novnc', 0)))[0], 'RESOURCE_EXHAUSTED');
      assert.equal((await refusal(driver.open(UUID, 'serial', 0, { signal: AbortSignal.abort() })))[0], 'CANCELLED');
    });
  });

  it('names one screen and the serial ports that the metadata asks for', async () => {
    await driver.spawn(instance({ metadata: { 'hw:serial_port_count': '3' } }));
    const screens = await driver.consoles(UUID, 'novnc');
    const unissued = { tokenHash: null, accessUrl: null, expires: null };
    const attach = { transport: 'attach' };
    assert.deepEqual(screens, [{ instanceUuid: UUID, host: 'host-a', port: 0, consoleType: 'novnc', options: attach, ...unissued }]);
    assert.deepEqual((await driver.consoles(UUID, 'serial')).map(({ port }) => port), [0, 1, 2]);
    assert.deepEqual(await driver.consoles(UUID, 'spice-html5'), []);
  });

  it('leaves a guest that runs as it is when it is spawned again', async () => {
    await driver.spawn(instance());
    const line = await (await terminal()).say('echo half');
    await driver.spawn(instance());
    await line.say(' done\r');
    assert.ok(line.lines.includes('half done'));
  });

  it('brings back the guests of before, but those that are off; one that is bent harms no other', async () => {
    await driver.restore([
      instance({ metadata: { 'hw:serial_port_count': 'many' } }),
      instance({ uuid: OTHER }),
      instance({ uuid: OTHER.replace('9b', '9c'), vmState: 'stopped' }),
    ]);
    assert.deepEqual(await driver.list(), [UUID, OTHER, OTHER.replace('9b', '9c')]);
    assert.equal(await driver.powerState(UUID), 'stopped');
    assert.equal(await driver.powerState(OTHER), 'running');
    assert.equal(await driver.powerState(OTHER.replace('9b', '9c')), 'stopped');
    assert.deepEqual(await driver.consoles(OTHER.replace('9b', '9c'), 'novnc'), []);
    assert.equal((await refusal(driver.open(OTHER.replace('9b', '9c'), 'novnc', 0)))[0], 'UNAVAILABLE');
    await driver.spawn(instance({ uuid: OTHER.replace('9b', '9c') }));
    assert.equal(await driver.powerState(OTHER.replace('9b', '9c')), 'running');
  });

  it('ends every open console when the guest is destroyed, and knows it no more', async () => {
    await driver.spawn(instance());
    const streams = [await driver.open(UUID, 'novnc', 0), await driver.open(UUID, 'serial', 0)];
    const ends = streams.map((stream) => once(stream.resume(), 'end'));
    await driver.destroy(UUID);
    await driver.destroy(UUID);
    await Promise.all(ends);
    assert.equal(await driver.powerState(UUID), 'absent');
    assert.equal(clock.pending, 0);
  });

  it('serves the screen of the right guest', async () => {
    await driver.spawn(instance());
    await driver.spawn(instance({ uuid: OTHER, displayName: 'db \x1b[31m\n1' }));
    assert.equal((await new RfbTestClient(await driver.open(UUID, 'novnc', 0)).handshake()).name, 'web 1');
    assert.equal((await new RfbTestClient(await driver.open(OTHER, 'novnc', 0)).handshake()).name, 'db  [31m 1');
  });

  it('tells why it cut a client off', async () => {
    const heard: string[] = [];
    driver = new SimulatedDriver({ host: 'host-a', clock, onRefused: (uuid, reason) => heard.push(`${uuid} ${reason.message}`) });
    await driver.spawn(instance());
    const stream = await driver.open(UUID, 'novnc', 0);
    stream.resume().write('GET / HTTP/1.1\r\n');
    await once(stream, 'close');
    assert.equal(heard.length, 1);
    assert.match(heard[0]!, new RegExp(`^${UUID} RFB client refused`));
  });

  describe('has serial lines that', () => {
    const PROMPT = 'web-1:~$';

    beforeEach(() => driver.spawn(instance({ metadata: { 'hw:serial_port_count': '2' } })));

    it('greet with the name, the uuid and the port, each its own', async () => {
      assert.deepEqual((await terminal(0)).lines[0], `web 1 (${UUID}) on ttyS0`);
      assert.deepEqual((await terminal(1)).lines[0], `web 1 (${UUID}) on ttyS1`);
    });

    it('say that a command is unknown, or a quote open', async () => {
      const line = await (await terminal()).say('constructor\rsudo rm\recho "a\r');
      assert.ok(line.lines.includes('constructor: command not found; help lists the commands'));
      assert.ok(line.lines.includes('sudo: command not found; help lists the commands'));
      assert.ok(line.lines.includes('sh: a quote is not closed'));
      assert.equal(line.lines.at(-1), PROMPT);
    });

    const SENTENCES: readonly (readonly [string, string])[] = [
      ['hostname', 'web-1'],
      ['whoami', 'guest'],
      ['pwd', '/home/guest'],
      ['uname', 'Gatehouse'],
      ['uname -a', 'Gatehouse web-1 1.0 simulated'],
      ['date', 'Wed Mar  4 05:06:07 UTC 2026'],
      ['uptime', '05:06:07 up 0 min, 1 user'],
      ['tty', '/dev/ttyS0'],
      ["echo  two   'single  \"quoted\"' back\\ slash", 'two single  "quoted" back slash'],
      ['echo héllo 中', 'héllo 中'],
      ['cat /etc/hostname', 'web-1'],
      ['cat ~/.ssh/authorized_keys', KEY],
      ['cat .ssh/../.ssh/authorized_keys', KEY],
      ['cat /etc/shadow', 'cat: /etc/shadow: No such file or directory'],
      ['cat /etc', 'cat: /etc: Is a directory'],
      ['cat /../../etc/hostname', 'web-1'],
      ['cat /etc/machine-id', UUID.replaceAll('-', '')],
      ['ls', 'README'],
      ['ls -a', '.ssh/  README'],
      ['ls /', 'etc/  home/'],
      ['ls /etc', 'hostname  machine-id  motd'],
      ['ls /nowhere', 'ls: /nowhere: No such file or directory'],
      ['keys', 'laptop  ssh  SHA256:abc'],
    ];
    for (const [command, answer] of SENTENCES) {
      it(`answer ${JSON.stringify(command)} with ${JSON.stringify(answer.slice(0, 40))}`, async () => {
        const line = await (await terminal()).say(`${command}\r`);
        assert.deepEqual(line.lines.slice(-3), [`${PROMPT} ${command}`, answer, PROMPT]);
      });
    }

    it('list every command in help', async () => {
      const line = await (await terminal()).say('help\r');
      for (const command of ['cat', 'clear', 'date', 'echo', 'exit', 'help', 'hostname', 'keys', 'ls', 'reboot', 'uname', 'uptime', 'whoami']) {
        assert.ok(line.lines.some((text) => text.startsWith(`  ${command} `)), command);
      }
    });

    it('end lines as a terminal wants them, whichever ending is sent', async () => {
      const line = await (await terminal()).say('echo a\recho b\necho c\r\necho d\r');
      assert.deepEqual(line.lines.filter((text) => /^[abcd]$/.test(text)), ['a', 'b', 'c', 'd']);
      assert.ok(!/[^\r]\n/.test(line.raw));
    });

    const EDITS: readonly (readonly [string, string, string])[] = [
      ['Backspace and DEL', 'ecx\x7fho a\bb', 'echo b'],
      ['Ctrl-U', 'nonsense\x15echo u', 'echo u'],
      ['Ctrl-W', 'echo one two  \x17\x17x', 'echo x'],
      ['the arrows', 'echo ac\x1b[Db', 'echo abc'],
      ['Home and End as keys', 'cho e\x1b[He\x1b[F!', 'echo e!'],
      ['Ctrl-A and Ctrl-E', 'cho f\x01e\x05!', 'echo f!'],
      ['Delete', 'xecho g\x01\x1b[3~', 'echo g'],
      ['Backspace in the middle', 'echo hxi\x1b[D\x7f', 'echo hi'],
      ['sequences it does not know', 'echo\x1b[15;2~ j\x1bOP\x1b[200~k', 'echo jk'],
    ];
    for (const [keys, input, line] of EDITS) {
      it(`are edited with ${keys}`, async () => {
        const shown = await (await terminal()).say(input);
        assert.equal(shown.lines.at(-1), `${PROMPT} ${line}`);
        await shown.say('\r');
        assert.equal(shown.lines.at(-2), line.slice(5));
      });
    }

    it('drop a line at Ctrl-C, clear at Ctrl-L and at clear', async () => {
      const line = await (await terminal()).say('echo never\x03');
      assert.deepEqual(line.lines.slice(-2), [`${PROMPT} echo never^C`, PROMPT]);
      await line.say('kept\x0c');
      assert.deepEqual(line.lines, [`${PROMPT} kept`]);
      await line.say('\x15clear\r');
      assert.deepEqual(line.lines, [PROMPT]);
    });

    it('recall what was typed before', async () => {
      const line = await (await terminal()).say('echo one\recho two\r\x1b[A\x1b[A');
      assert.equal(line.lines.at(-1), `${PROMPT} echo one`);
      await line.say('\x1b[B\x1b[B');
      assert.equal(line.lines.at(-1), PROMPT);
      await line.say('\x1bOA!\rhistory\r');
      assert.ok(line.lines.includes('   3  echo two!'));
    });

    it('show the next who plugs in the line as it was left', async () => {
      const first = await (await terminal()).say('echo unfini');
      first.stream.destroy();
      await once(first.stream, 'close');
      const second = await terminal();
      assert.deepEqual(second.lines, [`${PROMPT} echo unfini`]);
      await second.say('shed\r');
      assert.ok(second.lines.includes('unfinished'));
    });

    it('log out at exit and at Ctrl-D, and start anew at reboot, on all ports', async () => {
      const line = await (await terminal(0)).say('exit\r');
      const motd = 'Welcome to web 1, a simulated guest of Gatehouse. "help" lists the commands.';
      assert.deepEqual(line.lines.slice(-6), ['logout', '', `web 1 (${UUID}) on ttyS0`, motd, '', PROMPT]);
      await line.say('\x04');
      assert.equal(line.lines.filter((text) => text.includes('on ttyS0')).length, 3);
      const other = await (await terminal(1)).say('half a li');
      await clock.advance(3 * 3_600_000);
      await line.say('reboot\r');
      await other.say('uptime\r');
      assert.ok(line.lines.includes('The system is going down for reboot now.'));
      assert.equal(other.lines.filter((text) => text.includes('on ttyS1')).length, 2);
      assert.equal(other.lines.at(-2), '08:06:07 up 0 min, 2 users');
    });

    it('ring at a line that is too long, and keep what fits', async () => {
      const line = await (await terminal()).say(`echo ${'x'.repeat(5_000)}`);
      assert.equal(line.raw.split('\x07').length - 1, 5_005 - 1_024);
      await line.say('\r');
      assert.ok(line.lines.includes('x'.repeat(1_019)));
    });

    it('do not listen to one who never reads, and lose nothing when he does', async () => {
      const stream = await driver.open(UUID, 'serial', 0);
      stream.pause();
      const asked = 20_000;
      for (let count = 0; count < asked; count += 1) stream.write(`echo ${count}\r`);
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.ok(stream.readableLength < 256 * 1024, `${stream.readableLength} bytes`);
      assert.ok(stream.writableLength > 50_000, 'the rest of the input waits at its sender');
      const reader = new Terminal(stream);
      stream.resume();
      for (let turn = 0; turn < 100_000 && !reader.raw.endsWith(`\n${asked - 1}\r\n${PROMPT} `); turn += 1) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.equal(reader.raw.match(/\n\d+\r/g)!.length, asked);
    });

    it('answer a long question in pieces: the answers wait until they are read', async () => {
      const big = { name: 'big', type: 'ssh', publicKey: 'k'.repeat(16_000) };
      await driver.spawn(instance({ uuid: OTHER, keypairs: { objects: [big] } }));
      const stream = await driver.open(OTHER, 'serial', 0);
      stream.pause();
      stream.write(`cat ${'.ssh/authorized_keys '.repeat(40)}\r`.repeat(200));
      await new Promise((resolve) => setTimeout(resolve, 30));
      assert.ok(stream.readableLength < 256 * 1024, `${stream.readableLength} bytes`);
      const reader = new Terminal(stream);
      stream.resume();
      for (let turn = 0; turn < 10_000 && reader.raw.split(' is not shown').length <= 200; turn += 1) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.equal(reader.raw.split(' is not shown').length, 201);
    });

    it('survive any bytes', async () => {
      const line = await terminal();
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
          await line.say(Buffer.from(bytes));
          assert.equal(line.stream.destroyed, false);
        }),
      );
      await line.say('\x1b\x1b[\x1b[~\x03\x03echo alive\r');
      assert.equal(line.lines.at(-2), 'alive');
    });
  });

  it('names a guest that has no usable name by its uuid, and shows a key that came without key pairs', async () => {
    await driver.spawn(instance({ displayName: '\x1b\n', hostname: '\t', keypairs: undefined }));
    const line = await (await terminal()).say('cat ~/.ssh/authorized_keys\r');
    assert.equal(line.lines[0], `${UUID} (${UUID}) on ttyS0`);
    assert.equal(line.lines.at(-1), 'instance-3f2b8c1e:~$');
    assert.equal(line.lines.at(-2), KEY);
  });
});
