// `npm run stack`: the five services as five processes on a real broker and real databases, named by the
// environment. Builds the bundles when a source is newer, migrates both databases, starts everything, and
// on Ctrl-C drains everything. It is for trying and testing: production starts each service by itself.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { buildWhenStale } from './build.mjs';
import { installLockedDependencies } from './steps/locked-dependencies.mjs';
import { checkNodeVersion } from './steps/node-version.mjs';
import { StepError, failTool, say } from './steps/say.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const SERVICES = ['consoleauth', 'compute-agent', 'console-proxy', 'metadata', 'api'];
const DRAIN_LIMIT_MS = 20_000;
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

const REQUIRED = {
  GATEHOUSE_TRANSPORT_URL: 'the message broker, such as amqp://guest:guest@127.0.0.1:5672/',
  GATEHOUSE_API_DATABASE_URL: 'the database of the api, such as postgresql://gatehouse:password@127.0.0.1:5432/gatehouse_api',
  GATEHOUSE_CELL_DATABASE_URL: 'the database of the cell, such as postgresql://gatehouse:password@127.0.0.1:5432/gatehouse_cell',
};

async function stack() {
  checkNodeVersion(ROOT);
  process.chdir(ROOT);
  checkEnvironment(process.env);
  await installLockedDependencies(ROOT);
  const { generate } = await import('./generate.mjs');
  await generate();
  await buildWhenStale(['migrate', ...SERVICES]);
  await run('migrate', process.env);
  await runServices(environments(process.env));
}

/** Throws one line for each variable that is missing. A secret may also come from the file that <NAME>_FILE names. */
export function checkEnvironment(env) {
  const isSet = (name) => (env[name] ?? '').trim() !== '';
  const missing = Object.entries(REQUIRED).filter(([name]) => !isSet(name) && !isSet(`${name}_FILE`));
  if (missing.length === 0) return;
  throw new StepError(missing.map(([name, what]) => `${name} is not set: set it to ${what}`).join('\n'));
}

/** What each service gets beyond the common environment: an ops port of its own, and one secret for all. */
export function environments(env) {
  const firstOpsPort = Number(env.GATEHOUSE_OPS_PORT || 9464);
  const hasSecret = env.GATEHOUSE_METADATA_SECRETS || env.GATEHOUSE_METADATA_SECRETS_FILE;
  const common = {
    ...env,
    ...(hasSecret ? {} : { GATEHOUSE_METADATA_SECRETS: randomBytes(24).toString('base64url') }),
    GATEHOUSE_PROXY_BASE_URL: env.GATEHOUSE_PROXY_BASE_URL || `http://127.0.0.1:${env.GATEHOUSE_PROXY_PORT || 6080}`,
  };
  const opsPortOf = (index) => (firstOpsPort === 0 ? 0 : firstOpsPort + index);
  return SERVICES.map((service, index) => ({ service, env: { ...common, GATEHOUSE_OPS_PORT: String(opsPortOf(index)) } }));
}

// Starts a bundle with its output line by line under its name. A session of its own: Ctrl-C must reach it
// once, from us, and not also from the terminal.
function launch(service, env) {
  const child = spawn(process.execPath, ['--enable-source-maps', join(ROOT, 'dist', service, 'main.js')], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const width = Math.max(...SERVICES.map((name) => name.length));
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => process.stdout.write(`${service.padEnd(width)} | ${line}\n`));
  }
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(signal ?? code));
  });
  return { service, child, ended };
}

async function run(service, env) {
  const { child, ended: whenEnded } = launch(service, env);
  const stop = () => kill(child, 'SIGTERM');
  for (const signal of STOP_SIGNALS) process.on(signal, stop);
  process.on('exit', stop);
  const ended = await whenEnded;
  for (const signal of STOP_SIGNALS) process.off(signal, stop);
  process.off('exit', stop);
  if (ended !== 0) throw new StepError(`${service} ended with ${ended}; nothing was started`);
}

async function runServices(plans) {
  const running = plans.map(({ service, env }) => launch(service, env));
  let stopping = false;
  let code = 0;
  const stopAll = () => {
    if (stopping) return;
    stopping = true;
    for (const { child } of running) kill(child, 'SIGTERM');
    setTimeout(() => {
      code = 1;
      say(`not drained after ${DRAIN_LIMIT_MS / 1000} s: killing what is left`);
      for (const { child } of running) kill(child, 'SIGKILL');
    }, DRAIN_LIMIT_MS).unref();
  };
  for (const signal of STOP_SIGNALS) process.on(signal, stopAll);
  process.on('exit', () => {
    for (const { child } of running) kill(child, 'SIGKILL');
  });
  say(`started ${running.map(({ service, child }) => `${service} (${child.pid})`).join(', ')}; Ctrl-C stops them all`);
  await Promise.all(
    running.map(async ({ service, ended }) => {
      const how = await ended;
      if (!stopping) say(`${service} ended with ${how}; stopping the others`);
      if (!stopping || how !== 0) code = 1;
      stopAll();
    }),
  );
  say(code === 0 ? 'all stopped' : 'stopped, not as planned');
  process.exit(code);
}

function kill(child, signal) {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await stack().catch(failTool);
