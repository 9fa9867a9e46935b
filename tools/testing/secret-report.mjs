// The last check of a run: no secret that was made in it stands in what its suites left.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { searchEvidence } from './secret-search.mjs';

const PRELOAD = join(dirname(fileURLToPath(import.meta.url)), 'note-secrets.cjs');
/** What every whole run leaves. */
const KINDS = ['log', 'database', 'file'];

/**
 * The environment in which test processes note their secrets and keep what they leave.
 *
 * @param {string} folder
 * @returns {Record<string, string>}
 */
export function evidenceEnv(folder) {
  const others = process.env['NODE_OPTIONS'];
  return { GATEHOUSE_TEST_EVIDENCE: folder, NODE_OPTIONS: `${others === undefined ? '' : `${others} `}--require="${PRELOAD}"` };
}

/**
 * Adds the result to the report; nothing where no secret was made, which is an error after a whole run.
 *
 * @param {string} folder
 * @param {import('./report.mjs').Report} report
 * @param {{ isWholeRun: boolean }} options
 */
export function reportSecrets(folder, report, { isWholeRun }) {
  const startedAt = Date.now();
  const { secrets, hashesSeen, files, bytes, finds } = searchEvidence(folder);
  if (secrets === 0 && !isWholeRun) return;
  const problems = [...finds];
  if (isWholeRun) {
    problems.push(...KINDS.filter((kind) => files[kind] === undefined).map((kind) => `no ${kind} was kept: the search is blind`));
    if (secrets === 0) problems.push('no secret was noted: the search is blind');
    else if (hashesSeen === 0) problems.push('no database holds the hash of a secret that was noted: the search is blind');
  }
  const kept = Object.entries(files).map(([kind, count]) => `${count} ${kind}s`).join(', ');
  const title = `none of ${secrets} tokens and secrets stands clear in ${kept} (${Math.round(bytes / 1e6)} MB); the hashes of ${hashesSeen} do`;
  const durationMs = Date.now() - startedAt;
  const error = problems.length === 0 ? null : problems.join('\n');
  const test = { title, state: error === null ? 'passed' : 'failed', durationMs, error };
  report.add({ path: 'token search', tests: [test], durationMs, output: '', warnings: [] });
}
