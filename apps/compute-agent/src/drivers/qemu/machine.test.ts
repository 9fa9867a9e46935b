import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';
import { checkStateDir, machineArguments, machinePaths } from './machine.ts';
import type { QemuSettings } from './machine.ts';

const SETTINGS: QemuSettings = {
  stateDir: '/var/lib/gh', binary: 'qemu-system-x86_64', accelerator: 'tcg', memoryMb: 256, machinesMax: 4,
  kernel: null, initrd: null, append: null, disk: null,
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
    const args = machineArguments({ uuid, settings, paths: machinePaths(settings.stateDir, uuid), accelerator: 'tcg', serialPorts: 1 });
    assert.ok(args.some((arg) => arg.includes('/tmp/a,,server=off/')));
    assert.ok(args.includes('file=/tmp/b,,format=raw.qcow2,format=qcow2,if=virtio,snapshot=on'));
  });

  it('gives a disk image its format by name and never lets it be guessed', () => {
    const uuid = randomUUID();
    const settings = { ...SETTINGS, disk: '/images/disk.img' };
    const args = machineArguments({ uuid, settings, paths: machinePaths(settings.stateDir, uuid), accelerator: 'kvm', serialPorts: 2 });
    assert.ok(args.some((arg) => arg.includes('format=raw')));
    assert.equal(args.filter((arg) => arg.startsWith('isa-serial')).length, 2);
  });
});

function refusal(code: string, words: RegExp) {
  return (error: unknown) => error instanceof ServiceError && error.code === code && words.test(error.message);
}
