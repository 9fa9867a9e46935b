import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { isFresh } from './locked-dependencies.mjs';
import { checkNodeVersion } from './node-version.mjs';
import { runStep } from './say.mjs';
import { installSystemPackages } from './system-packages.mjs';

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

  it('name the one line that installs what is missing, to whoever is not root', async () => {
    const packages = [
      { name: 'there', file: join(root, 'package-*.json'), classes: ['db'] },
      { name: 'not-there', file: join(root, 'nothing'), classes: ['db', 'e2e'] },
      { name: 'nor-this', file: join(root, 'no/*/thing'), classes: ['db'] },
      { name: 'not-needed', file: join(root, 'nothing'), classes: ['e2e'] },
    ];
    const line = /^ {2}sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends not-there nor-this'$/m;
    await assert.rejects(installSystemPackages(new Set(['db']), { uid: 65534, packages }), line);
    await installSystemPackages(new Set(['unit']), { uid: 65534, packages });
  });

  it('keep a package that would take the machine for a cloud from doing anything to it', async () => {
    const packages = [{ name: 'cloud-init', file: join(root, 'nothing'), classes: ['e2e'], asleep: '/etc/cloud/cloud-init.disabled' }];
    const line = /^ {2}sudo sh -c 'mkdir -p \/etc\/cloud && touch \/etc\/cloud\/cloud-init\.disabled && apt-get update && .* cloud-init'$/m;
    await assert.rejects(installSystemPackages(new Set(['e2e']), { uid: 65534, packages }), line);
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
