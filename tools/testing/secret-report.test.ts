import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evidenceEnv, reportSecrets } from './secret-report.mjs';

interface Result {
  readonly path: string;
  readonly tests: readonly { readonly title: string; readonly state: string; readonly error: string | null }[];
}

describe('the last check of a run', () => {
  let folder: string;
  const secret = Buffer.alloc(32, 7);
  const token = secret.toString('base64url');

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'gatehouse-evidence-'));
    writeFileSync(join(folder, 'secrets-1.hex'), `${secret.toString('hex')}\n`);
    writeFileSync(join(folder, 'log-consoleauth-1-1.txt'), 'a token was issued\n');
    writeFileSync(join(folder, 'database-cell-1-1.txt'), `${createHash('sha256').update(token).digest('hex')}\n`);
    writeFileSync(join(folder, 'file-audit.jsonl-1-1.txt'), '{"event":"authorized"}\n');
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  function check(isWholeRun: boolean): Result | null {
    let result: Result | null = null;
    reportSecrets(folder, { add: (each: Result) => void (result = each) } as never, { isWholeRun });
    return result;
  }

  const errorOf = (result: Result | null) => result?.tests[0]?.error ?? '';

  it('fails when a token stands in a log, a database or a file, and says where without showing it', () => {
    for (const name of ['log-consoleauth-1-1.txt', 'database-cell-1-1.txt', 'file-audit.jsonl-1-1.txt']) {
      const path = join(folder, name);
      writeFileSync(path, `{"url":"/vnc?token=${token}"}\n`);
      const result = check(false);
      assert.equal(result?.tests[0]?.state, 'failed', name);
      assert.equal(errorOf(result), [...errorOf(result).split('\n')].filter((line) => line.includes('/vnc?token=<a secret>')).join('\n'), name);
      assert.ok(!JSON.stringify(result).includes(token), name);
      writeFileSync(path, '');
    }
  });

  it('fails after a whole run that noted no secret, kept nothing, or whose databases hold none of its hashes: it would be blind', () => {
    writeFileSync(join(folder, 'database-cell-1-1.txt'), '');
    assert.match(errorOf(check(true)), /no database holds the hash/);
    rmSync(join(folder, 'log-consoleauth-1-1.txt'));
    assert.match(errorOf(check(true)), /no log was kept/);
    rmSync(join(folder, 'secrets-1.hex'));
    assert.match(errorOf(check(true)), /no secret was noted/);
    assert.equal(check(false), null);
  });

  it('passes when there are hashes and no tokens, and says how many', () => {
    const result = check(true);
    assert.deepEqual([result?.tests[0]?.state, result?.tests[0]?.error], ['passed', null]);
    assert.match(result?.tests[0]?.title ?? '', /^none of 1 tokens and secrets stands clear in 1 databases, 1 files, 1 logs \(0 MB\); the hashes of 1 do$/);
  });

  it('has processes note their secrets beside what else NODE_OPTIONS says', () => {
    const env = evidenceEnv('/folder');
    assert.equal(env['GATEHOUSE_TEST_EVIDENCE'], '/folder');
    assert.match(env['NODE_OPTIONS'] ?? '', /--require="\/.*note-secrets\.cjs"$/);
  });
});
