import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { isFresh } from './locked-dependencies.mjs';
import { checkNodeVersion } from './node-version.mjs';
import { runStep } from './say.mjs';

describe('the steps before a start', () => {
  let root: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'gatehouse-steps-'));
    lock({ left: '1.0.0' });
  });

  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('refuse an old Node.js with the version that is needed', () => {
    for (const version of ['18.20.0', '20.18.9']) {
      assert.throws(() => checkNodeVersion(resolve('.'), version), /too old: Gatehouse needs >=20\.19/);
    }
    for (const version of ['20.19.0', '22.0.0']) checkNodeVersion(resolve('.'), version);
  });

  it('find dependencies missing, stale after the lock changed, or half installed', () => {
    assert.equal(isFresh(root), false);
    installed({ left: '1.0.0' });
    assert.equal(isFresh(root), true);
    lock({ left: '1.0.1' });
    assert.equal(isFresh(root), false);
    lock({ left: '1.0.0', right: '1.0.0' });
    assert.equal(isFresh(root), false);
  });

  it('accept dependencies that someone installed by hand, by what npm wrote down', () => {
    lock({ left: '1.0.0', right: '2.0.0' });
    installed({ left: '1.0.0', right: '2.0.0' });
    assert.equal(isFresh(root), true);
  });

  it('show what a failed command printed', async () => {
    await assert.rejects(runStep('trying', process.execPath, ['-e', "console.log('the reason'); process.exit(3)"]), /ended with 3\nthe reason/);
  });

  function lock(packages: Record<string, string>): void {
    writeFileSync(join(root, 'package-lock.json'), record(packages));
  }

  function installed(packages: Record<string, string>): void {
    mkdirSync(join(root, 'node_modules'), { recursive: true });
    writeFileSync(join(root, 'node_modules/.package-lock.json'), record(packages));
  }
});

function record(packages: Record<string, string>): string {
  const entries = Object.entries(packages).map(([name, version]) => [`node_modules/${name}`, { version }]);
  return JSON.stringify({ packages: Object.fromEntries(entries) });
}
