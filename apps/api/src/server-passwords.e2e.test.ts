import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { constants, createPublicKey, publicEncrypt } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RpcServer } from '@gatehouse/rpc/server';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { serveAgent, serveRevocation, startTestApi } from './test-api.ts';
import type { TestApi } from './test-api.ts';
import { createServer, serveMetadata } from './test-instances.ts';

// Debian's package python3-novaclient, and the openssl that it decrypts with.
const NOVA = '/usr/bin/nova';
const TOKEN = 'alice:proj';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe('the nova command, asked for a password', function () {
  // Each command starts a Python of its own.
  this.timeout(180_000);
  let api: TestApi;
  let folder = '';
  let servers: RpcServer[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-password-'));
    api = await startTestApi(await startPostgresql());
    servers = [await serveAgent(api, 'host-a'), await serveRevocation(api, []), await serveMetadata(api, [])];
  });
  after(async () => {
    await Promise.all(servers.map((server) => server.drain()));
    await api?.stop();
    if (folder !== '') await rm(folder, { recursive: true });
  });

  const nova = (...args: readonly string[]): Promise<Outcome> =>
    new Promise((resolve, reject) => {
      const all = ['--os-auth-type', 'admin_token', '--os-token', TOKEN, '--os-endpoint', `${api.url}/v2.1`, ...args];
      // What it wants to have and never looks at.
      const env = { PATH: process.env['PATH'] ?? '/usr/bin', HOME: folder, LANG: 'C.UTF-8', OS_USERNAME: 'x', OS_PROJECT_NAME: 'y', OS_AUTH_URL: 'http://unused.invalid' };
      execFile(NOVA, all, { env, timeout: 60_000 }, (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== 'number') reject(error);
        else resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      });
    });

  it('says that there is none, shows it as it was posted, decrypts it with the key that was made here, and clears it', async () => {
    const made = await api.ask('POST', '/v2.1/os-keypairs', { token: TOKEN, version: '2.2', body: { keypair: { name: 'made' } } });
    const { private_key: privateKey } = (made.json as { keypair: { private_key: string } }).keypair;
    const keyFile = join(folder, 'made.pem');
    await writeFile(keyFile, privateKey, { mode: 0o600 });
    const id = await createServer(api, { name: 'windows', key_name: 'made' });
    const password = 'correct horse';
    const posted = publicEncrypt({ key: createPublicKey(privateKey), padding: constants.RSA_PKCS1_PADDING }, Buffer.from(password)).toString('base64');

    assert.deepEqual(await nova('get-password', 'windows').then(({ code, stdout }) => [code, stdout.trim()]), [0, '']);
    await api.cellDb.instancePasswords.save(id, posted, new Date());
    assert.deepEqual(await nova('get-password', 'windows').then(({ code, stdout }) => [code, stdout.trim()]), [0, posted]);
    assert.deepEqual(await nova('get-password', id, keyFile).then(({ code, stdout }) => [code, stdout.trim()]), [0, password]);
    assert.equal((await nova('clear-password', 'windows')).code, 0);
    assert.equal(await api.cellDb.instancePasswords.find(id), null);
    const lost = await nova('get-password', 'nobody');
    assert.equal(lost.code, 1);
    assert.match(lost.stderr, /nobody/);
  });
});
