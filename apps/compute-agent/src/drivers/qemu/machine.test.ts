import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';
import { checkStateDir, machineArguments, machinePaths } from './machine.ts';
import type { QemuSettings } from './machine.ts';
import { chooseSpice, readSpicePlace } from './machine-spice.ts';
import type { SpicePlace } from './machine-spice.ts';

const SETTINGS: QemuSettings = {
  stateDir: '/var/lib/gh', binary: 'qemu-system-x86_64', accelerator: 'tcg', memoryMb: 256, machinesMax: 4,
  kernel: null, initrd: null, append: null, disk: null,
  spice: 'auto', spiceListen: '127.0.0.1', spicePortRange: { start: 5_900, stop: 6_900 },
};

describe('a QEMU machine', () => {
  it('refuses a name that is no uuid, so that no path leads elsewhere', () => {
    for (const name of ['../etc', '', 'a/b', randomUUID().replace(/.$/, 'A'), `${randomUUID()}/..`]) {
      assert.throws(() => machinePaths('/var/lib/gh', name), refusal('INVALID_ARGUMENT', /uuid/));
    }
  });

  it('refuses a folder whose sockets would have too long a name, and names the setting', () => {
    assert.throws(() => checkStateDir(`/${'x'.repeat(80)}`), refusal('FAILED_PRECONDITION', /GATEHOUSE_STATE_DIR/));
    checkStateDir('/var/lib/gatehouse/qemu');
  });

  it('keeps a comma in a path from becoming an option', () => {
    const uuid = randomUUID();
    const settings = { ...SETTINGS, stateDir: '/tmp/a,server=off', disk: '/tmp/b,format=raw.qcow2' };
    const args = machineArguments({ uuid, settings, paths: machinePaths(settings.stateDir, uuid), accelerator: 'tcg', serialPorts: 1, spice: null, configDrive: true });
    assert.ok(args.some((arg) => arg.includes('/tmp/a,,server=off/')));
    assert.ok(args.includes('file=/tmp/b,,format=raw.qcow2,format=qcow2,if=virtio,snapshot=on'));
    assert.ok(args.includes(`file=/tmp/a,,server=off/${uuid}/config-2.iso,format=raw,if=ide,media=cdrom,readonly=on`));
  });

  it('gives a disk image its format by name and never lets it be guessed', () => {
    const uuid = randomUUID();
    const settings = { ...SETTINGS, disk: '/images/disk.img' };
    const args = machineArguments({ uuid, settings, paths: machinePaths(settings.stateDir, uuid), accelerator: 'kvm', serialPorts: 2, spice: null, configDrive: false });
    assert.ok(args.some((arg) => arg.includes('format=raw')));
    assert.equal(args.filter((arg) => arg.startsWith('isa-serial')).length, 2);
    assert.ok(!args.some((arg) => arg.includes('cdrom')), 'a drive that nobody asked for');
  });
});

describe('a QEMU machine with SPICE', () => {
  function spiceOf(place: SpicePlace | null, stateDir = '/tmp/a,b'): string | undefined {
    const uuid = randomUUID();
    const args = machineArguments({ uuid, settings: { ...SETTINGS, stateDir }, paths: machinePaths(stateDir, uuid), accelerator: 'tcg', serialPorts: 1, spice: place, configDrive: false });
    assert.ok(args.includes('-vnc'), 'VNC is there all the same');
    return args.includes('-spice') ? args[args.indexOf('-spice') + 1] : undefined;
  }

  it('has none where none was chosen', () => assert.equal(spiceOf(null), undefined));

  it('serves it on a socket of its folder, or where proxies dial', () => {
    assert.match(spiceOf({ transport: 'attach' }) ?? '', /^unix=on,addr=\/tmp\/a,,b\/[0-9a-f-]{36}\/spice,disable-ticketing=on,/);
    assert.match(spiceOf({ transport: 'tcp', address: '192.0.2.7', port: 5_901 }) ?? '', /^addr=192\.0\.2\.7,port=5901,disable-ticketing=on,/);
  });

  it('sends only pictures that a browser can draw, and nothing to an agent in the guest', () => {
    const options = spiceOf({ transport: 'attach' }) ?? '';
    for (const option of ['image-compression=auto_lz', 'zlib-glz-wan-compression=never', 'disable-copy-paste=on']) assert.ok(options.includes(option), option);
  });

  it('is refused in words where it must have SPICE and QEMU has none', async () => {
    await assert.rejects(chooseSpice('unix', '/bin/false'), refusal('FAILED_PRECONDITION', /qemu-system-modules-spice.*GATEHOUSE_QEMU_SPICE/));
    assert.equal(await chooseSpice('auto', '/bin/false'), 'off');
    assert.equal(await chooseSpice('off', '/nowhere'), 'off');
  });

  it('remembers where it serves, and takes nothing else for a place', () => {
    for (const place of [{ transport: 'attach' }, { transport: 'tcp', address: '::1', port: 5_900 }] as const) assert.deepEqual(readSpicePlace(JSON.parse(JSON.stringify(place))), place);
    for (const other of [undefined, null, 'attach', {}, { transport: 'unix' }, { transport: 'tcp', address: 1, port: 2 }, { transport: 'tcp', address: 'a' }]) assert.equal(readSpicePlace(other), null);
  });
});

function refusal(code: string, words: RegExp) {
  return (error: unknown) => error instanceof ServiceError && error.code === code && words.test(error.message);
}
