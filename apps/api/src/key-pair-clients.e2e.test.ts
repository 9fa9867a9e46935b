import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { startTestApi } from './test-api.ts';
import type { TestApi } from './test-api.ts';

const KEY_FILE = fileURLToPath(new URL('../test-vectors/keys/ed25519.pub', import.meta.url));
const CERTIFICATE_FILE = fileURLToPath(new URL('../test-vectors/keys/x509.pem', import.meta.url));
const KEY = readFileSync(KEY_FILE, 'utf8');
const ADMIN = ['--os-auth-type', 'none'];
const asUser = (user: string): readonly string[] => ['--os-auth-type', 'admin_token', '--os-token', `${user}:p`];
/** nova wants these words, and then uses none of them. */
const UNUSED = { OS_USERNAME: 'x', OS_PROJECT_NAME: 'y', OS_AUTH_URL: 'http://unused.invalid' };
const AT = '--os-compute-api-version';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

// Debian's packages python3-openstackclient and python3-novaclient; what each command sends to Nova is known.
describe('the commands for key pairs', function () {
  // Each command starts a Python of its own.
  this.timeout(180_000);
  const folder = mkdtempSync(path.join(tmpdir(), 'gh-keys-'));
  let api: TestApi;
  let front: Server;
  let endpoint: string;
  const asked: string[] = [];

  before(async () => {
    api = await startTestApi(await startPostgresql());
    front = createServer((incoming, outgoing) => {
      asked.push(`${incoming.method} ${incoming.url}`);
      // The openstack command looks users up where Keystone would be, which without one is the same address.
      const user = /^\/v2\.1\/users\/(\w+)$/.exec(incoming.url ?? '')?.[1];
      if (user !== undefined) {
        outgoing.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ user: { id: user, name: user } }));
        return;
      }
      const onwards = httpRequest(new URL(incoming.url ?? '/', api.url), { method: incoming.method, headers: incoming.headers, agent: false }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
        answer.pipe(outgoing);
      });
      onwards.on('error', () => outgoing.destroy());
      incoming.pipe(onwards);
    });
    front.listen(0, '127.0.0.1');
    await once(front, 'listening');
    endpoint = `http://127.0.0.1:${(front.address() as AddressInfo).port}/v2.1`;
  });
  after(async () => {
    front?.close();
    front?.closeAllConnections();
    await api?.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(() => asked.splice(0));

  function run(program: string, args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Outcome> {
    // Nothing of the tester's own cloud settings.
    const env = { PATH: process.env['PATH'] ?? '/usr/bin', HOME: '/nonexistent', LANG: 'C.UTF-8', ...more };
    return new Promise((resolve, reject) => {
      execFile(program, ['--os-endpoint', endpoint, ...args], { env, timeout: 60_000 }, (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== 'number') reject(error);
        else resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      });
    });
  }
  const openstack = (auth: readonly string[], ...args: readonly string[]): Promise<Outcome> => run('/usr/bin/openstack', [...auth, ...args]);
  const nova = (auth: readonly string[], ...args: readonly string[]): Promise<Outcome> => run('/usr/bin/nova', [...auth, ...args], UNUSED);
  async function printed(outcome: Promise<Outcome>): Promise<string> {
    const { code, stdout, stderr } = await outcome;
    assert.equal(code, 0, stderr);
    return stdout;
  }
  const keyPairsOf = async (user: string): Promise<readonly string[]> =>
    ((await api.ask('GET', '/v2.1/os-keypairs', { token: `${user}:p`, version: '2.92' })).json as { keypairs: { keypair: { name: string; type: string } }[] }).keypairs.map(({ keypair }) => `${keypair.name} ${keypair.type}`);
  const plant = async (user: string, ...names: readonly string[]): Promise<void> => {
    for (const name of names) await api.ask('POST', '/v2.1/os-keypairs', { token: `${user}:p`, body: { keypair: { name, public_key: KEY } } });
  };

  describe('of openstack', () => {
    it('are refused in words that their user is shown', async () => {
      const sent = await openstack(asUser('alice'), AT, '2.92', 'keypair', 'create', 'none-given');
      assert.deepEqual([sent.code, /'public_key' is a required property/.test(sent.stderr)], [1, true], sent.stderr);
      const others = await openstack(asUser('alice'), 'keypair', 'list', '--user', 'bob');
      assert.deepEqual([others.code, /Policy doesn't allow os_compute_api:os-keypairs:index/.test(others.stderr)], [1, true], others.stderr);
      const certificate = await openstack(asUser('alice'), 'keypair', 'create', '--public-key', CERTIFICATE_FILE, 'cert');
      assert.match(certificate.stderr, /Keypair data is invalid/);
    });

    it('make a key, printed once or written to a file; their word x509 is lost on the way, as with Nova', async () => {
      const pem = await printed(openstack(asUser('olga'), 'keypair', 'create', 'made'));
      const file = path.join(folder, 'made.pem');
      await printed(openstack(asUser('olga'), 'keypair', 'create', '--private-key', file, 'saved'));
      await printed(openstack(asUser('olga'), 'keypair', 'create', '--type', 'x509', 'typed'));
      assert.deepEqual(await keyPairsOf('olga'), ['made ssh', 'saved ssh', 'typed ssh']);
      for (const [name, text] of [['made', pem], ['saved', readFileSync(file, 'utf8')]] as const) {
        assert.match(text, /^-----BEGIN [A-Z ]*PRIVATE KEY-----\n/);
        const shown = (await printed(openstack(asUser('olga'), 'keypair', 'show', '--public-key', name))).trim();
        assert.ok(isOfPrivateKey(text, shown), shown);
      }
    });

    it('act for another user, for the administrator', async () => {
      await printed(openstack(ADMIN, 'keypair', 'create', '--public-key', KEY_FILE, '--user', 'bob', 'given'));
      assert.deepEqual(await keyPairsOf('bob'), ['given ssh']);
      assert.ok(asked.includes('GET /v2.1/users/bob'), asked.join());
      const listed = JSON.parse(await printed(openstack(ADMIN, 'keypair', 'list', '--user', 'bob', '-f', 'json'))) as { Name: string }[];
      assert.deepEqual(listed.map(({ Name }) => Name), ['given']);
      const shown = JSON.parse(await printed(openstack(ADMIN, 'keypair', 'show', '--user', 'bob', 'given', '-f', 'json'))) as { user_id: string };
      assert.equal(shown.user_id, 'bob');
      const deleted = await openstack(ADMIN, 'keypair', 'delete', '--user', 'bob', 'given');
      // Debian 12's client does not say whose: what it asks for is a key of the administrator's own.
      const isSaid = asked.some((line) => line.startsWith('DELETE') && line.includes('user_id=bob'));
      assert.deepEqual([deleted.code, await keyPairsOf('bob')], isSaid ? [0, []] : [1, ['given ssh']], deleted.stderr);
    });

    it('list page by page, from a marker on, and without end before 2.35, as with Nova', async () => {
      await plant('lena', 'a', 'b', 'c', 'd', 'e');
      const names = async (...args: readonly string[]) => (JSON.parse(await printed(openstack(asUser('lena'), AT, '2.35', 'keypair', 'list', ...args, '-f', 'json'))) as { Name: string }[]).map(({ Name }) => Name);
      assert.deepEqual(await names('--limit', '2'), ['a', 'b', 'c', 'd', 'e']);
      assert.ok(asked.some((line) => line.includes('limit=2') && line.includes('marker=b')), asked.join());
      assert.deepEqual(await names('--marker', 'c'), ['d', 'e']);
      const endless = await openstack(asUser('lena'), 'keypair', 'list', '--limit', '2');
      assert.match(endless.stderr, /Endless pagination loop/);
    });

    it('delete several, say which of them could not be, and delete the rest', async () => {
      await plant('dora', 'one', 'two', 'three');
      const outcome = await openstack(asUser('dora'), 'keypair', 'delete', 'one', 'nobody', 'three');
      assert.equal(outcome.code, 1);
      assert.match(outcome.stderr, /nobody[^]*1 of 3 keys failed to delete/);
      assert.deepEqual(await keyPairsOf('dora'), ['two ssh']);
    });
  });

  describe('of nova', () => {
    it('are refused in words that their user is shown', async () => {
      const nothing = await nova(asUser('nina'), 'keypair-add', 'none-given');
      assert.deepEqual([nothing.code, /public_key/.test(nothing.stderr)], [1, true], nothing.stderr);
      const missing = await nova(asUser('nina'), 'keypair-show', 'nobody');
      assert.deepEqual([missing.code, /No keypair with a name or ID of 'nobody' exists|Keypair nobody not found for user nina/.test(missing.stderr)], [1, true], missing.stderr);
      const others = await nova(asUser('nina'), 'keypair-list', '--user', 'bob');
      assert.match(others.stderr, /Policy doesn't allow os_compute_api:os-keypairs:index to be performed\. \(HTTP 403\)/);
    });

    it('make keys before 2.92, ssh and x509, and import both kinds', async () => {
      assert.match(await printed(nova(asUser('nora'), AT, '2.91', 'keypair-add', 'made')), /-----BEGIN [A-Z ]*PRIVATE KEY-----/);
      assert.match(await printed(nova(asUser('nora'), AT, '2.2', 'keypair-add', '--key-type', 'x509', 'win')), /^MII[A-Za-z0-9+/]+=*\s*$/);
      await printed(nova(asUser('nora'), 'keypair-add', '--pub-key', KEY_FILE, 'my@laptop.here'));
      await printed(nova(asUser('nora'), 'keypair-add', '--key-type', 'x509', '--pub-key', CERTIFICATE_FILE, 'cert'));
      assert.deepEqual(await keyPairsOf('nora'), ['cert x509', 'made ssh', 'my@laptop.here ssh', 'win x509']);
      assert.match(await printed(nova(asUser('nora'), 'keypair-show', 'cert')), /\| type +\| x509 +\|[^]*-----BEGIN CERTIFICATE-----/);
    });

    it('list a page from a marker on, for oneself and for another, and delete', async () => {
      await plant('lars', 'a', 'b', 'c', 'd');
      const names = async (auth: readonly string[], ...args: readonly string[]) => [...(await printed(nova(auth, 'keypair-list', ...args))).matchAll(/^\| (\w+) +\| ssh/gm)].map(([, name]) => name);
      assert.deepEqual(await names(asUser('lars'), '--limit', '2', '--marker', 'a'), ['b', 'c']);
      assert.deepEqual(await names(ADMIN, '--user', 'lars'), ['a', 'b', 'c', 'd']);
      await printed(nova(ADMIN, 'keypair-delete', '--user', 'lars', 'b'));
      await printed(nova(asUser('lars'), 'keypair-delete', 'c'));
      assert.deepEqual(await keyPairsOf('lars'), ['a ssh', 'd ssh']);
    });
  });
});

/** Whether the public key in a line of authorized_keys is that of the private key. */
function isOfPrivateKey(pem: string, line: string): boolean {
  const blob = Buffer.from(line.split(' ')[1] ?? '', 'base64');
  const { n, x } = createPublicKey(createPrivateKey(pem)).export({ format: 'jwk' });
  return blob.includes(Buffer.from(n ?? x ?? '', 'base64url'));
}
