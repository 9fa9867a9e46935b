import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { ComputeClient } from '../test/house/compute-client.ts';
import { ConsoleSocket, RFB_GREETING } from '../test/house/console-socket.ts';
import { outputKeeper } from '../test/servers/evidence.ts';
import { freePort } from '../test/servers/free-port.ts';
import { startPostgresql } from '../test/servers/postgresql.ts';
import type { Postgresql } from '../test/servers/postgresql.ts';
import { startRabbitmq } from '../test/servers/rabbitmq.ts';
import type { Rabbitmq } from '../test/servers/rabbitmq.ts';
import { makeTempFolder, removeTempFolder } from '../test/servers/server-process.ts';

const ROOT = new URL('..', import.meta.url).pathname;
const SERVICES = ['api', 'consoleauth', 'compute-agent', 'console-proxy', 'metadata'];

interface Run {
  readonly child: ChildProcess;
  output(): string;
  readonly ended: Promise<number | null>;
}

describe('npm run stack', function () {
  this.timeout(240_000);
  let rabbitmq: Rabbitmq;
  let postgresql: Postgresql;
  let folder: string;

  before(async () => {
    [rabbitmq, postgresql] = await Promise.all([startRabbitmq(), startPostgresql()]);
    folder = makeTempFolder('stack');
  });

  after(async () => {
    await rabbitmq?.stop();
    await postgresql?.stop();
    removeTempFolder(folder);
  });

  it('says in a line each which variables are missing', async () => {
    const run = start({ GATEHOUSE_TRANSPORT_URL: 'amqp://127.0.0.1' });
    assert.equal(await run.ended, 1);
    assert.match(run.output(), /^GATEHOUSE_API_DATABASE_URL is not set: .+\nGATEHOUSE_CELL_DATABASE_URL is not set: .+$/m);
  });

  it('ends the migration too on Ctrl-C, while that waits for a database', async () => {
    const nowhere = `postgresql://x:y@127.0.0.1:${await freePort()}/x`;
    const run = start({ GATEHOUSE_TRANSPORT_URL: 'amqp://127.0.0.1', GATEHOUSE_API_DATABASE_URL: nowhere, GATEHOUSE_CELL_DATABASE_URL: nowhere });
    await until(run, () => /^migrate +\| /m.test(run.output()));
    run.child.kill('SIGINT');
    assert.equal(await run.ended, 1);
    assert.match(run.output(), /migrate ended with SIGTERM; nothing was started/);
  });

  it('starts five services from nothing, opens a console, and drains them all on Ctrl-C', async () => {
    const { env, apiPort } = await environment();
    const run = start(env);
    try {
      const compute = new ComputeClient(`http://127.0.0.1:${apiPort}`);
      await until(run, () => SERVICES.every((service) => new RegExp(`^${service} +\\| .*"msg":"ready"`, 'm').test(run.output())));
      const id = await compute.createServerOnceHostIsKnown('one');
      await compute.awaitActive(id);
      const socket = await ConsoleSocket.open(await compute.consoleUrl(id, 'vnc'));
      await socket.awaitText(RFB_GREETING);
      socket.close();
      run.child.kill('SIGINT');
      assert.equal(await run.ended, 0, run.output().slice(-4_000));
      assert.match(run.output(), /all stopped/);
    } finally {
      run.child.kill('SIGKILL');
    }
  });

  it('ends with words, and ends the others, when one service ends', async () => {
    const { env } = await environment();
    const run = start(env);
    try {
      await until(run, () => /^started .*metadata \(\d+\)/m.test(run.output()));
      const pid = Number(/metadata \((\d+)\)/.exec(run.output())?.[1]);
      process.kill(pid, 'SIGKILL');
      assert.equal(await run.ended, 1);
      assert.match(run.output(), /metadata ended with SIGKILL; stopping the others/);
    } finally {
      run.child.kill('SIGKILL');
    }
  });

  async function environment(): Promise<{ env: Record<string, string>; apiPort: number }> {
    const [apiPort, proxyPort, metadataPort] = await Promise.all([freePort(), freePort(), freePort()]);
    const env = {
      GATEHOUSE_TRANSPORT_URL: rabbitmq.url,
      GATEHOUSE_API_DATABASE_URL: await postgresql.createDatabase(),
      GATEHOUSE_CELL_DATABASE_URL: await postgresql.createDatabase(),
      GATEHOUSE_API_PORT: String(apiPort),
      GATEHOUSE_PROXY_PORT: String(proxyPort),
      GATEHOUSE_METADATA_PORT: String(metadataPort),
      GATEHOUSE_OPS_PORT: '0',
      GATEHOUSE_HOST: 'compute-1',
      GATEHOUSE_DATA_DIR: folder,
    };
    return { env, apiPort };
  }
});

function start(env: Record<string, string>): Run {
  const child = spawn('npm', ['run', '--silent', 'stack'], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  for (const stream of [child.stdout, child.stderr]) stream.on('data', outputKeeper('stack'));
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  return { child, output: () => output, ended };
}

async function until(run: Run, isTrue: () => boolean): Promise<void> {
  const deadline = Date.now() + 120_000;
  while (!isTrue()) {
    assert.ok(run.child.exitCode === null && Date.now() < deadline, `not in time, or it ended:\n${run.output().slice(-4_000)}`);
    await sleep(100);
  }
}
