import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServiceError } from '@gatehouse/errors/service-error';
import { makeDataDir } from './data-dir.ts';

describe('the data directory', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'gatehouse-'))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const refused = (error: unknown) => error instanceof ServiceError && /^GATEHOUSE_DATA_DIR is .*: set a folder of your own$/.test(error.message);

  it('is refused in words where it is a file, lies below one, or cannot be', () => {
    writeFileSync(join(folder, 'file'), '');
    assert.throws(() => makeDataDir(join(folder, 'file', 'x')), refused);
    assert.throws(() => makeDataDir('/dev/null/x'), refused);
    assert.throws(() => makeDataDir('/proc/nope/x'), refused);
  });

  it('is made with the folders above it, for its owner alone, and taken as it is when it is there', () => {
    const dataDir = join(folder, 'a', 'b');
    makeDataDir(dataDir);
    makeDataDir(dataDir);
    assert.equal(statSync(dataDir).mode & 0o777, 0o700);
  });
});
