// What a person reads of a run: a line a file, failures with their reasons where they happen and again at
// the end, the slow ones, and the count as the very last line.
import { say } from '../steps/say.mjs';

const SLOW_MS = 2_000;
const SLOW_SHOWN = 8;
const OUTPUT_LINES_SHOWN = 40;

export class Report {
  #files = [];

  /** @param {{ verbose: boolean }} options */
  constructor({ verbose }) {
    this.verbose = verbose;
  }

  /** Takes a file's result (or a check's, which looks the same) and prints it. */
  add(result) {
    this.#files.push(result);
    const counts = count(result.tests);
    const mark = counts.failed > 0 ? 'FAIL' : 'ok  ';
    say(`${mark} ${result.path}  ${words(counts)}, ${seconds(result.durationMs)}`);
    for (const warning of result.warnings ?? []) say(`     warning: ${warning}`);
    for (const test of result.tests) {
      if (test.state === 'failed') printFailure(test);
      else if (test.state === 'skipped') say(`     skipped: ${test.title}`);
      else if (this.verbose) say(`     ${test.title} (${test.durationMs} ms)`);
    }
    if (counts.failed > 0 && result.output && !this.verbose) printOutput(result.output);
  }

  get counts() {
    return count(this.#files.flatMap((file) => file.tests));
  }

  /** Prints the end of the report; the count is the last line and goes to stdout. */
  finish() {
    this.#printSlow();
    const failed = this.#files.filter((file) => file.tests.some((test) => test.state === 'failed'));
    if (failed.length > 0) say('\nfailed:');
    for (const file of failed) {
      for (const test of file.tests) if (test.state === 'failed') say(`  ${file.path}: ${test.title}`);
    }
    say('');
    process.stdout.write(`${words(this.counts)}\n`);
  }

  /** The whole run as data, for a build's artefacts. */
  toJson() {
    return { counts: this.counts, files: this.#files.map(({ path, tests, durationMs, warnings }) => ({ path, durationMs, warnings, tests })) };
  }

  #printSlow() {
    const slow = this.#files
      .flatMap((file) => file.tests.map((test) => ({ ...test, path: file.path })))
      .filter((test) => test.durationMs >= SLOW_MS)
      .sort((a, b) => b.durationMs - a.durationMs)
      .slice(0, SLOW_SHOWN);
    if (slow.length > 0) say('\nslowest:');
    for (const test of slow) say(`  ${seconds(test.durationMs)}  ${test.path}: ${test.title}`);
  }
}

function printFailure(test) {
  say(`     ✗ ${test.title}`);
  for (const line of (test.error ?? '').split('\n')) say(`       ${line}`);
}

function printOutput(output) {
  const lines = output.trimEnd().split('\n');
  say(`     what it printed${lines.length > OUTPUT_LINES_SHOWN ? ` (the last ${OUTPUT_LINES_SHOWN} lines of ${lines.length})` : ''}:`);
  for (const line of lines.slice(-OUTPUT_LINES_SHOWN)) say(`     | ${line}`);
}

function count(tests) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const test of tests) counts[test.state] += 1;
  return counts;
}

function words({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}
