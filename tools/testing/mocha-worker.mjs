// Runs the mocha files it is given, one after the other, and reports each event to the runner over IPC.
// A file that fails to load becomes a failed test of that file, and so does one that defines no test.
//
//   node --import=tsx tools/testing/mocha-worker.mjs '{"files":[...],"grep":null}'
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import Mocha from 'mocha';

const EXIT_GRACE_MS = 1_000;
const { files, grep } = JSON.parse(process.argv[2]);

for (const file of files) {
  process.send({ event: 'file', file });
  await runFile(file);
  process.send({ event: 'end', file });
}
process.send({ event: 'finished' });
process.disconnect();
// Every server, socket and timer should be closed by now; what is not is named and left behind.
setTimeout(() => {
  process.stderr.write(`still open after the tests: ${[...new Set(process.getActiveResourcesInfo())].filter((name) => name !== 'PipeWrap').join(', ')}\n`);
  process.exit();
}, EXIT_GRACE_MS).unref();
setTimeout(() => process.exit(), EXIT_GRACE_MS * 2).unref();

// One Mocha per file: the suites of one file cannot keep the next file's from running.
async function runFile(file) {
  const mocha = new Mocha({ ui: 'bdd', timeout: 60_000, forbidOnly: true, reporter: IpcReporter, reporterOptions: { file } });
  if (grep) mocha.grep(grep);
  const path = resolve(file);
  mocha.suite.emit('pre-require', globalThis, path, mocha);
  try {
    const exported = await import(pathToFileURL(path).href);
    mocha.suite.emit('require', exported, path, mocha);
    mocha.suite.emit('post-require', globalThis, path, mocha);
    if (mocha.suite.total() === 0) addFailure(mocha, 'defines no test', new Error('the file defines no test'));
  } catch (error) {
    addFailure(mocha, 'loads', error);
  }
  await new Promise((done) => {
    const runner = mocha.run(() => {
      runner.dispose();
      done();
    });
  });
}

function addFailure(mocha, title, error) {
  // A suite that was half defined before the failure is not run: it would only hide the cause.
  mocha.suite.suites.length = 0;
  mocha.suite.tests.length = 0;
  mocha.grep(/^/);
  mocha.suite.addTest(new Mocha.Test(title, () => {
    throw error;
  }));
}

function IpcReporter(runner, options) {
  const { file } = options.reporterOptions;
  let last = 'the first test';
  const send = (state, title, error, durationMs = 0) =>
    process.send({ event: 'test', file, state, title, durationMs, error: error ? describe(error) : null });
  const sendTest = (state, test, error) => send(state, titleOf(test), error, test.duration);
  // It would end a service. Mocha lets it pass, but for emitting it once more; that it came from the test that runs is likely, no more.
  const seen = new WeakSet();
  const sendRejection = (reason, promise) => {
    if (!seen.has(promise)) send('failed', `handles every rejection (during ${last})`, reason);
    seen.add(promise);
  };
  runner.on('test', (test) => void (last = titleOf(test)));
  runner.on('pass', (test) => sendTest('passed', test));
  runner.on('pending', (test) => sendTest('skipped', test));
  runner.on('fail', (test, error) => sendTest('failed', test, error));
  process.on('unhandledRejection', sendRejection);
  runner.on('end', () => process.off('unhandledRejection', sendRejection));
}

function titleOf(test) {
  return test.titlePath().join(' › ');
}

function describe(error) {
  if (!(error instanceof Error)) return String(error);
  const root = pathToFileURL(process.cwd()).href;
  const lines = (error.stack ?? error.message).split('\n').filter((line) => !/^\s+at .*(node:internal|node_modules\/mocha)/.test(line));
  const text = lines.join('\n').replaceAll(`${root}/`, '').replaceAll(`${process.cwd()}/`, '');
  const cause = error.cause ? `\ncaused by: ${describe(error.cause)}` : '';
  return `${text}${cause}`.slice(0, 8_000) + (error.generatedMessage === false && error.actual !== undefined ? compare(error) : '');
}

function compare({ actual, expected }) {
  return `\nactual: ${short(actual)}\nexpected: ${short(expected)}`;
}

function short(value) {
  try {
    return (JSON.stringify(value) ?? String(value)).slice(0, 1_000);
  } catch {
    return String(value).slice(0, 1_000);
  }
}
