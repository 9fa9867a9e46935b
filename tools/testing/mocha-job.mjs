// One mocha process over some files, watched from outside: it cannot hang, die in silence or leave
// processes behind without its file being told so.
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FILE_TIME_LIMIT_MS } from './test-files.mjs';
import { MARK, killLeftovers } from './leftovers.mjs';

const WORKER = join(dirname(fileURLToPath(import.meta.url)), 'mocha-worker.mjs');
const OUTPUT_CHARS_MAX = 64 * 1024;

/**
 * Runs the files in one process, and in further ones when that dies in the middle.
 *
 * @param {{ path: string, class: string }[]} files
 * @param {{ root: string, env: Record<string, string>, grep: string | null, verbose: boolean, signal: AbortSignal, timeLimitMs?: number }} options
 *   timeLimitMs: instead of the class's own
 * @param {(result: FileResult) => void} onFile called once a file, in order
 * @typedef {{ path: string, tests: TestResult[], durationMs: number, output: string, warnings: string[] }} FileResult
 * @typedef {{ title: string, state: 'passed' | 'failed' | 'skipped', durationMs: number, error: string | null }} TestResult
 */
export async function runMochaFiles(files, options, onFile) {
  let rest = files;
  while (rest.length > 0 && !options.signal.aborted) {
    const done = await runProcess(rest, options, onFile);
    rest = rest.slice(done);
  }
}

// Resolves with the number of files that are dealt with: at least one.
async function runProcess(files, options, onFile) {
  const mark = randomBytes(8).toString('hex');
  const child = fork(WORKER, [JSON.stringify({ files: files.map((file) => file.path), grep: options.grep })], {
    cwd: options.root,
    execArgv: ['--import=tsx'],
    env: { ...process.env, ...options.env, [MARK]: mark },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
  });
  const stop = () => killGroup(child);
  options.signal.addEventListener('abort', stop);
  let done = 0;
  let current = newResult(files[0]);
  let timer = setTimeout(() => {}, 0);
  let ending = null;

  const begin = (file) => {
    current = newResult(file);
    clearTimeout(timer);
    const limitMs = options.timeLimitMs ?? FILE_TIME_LIMIT_MS[file.class];
    timer = setTimeout(() => {
      ending = `took longer than ${limitMs / 1000} s and was stopped`;
      killGroup(child);
    }, limitMs);
  };
  const finish = () => {
    clearTimeout(timer);
    current.durationMs = Date.now() - current.startedAt;
    done += 1;
    onFile(current);
  };
  begin(files[0]);
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      keepLog(options.env['GATEHOUSE_TEST_EVIDENCE'], child.pid, chunk);
      if (options.verbose) process.stderr.write(chunk);
      current.output = (current.output + chunk).slice(-OUTPUT_CHARS_MAX);
    });
  }
  let lastFile = null;
  child.on('message', (message) => {
    if (message.event === 'file') begin(files.find((file) => file.path === message.file));
    else if (message.event === 'test') current.tests.push(message);
    else if (message.event === 'end') {
      // The last file is reported once its process is gone, with what it left open.
      if (done === files.length - 1) lastFile = current;
      else finish();
    }
  });
  const ended = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  clearTimeout(timer);
  options.signal.removeEventListener('abort', stop);
  const left = killLeftovers(mark);
  if (left.length > 0) current.warnings.push(`left running: ${left.join(' | ')}`);
  if (options.signal.aborted) return files.length;
  const open = /^still open after the tests: .*$/m.exec(current.output)?.[0];
  if (open) current.warnings.push(open);
  if (done < files.length) {
    if (lastFile === null || ending !== null) {
      current.tests.push(failure('runs to its end', ending ?? `the process ended with ${ended} in the middle of this file`));
    }
    finish();
  }
  return done;
}

/** For the search for secrets: all of it, where the report shows the end. */
function keepLog(folder, pid, chunk) {
  if (folder !== undefined) appendFileSync(join(folder, `log-tests-${pid}.txt`), chunk);
}

function newResult(file) {
  return { path: file.path, tests: [], durationMs: 0, startedAt: Date.now(), output: '', warnings: [] };
}

function failure(title, error) {
  return { title, state: 'failed', durationMs: 0, error };
}

function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // already gone
  }
}
