import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Instance } from '@gatehouse/objects/instance';
import { silentLogger } from '@gatehouse/runtime/logger';
import { freePortRange } from '../../../../../test/servers/free-port.ts';
import { CD_DRIVE_MODULES, makeSmallLinux } from '../../../../../test/servers/small-linux.ts';
import type { SmallLinux } from '../../../../../test/servers/small-linux.ts';
import type { Driver } from '../driver.ts';
import { RfbTestClient } from '../simulated/rfb-test-client.ts';
import { chooseAccelerator } from './accelerator.ts';
import type { QemuSettings } from './machine.ts';
import { createQemuDriver } from './qemu-driver.ts';

const BOOT_TIMEOUT_MS = 60_000;

describe('the qemu driver', function () {
  this.timeout(90_000);
  // Not under a long temporary folder: the sockets' names have a limit.
  const folder = mkdtempSync('/tmp/gh-qemu-');
  const drivers: Driver[] = [];
  const instances: Instance[] = [];
  let linux: SmallLinux;

  before(async () => {
    linux = await makeSmallLinux(`${folder}/linux`);
  });

  afterEach(async () => {
    for (const { uuid } of instances.splice(0)) await drivers.at(-1)?.destroy(uuid);
    for (const driver of drivers.splice(0)) await driver.close();
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  async function makeDriver(change: Partial<QemuSettings> = {}): Promise<Driver> {
    const settings: QemuSettings = {
      stateDir: `${folder}/m`, binary: 'qemu-system-x86_64', accelerator: 'tcg', memoryMb: 128, machinesMax: 3,
      kernel: null, initrd: null, append: null, disk: null, spice: 'off', spiceListen: '127.0.0.1', spicePortRange: { start: 5_900, stop: 6_900 }, ...change,
    };
    const driver = await createQemuDriver({ host: 'host-1', settings, log: silentLogger });
    drivers.push(driver);
    return driver;
  }

  async function spawn(driver: Driver, metadata: Record<string, string> = {}): Promise<string> {
    const instance = makeInstance(metadata);
    instances.push(instance);
    await driver.spawn(instance);
    return instance.uuid;
  }

  it('refuses what it cannot make and leaves nothing behind', async () => {
    const driver = await makeDriver();
    const tooMany = makeInstance({ 'hw:serial_port_count': '9' });
    await assert.rejects(driver.spawn(tooMany), refusal('INVALID_ARGUMENT', /1 to 4/));
    assert.equal(await driver.powerState(tooMany.uuid), 'absent');
    await assert.rejects(driver.consoles(tooMany.uuid, 'serial'), refusal('NOT_FOUND', /no machine/));
    await assert.rejects(driver.open(tooMany.uuid, 'novnc', 0), refusal('NOT_FOUND', /no machine/));
    await driver.destroy(tooMany.uuid);
    assert.deepEqual(processesOf(tooMany.uuid), []);
  });

  it('refuses a config drive that it cannot make, and leaves nothing of the machine', async () => {
    const driver = await makeDriver({ volumeProgram: '/nowhere/genisoimage' });
    const instance = makeInstance({});
    await assert.rejects(driver.spawn(instance, new Map([['a', Buffer.from('1')]])), refusal('FAILED_PRECONDITION', /config drive could not be made: .* is not installed/));
    assert.deepEqual([await driver.powerState(instance.uuid), existsSync(`${folder}/m/${instance.uuid}`)], ['absent', false]);
  });

  it('gives the guest its config drive, with what is said at each start, and takes it away with the machine', async () => {
    const { kernel, initrd, append } = await makeSmallLinux(`${folder}/cd-linux`, CD_DRIVE_MODULES);
    const driver = await makeDriver({ kernel, initrd, append });
    const instance = makeInstance({});
    instances.push(instance);
    const driveOf = (keys: string) => new Map([['openstack/latest/meta_data.json', Buffer.from(JSON.stringify({ keys }))]]);
    await driver.spawn(instance, driveOf('first'));
    const terminal = await openTerminal(driver, instance.uuid, 0);
    await terminal.sees('small-linux:0# ');
    terminal.type('dd if=/dev/sr0 bs=1 skip=32808 count=8; mkdir /drive; mount -t iso9660 -o ro /dev/sr0 /drive; cat /drive/openstack/latest/meta_data.json\n');
    await terminal.sees('config-2');
    await terminal.sees('{"keys":"first"}');
    // However the guest asks.
    terminal.type('echo 0 > /dev/sr0 || echo written-$((40 - 40))\n');
    await terminal.sees('written-0');
    terminal.close();
    await driver.stop(instance.uuid);
    await driver.spawn(instance, driveOf('second'));
    const volume = `${folder}/m/${instance.uuid}/config-2.iso`;
    assert.equal(execFileSync('/usr/bin/isoinfo', ['-R', '-i', volume, '-x', '/openstack/latest/meta_data.json']).toString(), '{"keys":"second"}');
    assert.equal(statSync(volume).mode & 0o777, 0o600);
    await driver.stop(instance.uuid);
    await driver.spawn(instance);
    assert.equal(existsSync(volume), false, 'a drive that is no longer asked for');
    await driver.destroy(instance.uuid);
    assert.equal(existsSync(`${folder}/m/${instance.uuid}`), false);
  });

  it('switches a machine off and on: it is known meanwhile, also by a driver that comes later, and has no consoles', async () => {
    const driver = await makeDriver();
    const instance = makeInstance({ 'hw:serial_port_count': '2' });
    instances.push(instance);
    await driver.spawn(instance);
    await driver.stop(instance.uuid);
    await driver.stop(instance.uuid);
    assert.deepEqual([await driver.powerState(instance.uuid), await driver.consoles(instance.uuid, 'serial'), processesOf(instance.uuid)], ['stopped', [], []]);
    const next = await makeDriver();
    await next.restore([instance]);
    assert.deepEqual([await next.powerState(instance.uuid), await next.list()], ['stopped', [instance.uuid]]);
    await next.spawn(instance);
    assert.equal(await next.powerState(instance.uuid), 'running');
    assert.equal((await next.consoles(instance.uuid, 'serial')).length, 2);
    assert.equal(processesOf(instance.uuid).length, 1);
    await driver.stop(randomUUID());
  });

  it('says that it does not bring over what runs elsewhere', async () => {
    const driver = await makeDriver();
    await assert.rejects(driver.receive(makeInstance({})), refusal('UNIMPLEMENTED', /qemu does not bring over what runs in a machine; migrate it cold/));
  });

  it('says in QEMU\'s own words why a machine does not start', async () => {
    const driver = await makeDriver({ kernel: '/nowhere/vmlinuz' });
    await assert.rejects(spawn(driver), refusal('FAILED_PRECONDITION', /nowhere/));
    const missing = await makeDriver({ binary: 'qemu-system-none' });
    await assert.rejects(spawn(missing), refusal('FAILED_PRECONDITION', /qemu-system-none is not installed/));
  });

  it('keeps its folder and sockets to itself', async () => {
    const driver = await makeDriver();
    const uuid = await spawn(driver);
    assert.equal(statSync(`${folder}/m`).mode & 0o777, 0o700);
    assert.equal(statSync(`${folder}/m/${uuid}`).mode & 0o777, 0o700);
  });

  it('shows the firmware\'s screen over VNC, in more than one colour', async () => {
    const driver = await makeDriver();
    const uuid = await spawn(driver);
    const consoles = await driver.consoles(uuid, 'novnc');
    assert.deepEqual(consoles.map(({ host, port, options }) => ({ host, port, options })), [{ host: 'host-1', port: 0, options: { transport: 'attach' } }]);
    const client = await new RfbTestClient(await driver.open(uuid, 'novnc', 0)).handshake();
    client.setEncodings(0);
    client.request(false);
    await client.update();
    await client.until(() => coloursOf(client).size > 1);
    assert.ok(client.width >= 640);
    client.stream.destroy();
  });

  for (const [way, options] of [['unix', { transport: 'attach' }], ['tcp', { transport: 'tcp', address: '127.0.0.1' }]] as const) {
    it(`answers SPICE beside VNC, by ${way}, also to an agent that was away`, async () => {
      const start = await freePortRange(2);
      const port = way === 'tcp' ? start : 0;
      const first = await makeDriver({ spice: way, spicePortRange: { start, stop: start + 2 } });
      const uuid = await spawn(first);
      await first.close();
      const driver = await makeDriver({ spice: 'off' });
      await driver.restore(instances);
      const consoles = await driver.consoles(uuid, 'spice-html5');
      assert.deepEqual(consoles.map((each) => ({ port: each.port, options: each.options })), [{ port, options }]);
      assert.equal((await driver.consoles(uuid, 'novnc')).length, 1);
      if (way === 'tcp') await assert.rejects(driver.open(uuid, 'spice-html5', port), refusal('NOT_FOUND', /by TCP/));
      // A client speaks first: this is no SPICE, and the server says so in its own words.
      const stream = way === 'tcp' ? connect(port, '127.0.0.1') : await driver.open(uuid, 'spice-html5', 0);
      stream.write(Buffer.alloc(16, 'x'));
      const [answer] = (await once(stream, 'data')) as [Buffer];
      assert.equal(answer.subarray(0, 4).toString(), 'REDQ');
      stream.destroy();
    });
  }

  it('runs a command typed on the serial console of a small Linux, and another on its second port', async () => {
    const driver = await makeDriver(linux);
    const uuid = await spawn(driver, { 'hw:serial_port_count': '2' });
    assert.deepEqual((await driver.consoles(uuid, 'serial')).map(({ port }) => port), [0, 1]);
    assert.deepEqual(await driver.consoles(uuid, 'spice-html5'), []);
    for (const port of [0, 1]) {
      const terminal = await openTerminal(driver, uuid, port);
      terminal.type('\n');
      await terminal.sees(`small-linux:${port}# `);
      terminal.type('echo answer-$((6*7))\n');
      await terminal.sees('answer-42');
      terminal.close();
    }
  });

  it('is found again, untouched, by an agent that was away', async () => {
    const before = await makeDriver(linux);
    const uuid = await spawn(before);
    const terminal = await openTerminal(before, uuid, 0);
    await terminal.sees('small-linux:0# ');
    terminal.type('keep=safe\n');
    await terminal.sees('safe');
    terminal.close();
    const pids = processesOf(uuid);
    await before.close();

    const after = await makeDriver(linux);
    assert.equal(await after.powerState(uuid), 'absent');
    assert.deepEqual(await after.list(), [uuid]);
    await after.restore(instances);
    assert.equal(await after.powerState(uuid), 'running');
    await after.spawn(instances[0]!);
    assert.deepEqual(processesOf(uuid), pids);
    const again = await openTerminal(after, uuid, 0);
    again.type('echo still-$keep\n');
    await again.sees('still-safe');
    again.close();
  });

  it('takes up a machine that did not answer at first, as soon as it answers', async () => {
    const before = await makeDriver();
    const uuid = await spawn(before);
    await before.close();
    // A control socket serves one client; the next ones wait in silence.
    const other = connect(`${folder}/m/${uuid}/qmp`);
    await once(other, 'data');
    const after = await makeDriver();
    await after.restore(instances);
    assert.deepEqual(await after.consoles(uuid, 'serial'), []);
    other.destroy();
    assert.deepEqual(await Promise.all([after.powerState(uuid), after.powerState(uuid)]), ['running', 'running']);
    assert.equal((await after.consoles(uuid, 'serial')).length, 1);
  });

  it('does not take another process for a machine, and kills none', async () => {
    const driver = await makeDriver();
    const uuid = await spawn(driver);
    const pidFile = `${folder}/m/${uuid}/pid`;
    const real = Number(readFileSync(pidFile, 'utf8'));
    await driver.close();
    execFileSync('/bin/sh', ['-c', `echo ${process.pid} > ${pidFile}`]);
    const other = await makeDriver();
    await other.restore([]);
    assert.ok((await other.list()).includes(uuid), 'a machine of no instance was not told');
    await other.restore(instances);
    assert.equal(await other.powerState(uuid), 'stopped');
    execFileSync('/bin/sh', ['-c', `echo ${real} > ${pidFile}`]);
  });

  it('reports a guest that switched itself off as stopped, and starts it again', async () => {
    const driver = await makeDriver(linux);
    const uuid = await spawn(driver);
    const terminal = await openTerminal(driver, uuid, 0);
    await terminal.sees('small-linux:0# ');
    terminal.type('poweroff -f\n');
    await until(async () => (await driver.powerState(uuid)) === 'stopped');
    assert.deepEqual(await driver.consoles(uuid, 'serial'), []);
    await driver.spawn(instances[0]!);
    assert.equal(await driver.powerState(uuid), 'running');
  });

  it('reports a machine that was killed as stopped, also when nobody watched', async () => {
    const driver = await makeDriver();
    const uuid = await spawn(driver);
    process.kill(processesOf(uuid)[0]!, 'SIGKILL');
    await until(async () => (await driver.powerState(uuid)) === 'stopped');
    await driver.close();
    const after = await makeDriver();
    await after.restore(instances);
    assert.equal(await after.powerState(uuid), 'stopped');
  });

  it('leaves neither process nor folder of a machine that is destroyed, even one that an earlier agent made', async () => {
    const driver = await makeDriver();
    const [held, found] = [await spawn(driver), await spawn(driver)];
    await driver.destroy(held);
    await driver.close();
    await (await makeDriver()).destroy(found);
    for (const uuid of [held, found]) {
      assert.deepEqual(processesOf(uuid), []);
      assert.equal(existsSync(`${folder}/m/${uuid}`), false);
    }
  });

  it('makes no more machines than the host may have', async () => {
    const driver = await makeDriver({ machinesMax: 1 });
    await spawn(driver);
    await assert.rejects(spawn(driver), refusal('RESOURCE_EXHAUSTED', /at most 1 machines/));
  });

  it('chooses an accelerator that works', async () => {
    assert.match(await chooseAccelerator('auto', 'qemu-system-x86_64', folder), /^(kvm|tcg)$/);
    assert.equal(await chooseAccelerator('auto', 'qemu-system-none', folder), 'tcg');
  });
});

function makeInstance(metadata: Record<string, string>): Instance {
  return {
    uuid: randomUUID(), projectId: 'p', userId: 'u', displayName: 'machine "one"; $(reboot)', hostname: 'one', host: 'host-1',
    vmState: 'building', taskState: null, keyName: null, keyData: null, userData: null, metadata,
  };
}

function refusal(code: string, words: RegExp) {
  return (error: unknown) => error instanceof ServiceError && error.code === code && words.test(error.message);
}

function coloursOf(client: RfbTestClient): Set<number> {
  const colours = new Set<number>();
  for (let y = 0; y < client.height; y += 1) for (let x = 0; x < client.width; x += 1) colours.add(client.pixel(x, y));
  return colours;
}

/** Running processes whose command line names the machine. */
function processesOf(uuid: string): number[] {
  const lines = execFileSync('/bin/ps', ['-eo', 'pid=,args=']).toString().split('\n');
  return lines.filter((line) => line.includes(`-uuid ${uuid}`)).map((line) => Number.parseInt(line, 10));
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + BOOT_TIMEOUT_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, 'not in time');
    await sleep(50);
  }
}

async function openTerminal(driver: Driver, uuid: string, port: number) {
  const stream: Duplex = await driver.open(uuid, 'serial', port);
  let text = '';
  stream.on('data', (chunk: Buffer) => { text += chunk.toString(); });
  stream.on('error', () => {});
  return {
    type: (keys: string) => void stream.write(keys),
    /** Waits for the words beyond those of the last call. */
    async sees(words: string): Promise<void> {
      await until(async () => text.includes(words));
      text = text.slice(text.indexOf(words) + words.length);
    },
    close: () => void stream.destroy(),
  };
}
