// `npm test`: everything that can be checked, from a fresh clone. Installs what is missing, starts one
// PostgreSQL and one RabbitMQ for the run, and runs every mocha file, the lint and the type check, two at
// a time; then the end-to-end files, which measure seconds, one by one, and beside them those that mostly wait.
//
//   npm test                        all of it
//   npm run test:unit               only what needs nothing
//   npm test -- rpc api-db          only files whose path contains a word (or matches a glob)
//   npm test -- --grep 'expired'    only tests whose title matches
//   npm test -- --verbose           with every title and all output
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { installLockedDependencies } from './steps/locked-dependencies.mjs';
import { checkNodeVersion } from './steps/node-version.mjs';
import { StepError, failTool, say } from './steps/say.mjs';
import { installSystemPackages } from './steps/system-packages.mjs';
import { runCheck } from './testing/check-job.mjs';
import { runMochaFiles } from './testing/mocha-job.mjs';
import { Report } from './testing/report.mjs';
import { evidenceEnv, reportSecrets } from './testing/secret-report.mjs';
import { findTestFiles, matches, PATIENT } from './testing/test-files.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const PARALLEL = Math.max(1, Math.min(4, availableParallelism()));

async function test() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { unit: { type: 'boolean' }, grep: { type: 'string' }, verbose: { type: 'boolean', default: false } },
  });
  checkNodeVersion(ROOT);
  process.chdir(ROOT);
  await installLockedDependencies(ROOT);
  const { generate } = await import('./generate.mjs');
  await generate();

  const files = chooseFiles(values, positionals);
  const needed = new Set(files.map((file) => file.class));
  await installSystemPackages(needed);

  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-test-'));
  chmodSync(folder, 0o755);
  process.env['TMPDIR'] = folder;
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());
  const report = new Report({ verbose: values.verbose });
  const evidence = join(folder, 'evidence');
  mkdirSync(evidence);
  const withChecks = !values.unit && positionals.length === 0 && values.grep === undefined;
  try {
    await runAll(files, { needed, withChecks, report, evidence, grep: values.grep ?? null, verbose: values.verbose, signal: stop.signal });
    if (!stop.signal.aborted) reportSecrets(evidence, report, { isWholeRun: withChecks });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  writeResults(report);
  if (stop.signal.aborted) say('\ninterrupted: not everything ran');
  report.finish();
  process.exit(stop.signal.aborted || report.counts.failed > 0 ? 1 : 0);
}

function chooseFiles(values, patterns) {
  const all = findTestFiles(ROOT).filter((file) => !values.unit || file.class === 'unit');
  if (patterns.length === 0) return all;
  const chosen = all.filter((file) => patterns.some((pattern) => matches(file.path, pattern)));
  if (chosen.length === 0) throw new StepError(`no test file matches ${patterns.join(' ')}`);
  return chosen;
}

async function runAll(files, { needed, withChecks, report, evidence, signal, ...options }) {
  const artifacts = join(ROOT, 'artifacts');
  const env = { TSX_TSCONFIG_PATH: join(ROOT, 'tsconfig.json'), GATEHOUSE_TEST_ARTIFACTS: artifacts, ...evidenceEnv(evidence) };
  const servers = startServers(needed, env);
  servers.catch(() => {});
  const mocha = (chosen) => runMochaFiles(chosen, { ...options, root: ROOT, env, signal }, (result) => report.add(result));
  const ofClass = (name) => files.filter((file) => file.class === name);
  const checks = withChecks ? [() => runCheck(ROOT, 'types', signal, report), () => runCheck(ROOT, 'lint', signal, report)] : [];
  const afterServers = async (chosen) => {
    await servers;
    await mocha(chosen);
  };
  try {
    await runJobs(
      [
        ...deal(ofClass('unit'), PARALLEL).map((batch) => () => mocha(batch)),
        ...checks,
        // Files in one process share its embedded PostgreSQL, which takes seconds to make.
        ...deal(ofClass('db'), PARALLEL).map((batch) => () => afterServers(batch)),
        ...ofClass('broker').map((file) => () => afterServers([file])),
      ],
      PARALLEL,
      signal,
    );
    const lanes = [ofClass('e2e').filter(({ path }) => !PATIENT.has(path)), ofClass('e2e').filter(({ path }) => PATIENT.has(path))];
    await Promise.all(lanes.map((lane) => runJobs(lane.map((file) => () => afterServers([file])), 1, signal)));
  } finally {
    await servers.then((stop) => stop(), (error) => report.add(failedServers(error)));
  }
}

// The run's own servers, by the same code that tests start theirs with.
async function startServers(needed, env) {
  const stops = [];
  const stop = async () => {
    for (const end of stops) await end();
  };
  const needs = (...names) => names.some((name) => needed.has(name));
  if (!needs('db', 'broker', 'e2e')) return stop;
  const { register } = await import('tsx/esm/api');
  const unregister = register({ tsconfig: join(ROOT, 'tsconfig.json') });
  const { startOwnPostgresql } = await import('../test/servers/postgresql.ts');
  const { startOwnRabbitmq } = await import('../test/servers/rabbitmq.ts');
  await unregister();
  if (needs('db', 'e2e')) {
    const postgresql = await startOwnPostgresql();
    stops.push(() => postgresql.stop());
    env['GATEHOUSE_TEST_POSTGRESQL_URL'] = postgresql.url;
  }
  if (needs('broker', 'e2e')) {
    const rabbitmq = await startOwnRabbitmq();
    stops.push(() => rabbitmq.stop());
    env['GATEHOUSE_TEST_RABBITMQ_URL'] = rabbitmq.url;
    env['GATEHOUSE_TEST_RABBITMQ_CONTROL'] = rabbitmq.control;
  }
  return stop;
}

async function runJobs(jobs, parallel, signal) {
  const queue = [...jobs];
  const work = async () => {
    for (let job = queue.shift(); job !== undefined && !signal.aborted; job = queue.shift()) await job();
  };
  await Promise.all(Array.from({ length: parallel }, work));
}

// Deals files onto piles like cards, so that neighbours (often alike in length) are spread.
function deal(files, piles) {
  const dealt = Array.from({ length: piles }, (_, pile) => files.filter((_file, index) => index % piles === pile));
  return dealt.filter((pile) => pile.length > 0);
}

function failedServers(error) {
  return {
    path: 'test/servers',
    tests: [{ title: 'the servers of the run start', state: 'failed', durationMs: 0, error: error.stack }],
    durationMs: 0,
    output: '',
    warnings: [],
  };
}

function writeResults(report) {
  const folder = join(ROOT, 'artifacts');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'test-results.json'), JSON.stringify(report.toJson(), null, 2));
}

await test().catch(failTool);
