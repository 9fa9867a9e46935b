import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { RpcServer } from '@gatehouse/rpc/server';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { serveAgent, serveRevocation, startTestApi } from './test-api.ts';
import type { TestApi } from './test-api.ts';

// Debian's package python3-openstackclient: the client that users of Nova have.
const CLIENT = '/usr/bin/openstack';
const KEY_FILE = fileURLToPath(new URL('../test-vectors/keys/ed25519.pub', import.meta.url));
const FINGERPRINT = '36:f2:57:ec:d0:de:9a:66:0a:2c:7c:e4:83:b7:db:71';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe('the openstack command', function () {
  // Each command starts a Python of its own.
  this.timeout(300_000);
  let api: TestApi;
  let agent: RpcServer;
  before(async () => {
    api = await startTestApi(await startPostgresql());
    agent = await serveAgent(api, 'host-a');
    await serveRevocation(api, []);
    for (const name of ['web', 'db']) await api.ask('POST', '/v2.1/servers', { token: 'notused', body: { server: { name } } });
  });
  after(async () => {
    await agent?.drain();
    await api?.stop();
  });

  const run = (args: readonly string[], auth: readonly string[] = ['--os-auth-type', 'none']): Promise<Outcome> =>
    new Promise((resolve, reject) => {
      const all = [...auth, '--os-endpoint', `${api.url}/v2.1`, ...args];
      // Nothing of the tester's own cloud settings.
      const env = { PATH: process.env['PATH'] ?? '/usr/bin', HOME: '/nonexistent', LANG: 'C.UTF-8' };
      execFile(CLIENT, all, { env, timeout: 60_000 }, (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== 'number') reject(error);
        else resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      });
    });
  const json = async (...args: readonly string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await run([...args, '-f', 'json']);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as unknown;
  };

  it('is told in words what it asked for in vain', async () => {
    const missing = await run(['keypair', 'show', 'nobody']);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /No Keypair found for nobody/);
    const version = await run(['--os-compute-api-version', '2.1', 'console', 'url', 'show', 'nobody']);
    assert.match(version.stderr, /nobody/);
    const token = await run(['keypair', 'list'], ['--os-auth-type', 'admin_token', '--os-token', 'a:b:c']);
    assert.equal(token.code, 1);
    assert.match(token.stderr, /X-Auth-Token is malformed/);
  });

  it('imports, lists, shows and deletes a key pair', async () => {
    assert.equal((await json('keypair', 'create', '--public-key', KEY_FILE, 'laptop') as { fingerprint: string }).fingerprint, FINGERPRINT);
    assert.deepEqual(await json('keypair', 'list'), [{ Name: 'laptop', Fingerprint: FINGERPRINT, Type: 'ssh' }]);
    const shown = await json('keypair', 'show', 'laptop') as { name: string; type: string; user_id: string };
    assert.deepEqual([shown.name, shown.type, shown.user_id], ['laptop', 'ssh', 'admin']);
    assert.match((await run(['keypair', 'create', '--public-key', KEY_FILE, 'laptop'])).stderr, /Key pair 'laptop' already exists/);
    assert.equal((await run(['keypair', 'delete', 'laptop'])).code, 0);
    assert.deepEqual(await json('keypair', 'list'), []);
  });

  it('pages through key pairs', async () => {
    for (const name of ['a', 'b', 'c']) await run(['keypair', 'create', '--public-key', KEY_FILE, name]);
    const paged = await json('--os-compute-api-version', '2.35', 'keypair', 'list', '--limit', '2') as { Name: string }[];
    assert.deepEqual(paged.map(({ Name }) => Name), ['a', 'b', 'c']);
  });

  it('lists and shows servers', async () => {
    const servers = await json('server', 'list') as { Name: string; Status: string }[];
    assert.deepEqual(servers.map(({ Name, Status }) => `${Name} ${Status}`).sort(), ['db ACTIVE', 'web ACTIVE']);
    const shown = await json('server', 'show', 'web') as { name: string; 'OS-EXT-SRV-ATTR:host': string; project_id: string };
    assert.deepEqual([shown.name, shown['OS-EXT-SRV-ATTR:host'], shown.project_id], ['web', 'host-a', 'default']);
  });

  it('shows console URLs, at new microversions and at old', async () => {
    const url = (...args: readonly string[]): Promise<unknown> => json(...args).then((console) => (console as { url: string }).url);
    assert.equal(await url('console', 'url', 'show', 'web'), 'http://127.0.0.1:6080/vnc#token=secret-of-host-a');
    assert.equal(await url('console', 'url', 'show', '--serial', 'web'), 'http://127.0.0.1:6080/serial#token=secret-of-host-a');
    assert.equal(await url('--os-compute-api-version', '2.5', 'console', 'url', 'show', 'web'), 'http://127.0.0.1:6080/vnc#token=secret-of-host-a');
    assert.match((await run(['console', 'url', 'show', '--xvpvnc', 'web'])).stderr, /Invalid console type xvpvnc/);
  });

  it('deletes a server', async () => {
    assert.equal((await run(['server', 'delete', 'db'])).code, 0);
    const servers = await json('server', 'list') as { Name: string }[];
    assert.deepEqual(servers.map(({ Name }) => Name), ['web']);
  });
});
