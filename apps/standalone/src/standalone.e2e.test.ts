// The real process, as a person starts it: what it prints, what it answers, how it is refused and stopped,
// and what a restart finds.

import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { keepFiles, outputKeeper } from '../../../test/servers/evidence.ts';
import { LostTime } from '../../../test/servers/lost-time.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const START_TIMEOUT_MS = 90_000;
const children = new Set<ChildProcess>();

class Standalone {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  stdout = '';
  stderr = '';

  constructor(dataDir: string, env: Record<string, string> = {}) {
    this.child = spawn(process.execPath, ['--import', 'tsx', MAIN], {
      env: {
        PATH: process.env['PATH'], HOME: tmpdir(), GATEHOUSE_DATA_DIR: dataDir,
        GATEHOUSE_TEST_EVIDENCE: process.env['GATEHOUSE_TEST_EVIDENCE'], NODE_OPTIONS: process.env['NODE_OPTIONS'],
        GATEHOUSE_API_PORT: '0', GATEHOUSE_PROXY_PORT: '0', GATEHOUSE_METADATA_PORT: '0', GATEHOUSE_OPS_PORT: '0',
        ...env,
      },
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.add(this.child);
    this.child.stdout?.on('data', (chunk: Buffer) => void (this.stdout += chunk.toString()));
    this.child.stderr?.on('data', (chunk: Buffer) => void (this.stderr += chunk.toString()));
    this.child.stderr?.on('data', outputKeeper('standalone'));
    this.exit = once(this.child, 'close').then(([code]: unknown[]) => {
      children.delete(this.child);
      return code as number | null;
    });
  }

  async ready(): Promise<void> {
    const gone = this.exit.then((code) => Promise.reject(new Error(`exited ${code}:\n${this.stdout}\n${this.stderr}`)));
    const seen = new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`not ready:\n${this.stdout}\n${this.stderr}`)), START_TIMEOUT_MS);
      this.child.stdout?.on('data', () => {
        if (!/^ready .*\n/m.test(this.stdout)) return;
        clearTimeout(late);
        resolve();
      });
    });
    await Promise.race([seen, gone]);
  }

  url(name: string): string {
    const found = new RegExp(`^ready .*\\b${name} (http://127\\.0\\.0\\.1:\\d+)`, 'm').exec(this.stdout);
    return found?.[1] ?? assert.fail(`no address of ${name} in:\n${this.stdout}`);
  }

  links(kind: 'vnc' | 'serial'): readonly string[] {
    return [...this.stdout.matchAll(new RegExp(`http://[^ ]+/${kind}#[^\\s]+`, 'g'))].map(([link]) => link);
  }

  async get(service: string, path: string, headers: Record<string, string> = {}): Promise<{ status: number; text: string }> {
    const response = await fetch(this.url(service) + path, { headers: { 'x-auth-token': 'demo:demo', connection: 'close', ...headers } });
    return { status: response.status, text: await response.text() };
  }

  async serverIds(): Promise<readonly string[]> {
    const { text } = await this.get('api', '/v2.1/servers/detail');
    const { servers } = JSON.parse(text) as { servers: { id: string; name: string; status: string }[] };
    assert.deepEqual(servers.map(({ name, status }) => `${name} ${status}`).toSorted(), ['demo-1 ACTIVE', 'demo-2 ACTIVE'], this.stderr);
    return servers.map(({ id }) => id).toSorted();
  }

  /** Sends SIGINT. @returns exit code */
  interrupt(): Promise<number | null> {
    this.child.kill('SIGINT');
    return this.exit;
  }
}

function openSocket(link: string): WebSocket {
  const { origin, hash } = new URL(link);
  const token = new URLSearchParams(hash.slice(1)).get('token') ?? '';
  return new WebSocket(`${origin.replace('http', 'ws')}/websockify`, ['binary', `token.${token}`]);
}

/** Reads a console until `pattern` appears in its bytes. */
async function readConsole(link: string, pattern: RegExp): Promise<string> {
  const socket = openSocket(link);
  let seen = '';
  try {
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`only saw ${JSON.stringify(seen)}`)), 10_000);
      socket.on('error', reject);
      socket.on('close', (code, reason) => reject(new Error(`closed ${code} ${reason.toString()}`)));
      socket.on('open', () => socket.send(Buffer.from('\r')));
      socket.on('message', (data: Buffer) => {
        seen += data.toString('latin1');
        if (!pattern.test(seen)) return;
        clearTimeout(late);
        resolve();
      });
    });
    return seen;
  } finally {
    socket.terminate();
  }
}

