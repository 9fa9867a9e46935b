import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { freezeRelease } from './freeze-release.mjs';

const ROOT = new URL('../', import.meta.url).pathname;

describe('freezing a release', function () {
  this.timeout(120_000);
  let folder: string;
  let fixture: string;

  before(async () => {
    // Below the packages that the frozen code runs with.
    mkdirSync(join(ROOT, 'artifacts'), { recursive: true });
    folder = mkdtempSync(join(ROOT, 'artifacts', 'frozen-'));
    fixture = await freezeRelease('9.9', 'HEAD', folder);
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  it('refuses a level that is frozen already, and a commit that is not there', async () => {
    await assert.rejects(freezeRelease('9.9', 'HEAD', folder), /is there: a frozen release is never made again/);
    await assert.rejects(freezeRelease('9.8', 'no-such-commit', folder), /no-such-commit/);
    assert.equal(existsSync(join(folder, '9.8')), false);
  });

  it('says which commit it is, and leaves no checkout behind', () => {
    const commit = execFileSync('git', ['rev-parse', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim();
    assert.deepEqual(Object.keys(JSON.parse(readFileSync(join(fixture, 'release.json'), 'utf8')) as object), ['level', 'commit']);
    assert.match(readFileSync(join(fixture, 'release.json'), 'utf8'), /"level": "9\.9"/);
    assert.match(commit, /^[0-9a-f]{40}$/);
    assert.doesNotMatch(execFileSync('git', ['worktree', 'list'], { cwd: ROOT, encoding: 'utf8' }), /gatehouse-freeze-/);
  });

  for (const service of ['api', 'consoleauth', 'compute-agent', 'console-proxy', 'metadata']) {
    it(`makes a ${service} that starts with the packages that are installed, and says what it lacks`, () => {
      const entry = join(fixture, 'services', `${service}.js`);
      const env = { PATH: process.env['PATH'], GATEHOUSE_OPS_PORT: 'none' };
      assert.throws(() => execFileSync(process.execPath, [entry], { env, encoding: 'utf8', stdio: 'pipe' }), (error) => {
        assert.match((error as { stderr: string }).stderr, /GATEHOUSE_OPS_PORT/);
        return true;
      });
    });
  }
});
