// The checks that are not mocha's: each counts as one test.
import { spawn } from 'node:child_process';
import { join } from 'node:path';

const TIME_LIMIT_MS = 300_000;

const CHECKS = {
  types: {
    path: 'type check',
    args: (root) => [
      join(root, 'node_modules/typescript/bin/tsc'),
      '-p',
      join(root, 'tsconfig.json'),
      '--noEmit',
      '--incremental',
      '--tsBuildInfoFile',
      join(root, 'node_modules/.cache/gatehouse.tsbuildinfo'),
    ],
  },
  lint: { path: 'lint', args: (root) => [join(root, 'tools/lint.mjs')] },
};

/**
 * Runs a check and adds its result to the report.
 *
 * @param {string} root
 * @param {keyof typeof CHECKS} name
 * @param {AbortSignal} signal
 * @param {import('./report.mjs').Report} report
 */
export async function runCheck(root, name, signal, report) {
  const check = CHECKS[name];
  const startedAt = Date.now();
  const child = spawn(process.execPath, check.args(root), { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], signal, timeout: TIME_LIMIT_MS });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  const ended = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, reason) => resolve(reason ?? code));
  });
  if (signal.aborted) return;
  const durationMs = Date.now() - startedAt;
  const error = ended === 0 ? null : output.trimEnd().slice(-12_000) || `ended with ${ended}`;
  const test = { title: check.path, state: error === null ? 'passed' : 'failed', durationMs, error };
  report.add({ path: check.path, tests: [test], durationMs, output: '', warnings: [] });
}