describe('standalone', function () {
  this.timeout(120_000);
  let folder = '';
  let first: Standalone;
  let ids: readonly string[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'gatehouse-standalone-'));
    first = new Standalone(join(folder, 'data'));
    await first.ready();
  });
  after(async () => {
    for (const child of children) {
      child.kill('SIGKILL');
      await once(child, 'close');
    }
    keepFiles(folder);
    rmSync(folder, { recursive: true, force: true });
  });

  it('refuses a second process on its data directory, naming the first', async () => {
    const second = new Standalone(join(folder, 'data'));
    assert.equal(await second.exit, 1);
    assert.equal(second.stdout, '');
    assert.equal(second.stderr, `gatehouse-standalone: cannot start: the data directory ${join(folder, 'data')} is in use by ` +
      `process ${first.child.pid}: stop that process, or set GATEHOUSE_DATA_DIR to another directory\n`);
  });

  for (const [service, variable] of [['api', 'API'], ['console proxy', 'PROXY'], ['metadata', 'METADATA'], ['ops', 'OPS']] as const) {
    it(`names the taken port of ${service} in one line, before it makes a database`, async () => {
      const { port } = new URL(first.url(service));
      const other = new Standalone(join(folder, 'other'), { [`GATEHOUSE_${variable}_PORT`]: port });
      assert.equal(await other.exit, 1);
      assert.equal(other.stderr, `gatehouse-standalone: cannot start: port ${port} on 127.0.0.1 is taken: ` +
        `stop the process that uses it, or set GATEHOUSE_${variable}_PORT to another port\n`);
      assert.ok(!existsSync(join(folder, 'other', 'database')));
      assert.ok(!existsSync(join(folder, 'other', 'gatehouse.pid')));
    });
  }

  it('tells all faults of its configuration at once', async () => {
    const wrong = new Standalone(join(folder, 'wrong'), { GATEHOUSE_API_PORT: 'x', GATEHOUSE_DRIVER: 'xen', GATEHOUSE_LOG_LEVEL: 'loud' });
    assert.equal(await wrong.exit, 1);
    assert.match(wrong.stderr, /3 settings are wrong:\n {2}GATEHOUSE_/);
    assert.ok(!existsSync(join(folder, 'wrong')));
  });

  it('is ready when it says so, at all its addresses', async () => {
    assert.deepEqual(await first.get('ops', '/readyz'), { status: 200, text: 'ready\n' });
    assert.equal((await first.get('ops', '/metrics')).status, 200);
    assert.match((await first.get('api', '/')).text, /v2\.1/);
    assert.equal((await first.get('console proxy', '/')).status, 200);
  });

  it('has made two instances and a key pair whose private key only its owner can read', async () => {
    ids = await first.serverIds();
    assert.match((await first.get('api', '/v2.1/os-keypairs')).text, /"name":"demo-key"/);
    const key = join(folder, 'data', 'demo-key.pem');
    assert.match(readFileSync(key, 'utf8'), /^-----BEGIN [A-Z ]*PRIVATE KEY-----/);
    assert.equal(statSync(key).mode & 0o777, 0o600);
  });

  it('gives the metadata of an instance to whoever knows the kept secret', async () => {
    const [id = ''] = ids;
    const secret = readFileSync(join(folder, 'data', 'metadata-secret'), 'utf8').trim();
    const signed = { 'x-instance-id': id, 'x-tenant-id': 'demo', 'x-instance-id-signature': createHmac('sha256', secret).update(id).digest('hex') };
    const forged = { ...signed, 'x-instance-id-signature': '0'.repeat(64) };
    assert.notEqual((await first.get('metadata', '/openstack/latest/meta_data.json', forged)).status, 200);
    const { status, text } = await first.get('metadata', '/openstack/latest/meta_data.json', signed);
    assert.equal(status, 200, text);
    assert.match(text, /"demo-key":\s*"ssh-rsa /);
  });

  it('prints a URL of each console, which opens it, and logs no token', async () => {
    assert.equal(first.links('vnc').length, 2, first.stdout);
    assert.equal(first.links('serial').length, 2, first.stdout);
    const [serial = ''] = first.links('serial');
    assert.match(await readConsole(serial, /demo-1/), /demo-1/);
    const [vnc = ''] = first.links('vnc');
    await readConsole(vnc, /^RFB 003\.008\n/);
    assert.ok(!/token[=.][A-Za-z0-9_-]{8}/.test(first.stderr), first.stderr);
    for (const link of [...first.links('vnc'), ...first.links('serial')]) {
      const token = new URLSearchParams(new URL(link).hash.slice(1)).get('token') ?? assert.fail(link);
      assert.ok(!first.stderr.includes(token));
    }
  });

  it('is quiet in its log when nothing is wrong, and told once of the signature that was', () => {
    const lines = first.stderr.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(lines.map(({ level, app, problem }) => [level, app, problem]), [['warn', 'metadata', 'Invalid proxy request signature.']]);
  });

  it('drains and exits 0 within 5 s of Ctrl-C, consoles open or not, leaving no lock', async () => {
    const [, vnc = ''] = first.links('vnc');
    const open = openSocket(vnc);
    await once(open, 'message');
    const closed = once(open, 'close');
    const lostTime = new LostTime();
    const stretch = lostTime.begin();
    assert.equal(await first.interrupt(), 0, first.stderr);
    const tookMs = await stretch.tookMs();
    await lostTime.stop();
    assert.ok(tookMs < 5_000, `${tookMs} ms`);
    const [closeCode, reason] = (await closed) as [number, Buffer];
    assert.ok(closeCode > 1_000 && closeCode !== 1_006, `closed ${closeCode} ${reason.toString()}`);
    assert.ok(!existsSync(join(folder, 'data', 'gatehouse.pid')));
  });

  it('finds everything of before after a restart, and opens the consoles again', async () => {
    const again = new Standalone(join(folder, 'data'));
    await again.ready();
    assert.deepEqual(await again.serverIds(), ids);
    const [serial = ''] = again.links('serial');
    await readConsole(serial, /demo-1/);
    again.child.kill('SIGKILL');
    await again.exit;
  });

  it('finds everything of before after it was killed', async () => {
    const again = new Standalone(join(folder, 'data'));
    await again.ready();
    assert.deepEqual(await again.serverIds(), ids);
    assert.equal(again.links('vnc').length, 2, again.stdout);
    assert.equal(await again.interrupt(), 0, again.stderr);
  });
});
