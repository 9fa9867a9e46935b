import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Instance } from '@gatehouse/objects/instance';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { computeAgentConfig } from './config.ts';
import { makeDriver } from './make-driver.ts';

/** Stands where QEMU would: writes down where it is and what it was told, and fails as QEMU does. */
const PROGRAM = '#!/bin/sh\nprintf "%s\\n" "$0" "$@" > "$(dirname "$0")/told"\necho "no machine today" >&2\nexit 1\n';

describe('the driver of a configuration with relative names', () => {
  const start = process.cwd();
  const searchPath = process.env['PATH'];
  let folder = '';

  beforeEach(() => {
    // Not under a long temporary folder: the sockets' names have a limit.
    folder = mkdtempSync('/tmp/gh-d-');
    mkdirSync(path.join(folder, 'bin'));
    writeFileSync(path.join(folder, 'bin', 'my-qemu'), PROGRAM);
    chmodSync(path.join(folder, 'bin', 'my-qemu'), 0o755);
    process.chdir(folder);
  });
  afterEach(() => {
    process.chdir(start);
    process.env['PATH'] = searchPath;
    rmSync(folder, { recursive: true, force: true });
  });

  async function startMachine(change: object): Promise<string[]> {
    const config = computeAgentConfig.parse({
      host: 'host-1', driver: 'qemu', stateDir: 'm', qemuAccelerator: 'tcg', qemuKernel: 'boot/vmlinuz', qemuInitrd: 'boot/initrd', qemuDisk: 'disk.qcow2', ...change,
    });
    const driver = await makeDriver(config, systemClock, silentLogger);
    await assert.rejects(driver.spawn(INSTANCE), (error) => error instanceof ServiceError && /did not start: no machine today/.test(error.message));
    await driver.close();
    return readFileSync(path.join(folder, 'bin', 'told'), 'utf8').split('\n');
  }

  function assertWhole(told: readonly string[]): void {
    assert.equal(told[0], path.join(folder, 'bin', 'my-qemu'));
    assert.equal(told[told.indexOf('-kernel') + 1], path.join(folder, 'boot/vmlinuz'));
    assert.equal(told[told.indexOf('-initrd') + 1], path.join(folder, 'boot/initrd'));
    assert.ok(told.some((word) => word.startsWith(`file=${path.join(folder, 'disk.qcow2')},`)));
  }

  it('says of a program that is not there that it is not installed', async () => {
    const config = computeAgentConfig.parse({ host: 'host-1', driver: 'qemu', stateDir: 'm', qemuAccelerator: 'tcg', qemuBinary: 'qemu-system-none' });
    const driver = await makeDriver(config, systemClock, silentLogger);
    await assert.rejects(driver.spawn(INSTANCE), /qemu-system-none is not installed/);
  });

  it('starts a program that is named from here, with files that are', async () => {
    assertWhole(await startMachine({ qemuBinary: './bin/my-qemu' }));
  });

  it('starts the program that PATH finds', async () => {
    process.env['PATH'] = `/nowhere:${path.join(folder, 'bin')}:${searchPath}`;
    assertWhole(await startMachine({ qemuBinary: 'my-qemu' }));
  });
});

const INSTANCE: Instance = {
  uuid: randomUUID(), projectId: 'p', userId: 'u', displayName: 'one', hostname: 'one', host: 'host-1',
  vmState: 'building', taskState: null, keyName: null, keyData: null, userData: null, metadata: {},
};
