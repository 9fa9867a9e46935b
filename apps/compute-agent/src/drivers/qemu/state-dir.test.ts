import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ServiceError } from '@gatehouse/errors/service-error';
import { silentLogger } from '@gatehouse/runtime/logger';
import { createQemuDriver } from './qemu-driver.ts';

describe('the folder of QEMU machines', () => {
  let folder = '';

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'gh-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const open = (stateDir: string) => {
    const settings = {
      stateDir, binary: 'qemu-system-none', accelerator: 'tcg', memoryMb: 128, machinesMax: 1, kernel: null, initrd: null, append: null, disk: null,
      spice: 'off', spiceListen: '127.0.0.1', spicePortRange: { start: 5_900, stop: 6_900 },
    } as const;
    return createQemuDriver({ host: 'host-1', settings, log: silentLogger });
  };
  const modeOf = (name: string): string => (statSync(name).mode & 0o7777).toString(8);
  const refusal = (words: RegExp) => (error: unknown) => error instanceof ServiceError && error.code === 'FAILED_PRECONDITION' && words.test(error.message);

  for (const mode of [0o1777, 0o755, 0o710]) {
    it(`is refused, and left as it is, when others may enter it: mode ${mode.toString(8)}`, async () => {
      const shared = path.join(folder, 'shared');
      mkdirSync(shared);
      chmodSync(shared, mode);
      await assert.rejects(open(shared), refusal(/open to others \(mode 7\d\d\); set GATEHOUSE_STATE_DIR/));
      assert.equal(modeOf(shared), mode.toString(8));
    });
  }

  it('is refused when it belongs to another user', async () => {
    let others = '/usr';
    if (process.getuid?.() === 0) chownSync((others = folder), 65_534, 65_534);
    await assert.rejects(open(others), refusal(/belongs to another user/));
  });

  it('is refused when a file has its name', async () => {
    const file = path.join(folder, 'file');
    writeFileSync(file, '');
    await assert.rejects(open(file), refusal(/cannot be made \(EEXIST\)/));
  });

  it('is made for this user alone, and taken again', async () => {
    const own = path.join(folder, 'a', 'b');
    await open(own);
    await open(own);
    assert.deepEqual([modeOf(own), modeOf(path.join(folder, 'a'))], ['700', '700']);
  });
});
