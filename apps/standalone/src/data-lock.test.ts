import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockDataDir } from './data-lock.ts';

describe('the lock of a data directory', () => {
  let folder = '';
  const file = (): string => join(folder, 'gatehouse.pid');
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'gatehouse-lock-'))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is refused while its holder lives, naming the holder', async () => {
    const holder = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    await once(holder, 'spawn');
    lockDataDir(folder, holder.pid);
    assert.throws(() => lockDataDir(folder), {
      code: 'FAILED_PRECONDITION',
      message: `the data directory ${folder} is in use by process ${holder.pid}: ` +
        'stop that process, or set GATEHOUSE_DATA_DIR to another directory',
    });
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    lockDataDir(folder).release();
  });

  it('is refused when it names a living process and no start time', () => {
    writeFileSync(file(), JSON.stringify({ pid: process.ppid, started: null }));
    assert.throws(() => lockDataDir(folder), { message: new RegExp(`in use by process ${process.ppid}:`) });
  });

  it('is taken over when the id of a dead holder was given to another process', () => {
    writeFileSync(file(), JSON.stringify({ pid: process.ppid, started: 'an-older-boot 123' }));
    lockDataDir(folder);
    assert.equal((JSON.parse(readFileSync(file(), 'utf8')) as { pid: number }).pid, process.pid);
  });

  for (const content of ['', 'garbage', '{"pid":"1"}', '{"pid":-1}', '[]', 'null', '4711']) {
    it(`is taken over when its file holds nothing of use: ${JSON.stringify(content)}`, () => {
      writeFileSync(file(), content);
      lockDataDir(folder);
      assert.equal((JSON.parse(readFileSync(file(), 'utf8')) as { pid: number }).pid, process.pid);
    });
  }

  it('leaves nothing behind when released, and does not release what another took over', () => {
    const lock = lockDataDir(folder);
    lock.release();
    lock.release();
    assert.deepEqual(readdirSync(folder), []);
    const lost = lockDataDir(folder);
    writeFileSync(file(), '{"pid":1}');
    lost.release();
    assert.equal(readFileSync(file(), 'utf8'), '{"pid":1}');
  });
});
