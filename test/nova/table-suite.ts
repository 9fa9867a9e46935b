/** Holds a document of Nova's tests true: each row that says that something holds here has a test that shows it, and each test has its row. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { namesIn, readNovaTable } from './nova-table.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = fileURLToPath(new URL('.', import.meta.url));
/** They hold tables, and would load themselves. */
const SUITES = ['nova-consoles.test.ts', 'nova-metadata.test.ts'];
const OUTPUT_BYTES_MAX = 16 * 1_024 * 1_024;

export interface TableSuite {
  readonly title: string;
  readonly document: string;
  /** Of a file of this folder: whether the tests in it are the document's. */
  readonly replays: (file: string) => boolean;
  readonly testsMin: number;
}

export function describeTable({ title, document, replays, testsMin }: TableSuite): void {
  describe(title, function () {
    // It loads every file, without running anything.
    this.timeout(80_000);
    let replayed: ReadonlySet<string>;
    const rows = readNovaTable(document);

    before(async () => {
      const files = readdirSync(FOLDER).filter((name) => name.endsWith('.test.ts') && !SUITES.includes(name) && replays(name));
      const args = ['node_modules/mocha/bin/mocha.js', '--dry-run', '--reporter', 'json', ...files.map((name) => `test/nova/${name}`)];
      const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT, maxBuffer: OUTPUT_BYTES_MAX });
      const { tests } = JSON.parse(stdout.slice(stdout.indexOf('{\n'))) as { tests: { title: string }[] };
      replayed = new Set(tests.flatMap(({ title: name }) => /^(test_\w+)(?: \([\w' ]+\))?: /.exec(name)?.[1] ?? []));
    });

    it(`has a row for ${testsMin} of them and more`, () => {
      assert.ok(rows.flatMap(({ names }) => names).length >= testsMin);
    });

    it('names a test of ours for each that is the same or different here', () => {
      const unshown = rows
        .filter(({ state }) => state !== 'none')
        .flatMap(({ names, why, line }) => {
          const shown = /Shown by (.*)/.exec(why);
          return (shown === null ? names : namesIn(shown[1] ?? '')).filter((name) => !replayed.has(name)).map((name) => `line ${line}: ${name}`);
        });
      assert.deepEqual(unshown, []);
    });

    it('says why wherever something is different, or not there', () => {
      assert.deepEqual(rows.filter(({ state, why }) => state !== 'same' && why.length < 10).map(({ line }) => `line ${line}`), []);
    });

    it('has a row for each test of ours that replays one', () => {
      const named = new Set(rows.filter(({ state }) => state !== 'none').flatMap(({ names }) => names));
      assert.deepEqual([...replayed].filter((name) => !named.has(name)), []);
    });
  });
}
