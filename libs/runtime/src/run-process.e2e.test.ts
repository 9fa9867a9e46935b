import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { VERSION } from './version.ts';

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Running {
  readonly child: ChildProcess;
  readonly opsUrl: string;
  readonly outcome: Promise<Outcome>;
  /** Resolves when it has printed such a line; rejects when it ends before. */
  says(line: RegExp): Promise<RegExpExecArray>;
}

const FIXTURE = fileURLToPath(new URL('./fixtures/process.fixture.ts', import.meta.url));
const children = new Set<ChildProcess>();

function launch(env: Record<string, string>): { child: ChildProcess; outcome: Promise<Outcome> } {
  const child = spawn(process.execPath, ['--import', 'tsx', FIXTURE], {
    env: { PATH: process.env['PATH'], GATEHOUSE_OPS_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => void (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => void (stderr += chunk.toString()));
  const outcome = once(child, 'close').then(([code]: unknown[]) => {
    children.delete(child);
    return { code: code as number | null, stdout, stderr };
  });
  return { child, outcome };
}

async function launchUntil(line: RegExp, env: Record<string, string>): Promise<Running> {
  const { child, outcome } = launch(env);
  let seen = '';
  child.stdout?.on('data', (chunk: Buffer) => void (seen += chunk.toString()));
  const says = (words: RegExp): Promise<RegExpExecArray> => new Promise((resolve, reject) => {
    const look = (): void => {
      const found = words.exec(seen);
      if (found !== null) resolve(found);
    };
    child.stdout?.on('data', look);
    void outcome.then((result) => reject(new Error(`exited ${result.code}: ${result.stdout}${result.stderr}`)));
    look();
  });
  return { child, opsUrl: (await says(line))[1] ?? '', outcome, says };
}

describe('the life of a process', () => {
  afterEach(() => {
    for (const child of children) child.kill('SIGKILL');
  });

  it('refuses a wrong configuration with all its faults on stderr, and exits 1', async () => {
    const { code, stdout, stderr } = await launch({ GATEHOUSE_API_PORT: 'x', GATEHOUSE_TRANSPORT_URL: 'http://u:planted-secret@h' }).outcome;
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.equal(stderr, 'gatehouse-fixture: cannot start: 2 settings are wrong:\n' +
      '  GATEHOUSE_API_PORT is "x": set a port from 0 to 65535 (0 picks a free one)\n' +
      '  GATEHOUSE_TRANSPORT_URL is wrong (its value is secret and not shown): set a URL like amqp://host\n');
  });

  it('names a taken port and its variable in one line, for the app and for the ops server', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const port = String((taken.address() as AddressInfo).port);
    for (const variable of ['GATEHOUSE_API_PORT', 'GATEHOUSE_OPS_PORT']) {
      const { code, stderr } = await launch({ [variable]: port }).outcome;
      assert.equal(code, 1);
      assert.equal(stderr, `gatehouse-fixture: cannot start: port ${port} on 127.0.0.1 is taken: ` +
        `stop the process that uses it, or set ${variable} to another port\n`);
    }
    taken.close();
  });

  it('tells a fault of its own with the stack, and exits 1', async () => {
    const { code, stderr } = await launch({ FIXTURE_MODE: 'broken-start' }).outcome;
    assert.equal(code, 1);
    assert.match(stderr, /^gatehouse-fixture: cannot start: TypeError: a fault of ours\n {4}at .*process\.fixture\.ts/);
  });

  it('logs a rejection that nobody handled and exits 1', async () => {
    const { code, stdout } = await launch({ FIXTURE_MODE: 'late-rejection' }).outcome;
    assert.equal(code, 1);
    assert.match(stdout, /"level":"fatal".*nobody caught me.*"msg":"unhandled rejection: exiting"/);
  });

  it('exits 1 when it does not drain in time, and at once on a second signal', async () => {
    const patient = await launchUntil(/started (\S+)/, { FIXTURE_MODE: 'stuck-drain' });
    patient.child.kill('SIGTERM');
    const overdue = await patient.outcome;
    assert.equal(overdue.code, 1);
    assert.match(overdue.stdout, /did not drain in time/);

    const impatient = await launchUntil(/started (\S+)/, { FIXTURE_MODE: 'stuck-drain' });
    // One that follows at once is the same key press, passed on by a launcher; of another kind, so that the two stay two on their way.
    impatient.child.kill('SIGINT');
    impatient.child.kill('SIGTERM');
    await impatient.says(/"msg":"drain begins"/);
    await new Promise((resolve) => setTimeout(resolve, 400));
    assert.equal(impatient.child.exitCode, null);
    impatient.child.kill('SIGINT');
    assert.equal((await impatient.outcome).code, 130);
  });

  it('can be called off while it starts', async () => {
    const { child, outcome } = await launchUntil(/"msg":"start begins"/, { FIXTURE_MODE: 'slow-start', GATEHOUSE_LOG_LEVEL: 'debug', GATEHOUSE_UNKNOWN: '1' });
    child.kill('SIGINT');
    const { code, stdout } = await outcome;
    assert.equal(code, 0, stdout);
    assert.match(stdout, /GATEHOUSE_UNKNOWN is not a setting of Gatehouse/);
  });

  it('is ready when it says so, drains on SIGTERM and exits 0', async () => {
    const { child, opsUrl, outcome } = await launchUntil(/started (\S+)/, {});
    assert.equal((await fetch(`${opsUrl}/readyz`)).status, 200);
    child.kill('SIGTERM');
    const { code, stdout } = await outcome;
    assert.equal(code, 0);
    const messages = [...stdout.matchAll(/"msg":"([^"]*)"/g)].map((match) => match[1]);
    assert.deepEqual(messages, ['ready', 'draining', 'drain begins', 'drain ends', 'stopped']);
    assert.match(stdout, /"called_off":false/);
  });

  it('reads files again on SIGHUP where the app does and no terminal is there, and drains on it else', async () => {
    const reloading = await launchUntil(/^started (.*)\n/m, { FIXTURE_MODE: 'reloads' });
    reloading.child.kill('SIGHUP');
    await reloading.says(/files were read again/);
    assert.equal((await fetch(`${reloading.opsUrl}/readyz`)).status, 200);
    reloading.child.kill('SIGTERM');
    const { code, stdout } = await reloading.outcome;
    assert.equal(code, 0);
    assert.match(stdout, /files were read again[^]*drain ends/);
    const other = await launchUntil(/^started (.*)\n/m, {});
    other.child.kill('SIGHUP');
    assert.match((await other.outcome).stdout, /drain ends/);
  });

  it('says 503 when the app is not ready', async () => {
    const { child, opsUrl, outcome } = await launchUntil(/started (\S+)/, { FIXTURE_MODE: 'unready' });
    const response = await fetch(`${opsUrl}/readyz`);
    assert.deepEqual([response.status, await response.text()], [503, 'not ready: the queue does not answer\n']);
    child.kill('SIGTERM');
    assert.equal((await outcome).code, 0);
  });
});

describe('the version', () => {
  it('is the one in package.json', () => {
    const root = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };
    assert.equal(VERSION, root.version);
  });
});
