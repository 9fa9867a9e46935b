import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runMochaFiles } from './mocha-job.mjs';
import { classOf, findTestFiles, matches, PATIENT } from './test-files.mjs';

interface FileResult {
  readonly path: string;
  readonly warnings: readonly string[];
  readonly tests: readonly { title: string; state: string; error: string | null }[];
}

describe('the test runner', function () {
  this.timeout(60_000);
  const root = resolve('.');
  let folder: string;

  before(() => {
    // Inside the repository, where tsx and node_modules are found.
    folder = mkdtempSync(join(root, 'node_modules/.gatehouse-runner-'));
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  it('counts a file that fails to load as one failure, and runs the files after it', async () => {
    const [broken, good] = await run({
      'broken.test.ts': "import './nothing-here.ts';\ndescribe('x', () => { it('y', () => {}); });",
      'good.test.ts': "describe('x', () => { it('y', () => {}); });",
    });
    assert.deepEqual(states(broken), ['failed']);
    assert.match(broken?.tests[0]?.error ?? '', /nothing-here/);
    assert.deepEqual(states(good), ['passed']);
  });

  it('fails a file in which the process dies, and runs the files after it', async () => {
    const [deadly, good] = await run({
      'deadly.test.ts': "describe('x', () => { it('y', () => process.exit(0)); it('never', () => {}); });",
      'good.test.ts': "describe('x', () => { it('y', () => {}); });",
    });
    assert.deepEqual(states(deadly), ['failed']);
    assert.match(deadly?.tests[0]?.error ?? '', /exit code 0 in the middle/);
    assert.deepEqual(states(good), ['passed']);
  });

  it('stops a file that hangs, and says so', async () => {
    const [hung] = await run({ 'hung.test.ts': "describe('x', () => { it('y', () => { for (;;); }); });" }, 3_000);
    assert.match(hung?.tests[0]?.error ?? '', /took longer than 3 s/);
  });

  it('fails a file that defines no test or says .only', async () => {
    const results = await run({ 'empty.test.ts': 'export {};', 'only.test.ts': "it.only('x', () => {});" });
    assert.deepEqual(results.map((result) => states(result)), [['failed'], ['failed']]);
  });

  it('fails a file once for a rejection that nobody handled, and says during which test', async () => {
    const [careless] = await run({
      'careless.test.ts': "it('a', () => {}); it('b', async () => { void Promise.reject(new Error('why')); await new Promise((done) => setTimeout(done, 20)); });",
    });
    assert.deepEqual(states(careless), ['passed', 'failed', 'passed']);
    assert.match(careless?.tests[1]?.title ?? '', /handles every rejection \(during b\)/);
    assert.match(careless?.tests[1]?.error ?? '', /why/);
  });

  it('fails a test with its reason, and tells passed from skipped', async () => {
    const [mixed] = await run({
      'mixed.test.ts': "it('a', () => {}); it.skip('b', () => {}); it('c', () => { throw new Error('why'); });",
    });
    assert.deepEqual(states(mixed), ['passed', 'skipped', 'failed']);
    assert.match(mixed?.tests[2]?.error ?? '', /why/);
  });

  it('kills what a file left running, and names it', async () => {
    const [leaky] = await run({
      'leaky.test.ts': "import { spawn } from 'node:child_process';\nit('x', () => { spawn('sleep', ['1234'], { detached: true, stdio: 'ignore' }).unref(); });",
    });
    assert.deepEqual(states(leaky), ['passed']);
    assert.match(leaky?.warnings.join() ?? '', /left running: sleep 1234/);
  });

  it('takes a class from the suffix, and a word or a glob as a choice of files', () => {
    assert.deepEqual(
      ['a.test.ts', 'a.db.test.ts', 'a.broker.test.ts', 'a.e2e.test.ts', 'app.module.test.ts'].map(classOf),
      ['unit', 'db', 'broker', 'e2e', 'unit'],
    );
    assert.ok(matches('libs/rpc/src/client.test.ts', 'rpc'));
    assert.ok(matches('libs/rpc/src/client.test.ts', 'libs/**/*.test.ts'));
    assert.ok(!matches('libs/rpc/src/client.test.ts', 'libs/*.test.ts'));
  });

  it('knows the files that mostly wait by names that there are', () => {
    const paths = findTestFiles(root).map(({ path }: { readonly path: string }) => path);
    assert.deepEqual([...PATIENT].filter((path) => !paths.includes(path)), []);
  });

  async function run(files: Record<string, string>, timeLimitMs?: number): Promise<FileResult[]> {
    const results: FileResult[] = [];
    const paths = Object.entries(files).map(([name, text]) => {
      writeFileSync(join(folder, name), text);
      return { path: join(folder, name), class: 'unit' };
    });
    const options = { root, env: {}, grep: null, verbose: false, signal: new AbortController().signal, timeLimitMs };
    await runMochaFiles(paths, options, (result: FileResult) => results.push(result));
    return results;
  }
});

function states(result: FileResult | undefined): string[] {
  return result?.tests.map((test) => test.state) ?? [];
}
