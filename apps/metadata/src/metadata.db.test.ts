import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { metadata } from '@gatehouse/contracts/metadata';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import type { App } from '@gatehouse/runtime/app';
import { systemClock } from '@gatehouse/runtime/clock';
import { createLogger } from '@gatehouse/runtime/logger';
import { createMetrics } from '@gatehouse/runtime/metrics';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { startMetadata } from './app.module.ts';
import { metadataConfig } from './config.ts';
import { sign } from './signature.ts';

const SECRET = 'first-secret';
const NEXT_SECRET = 'second-secret';
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC5/C1oWRCMrHmqwpgfl7jhJuhCHRhFQrvQd6FXg5+Sw bob@host';
const RSA = readFileSync(new URL('../test-vectors/rsa2048.pub', import.meta.url), 'utf8').trim();

const PLAIN = '15b942e0-b17a-5deb-b468-acabe2a20ce2';
const FULL = '2236ef75-e2e1-5c5b-a001-b22630201a25';
const LEGACY = 'ee6e0ef4-64f8-5442-9741-384edc52b208';
const KEYLESS = '6ff14b76-4927-5525-8131-8250b3939035';
const PROJECT = 'p-demo';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

type Headers = Readonly<Record<string, string | string[]>>;

const proof = (id: string, secret = SECRET, project = PROJECT): Headers => ({
  'X-Instance-ID': id,
  'X-Instance-ID-Signature': sign(secret, id),
  'X-Tenant-ID': project,
});

describe('metadata over HTTP', function () {
  this.timeout(60_000);
  let postgresql: Postgresql;
  let cellDb: CellDb;
  let app: App;
  const transport = createMemoryTransport();
  const logged: string[] = [];

  before(async () => {
    postgresql = await startPostgresql();
    cellDb = await openCellDb({ url: await postgresql.createDatabase() });
    await cellDb.migrate();
    await fill(cellDb);
    const destination = { write: (line: string) => logged.push(line) } as unknown as NodeJS.WritableStream;
    const log = createLogger({ service: 'test', level: 'debug', destination });
    const config = { ...metadataConfig.parse({ metadataPort: '0', metadataTokens: 'off', metadataRate: '0' }), metadataSecrets: [SECRET, NEXT_SECRET] };
    app = await startMetadata({ config, transport, cellDb, log, metrics: createMetrics('test'), clock: systemClock });
  });
  after(async () => {
    await app?.drain();
    await cellDb?.close();
    await postgresql?.stop();
  });

  const ask = (path: string, headers: Headers = proof(FULL), method = 'GET', body?: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(app.addresses[0]?.url ?? '');
      const request = httpRequest({ hostname, port, path, method, headers, agent: false }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const { statusCode: status = 0, headers: got } = response;
          resolve({ status, type: got['content-type'] ?? '', headers: got, body: Buffer.concat(chunks) });
        });
      });
      request.on('error', reject);
      request.end(body);
    });
  const text = async (path: string, headers?: Headers): Promise<string> => (await ask(path, headers)).body.toString();

  describe('a request that does not say who asks', () => {
    const without = (name: string): Headers => Object.fromEntries(Object.entries(proof(PLAIN)).filter(([key]) => key !== name));
    const NOT_FOUND = '404 Not Found\n\nThe resource could not be found.\n\n   ';
    const FORBIDDEN = '403 Forbidden\n\nInvalid proxy request signature.\n\n   ';
    const missing = (name: string): string => `400 Bad Request\n\n${name} header is missing from request.\n\n   `;
    const cases: readonly (readonly [what: string, headers: Headers, expected: string])[] = [
      ['no instance', without('X-Instance-ID'), missing('X-Instance-ID')],
      ['no signature', without('X-Instance-ID-Signature'), missing('X-Instance-ID-Signature')],
      ['no project', without('X-Tenant-ID'), missing('X-Tenant-ID')],
      ['no header at all', {}, missing('X-Instance-ID')],
      ['a signature of zeros', { ...proof(PLAIN), 'X-Instance-ID-Signature': '0'.repeat(64) }, FORBIDDEN],
      ['an empty signature', { ...proof(PLAIN), 'X-Instance-ID-Signature': '' }, FORBIDDEN],
      ['a signature that is not ASCII', { ...proof(PLAIN), 'X-Instance-ID-Signature': '\u00fc'.repeat(32) }, FORBIDDEN],
      ["another instance's signature", { ...proof(PLAIN), 'X-Instance-ID': FULL }, FORBIDDEN],
      ["another project's instance", proof(PLAIN, SECRET, 'p-other'), NOT_FOUND],
      ['an unknown instance', proof('00000000-0000-4000-8000-000000000000'), NOT_FOUND],
      ['an id that is no UUID', proof('not-a-uuid'), NOT_FOUND],
      ['an empty id', proof(''), NOT_FOUND],
      ['two ids', { ...proof(PLAIN), 'X-Instance-ID': [PLAIN, FULL] }, '400 Bad Request\n\nMultiple X-Instance-ID headers found within request.\n\n   '],
    ];
    for (const [what, headers, expected] of cases) {
      it(`is refused: ${what}`, async () => {
        for (const path of ['/openstack/latest/meta_data.json', '/latest/meta-data/public-keys/0/openssh-key']) {
          const answer = await ask(path, headers);
          assert.equal(answer.body.toString(), expected);
          assert.equal(answer.status, Number(expected.slice(0, 3)));
          assert.equal(answer.type, 'text/plain; charset=UTF-8');
        }
      });
    }

    it('leaves neither the right signature nor a secret in the log', () => {
      const all = logged.join('');
      assert.ok(all.length > 0);
      for (const secret of [SECRET, sign(SECRET, PLAIN), sign(SECRET, FULL)]) assert.ok(!all.includes(secret));
    });

    it('is refused as JSON where the client asks for that', async () => {
      const answer = await ask('/nope', { ...proof(PLAIN), Accept: 'application/json' });
      assert.equal(answer.status, 404);
      assert.deepEqual(JSON.parse(answer.body.toString()), { message: 'The resource could not be found.<br /><br />\n\n\n', code: '404 Not Found', title: 'Not Found' });
    });
  });

  describe('a path that leads nowhere', () => {
    for (const path of [
      '/nope', '/LATEST/meta-data/', '/2099-01-01/meta-data/', '/openstack/2099-01-01/meta_data.json', '/openstack/latest/nope',
      '/openstack/latest/meta_data.json/extra', '/latest/meta-data/hostname/x', '/latest/meta-data/public-keys/9/openssh-key', '/latest/meta-data.json',
      '/openstack/2012-08-10/password', '/openstack/latest/constructor', '/latest/__proto__', '/latest/api/token', `/${'a/'.repeat(40)}`,
    ]) {
      it(`is not found, below a file too: ${path.slice(0, 60)}`, async () => assert.equal((await ask(path)).status, 404));
    }

    it('is refused for what does not read', async () => {
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
        const answer = await ask('/latest/meta-data/instance-id', proof(FULL), method, method === 'DELETE' ? undefined : 'x=1');
        assert.deepEqual([answer.status, answer.headers['allow']], [405, 'GET, HEAD'], method);
      }
    });

    it('is refused with a body beyond the limit, and the service lives', async () => {
      assert.equal((await ask('/openstack/latest/password', proof(FULL), 'POST', 'x'.repeat(10_000))).status, 400);
      assert.equal((await ask('/openstack/latest/meta_data.json')).status, 200);
    });
  });

  it('names the versions to anybody, and nothing more', async () => {
    assert.match(await text('/', {}), /^1\.0\n2007-01-19\n(.+\n)+latest$/);
    assert.equal((await ask('/openstack', {})).status, 400);
  });

  it('takes the keys from what the instance carries, and shows them in both trees', async () => {
    const metaData = JSON.parse(await text('/openstack/latest/meta_data.json')) as Record<string, unknown>;
    assert.deepEqual(metaData['public_keys'], { 'key with space & ü': KEY });
    assert.deepEqual(metaData['keys'], [{ name: 'key with space & ü', type: 'ssh', data: KEY }]);
    assert.equal(await text('/latest/meta-data/public-keys/'), '0=key with space & ü');
    assert.equal(await text('/latest/meta-data/public-keys/0/'), 'openssh-key');
    assert.equal(await text('/latest/meta-data/public-keys/0/openssh-key'), KEY);
  });

  it('shows no key where the list is empty, and the one of the row where it was never migrated', async () => {
    assert.equal((JSON.parse(await text('/openstack/latest/meta_data.json', proof(KEYLESS))) as object as { keys?: unknown }).keys, undefined);
    assert.equal((await ask('/latest/meta-data/public-keys/0/openssh-key', proof(KEYLESS))).status, 404);
    assert.equal(await text('/latest/meta-data/public-keys/0/openssh-key', proof(LEGACY)), KEY);
  });

  it('accepts the second secret, so that secrets can be changed', async () => {
    assert.equal((await ask('/openstack/latest/meta_data.json', proof(PLAIN, NEXT_SECRET))).status, 200);
  });

  it('gives user data as the bytes that were sent, and none where none were', async () => {
    for (const path of ['/latest/user-data', '/openstack/latest/user_data']) {
      assert.equal(await text(path), '#cloud-config\npackages: [htop]\n# é\n');
      assert.equal((await ask(path, proof(PLAIN))).status, 404);
    }
  });

  it('is the same whatever slashes, dots and queries stand in the path', async () => {
    for (const path of ['//openstack//latest//user_data', '/openstack/latest/../latest/user_data/', '/openstack/./latest/user_data?x=1', '/../../openstack/latest/user_data']) {
      assert.equal((await ask(path)).status, 200, path);
    }
    assert.equal(await text('/latest/meta-data/public%2Dkeys/0/openssh-key'), KEY);
  });

  it('forgets a deleted instance', async () => {
    const id = 'aaaaaaaa-0000-4000-8000-000000000001';
    await addInstance(cellDb, { uuid: id, displayName: 'gone' });
    assert.equal((await ask('/openstack/latest/meta_data.json', proof(id))).status, 200);
    await cellDb.instances.softDelete(id, new Date());
    await createClient(metadata, transport).instanceChanged({ instanceUuid: id }, newContext());
    assert.equal((await ask('/openstack/latest/meta_data.json', proof(id))).status, 404);
  });
});

interface Wanted {
  readonly uuid: string;
  readonly displayName: string;
  readonly hostname?: string;
  readonly keyName?: string;
  readonly keyData?: string;
  readonly userData?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

async function addInstance(cellDb: CellDb, wanted: Wanted): Promise<void> {
  const { hostname = wanted.displayName, keyName = null, keyData = null, userData = null, metadata = {} } = wanted;
  const place = { projectId: PROJECT, userId: 'u-demo', host: 'h', availabilityZone: 'nova', vmState: 'active', taskState: null };
  await cellDb.instances.create({ ...place, uuid: wanted.uuid, displayName: wanted.displayName, hostname, keyName, keyData, userData, metadata, createdAt: new Date() });
}

async function fill(cellDb: CellDb): Promise<void> {
  const now = new Date();
  const keyPair = (name: string, publicKey: string) => ({ objects: [{ name, type: 'ssh', publicKey, userId: 'u-demo', fingerprint: null }] });
  const userData = Buffer.from('#cloud-config\npackages: [htop]\n# é\n').toString('base64');
  await addInstance(cellDb, { uuid: PLAIN, displayName: 'golden-plain', keyName: 'alice-key', keyData: RSA });
  await cellDb.instanceExtra.saveKeyPairs(PLAIN, keyPair('alice-key', RSA), now);
  const metadata = { role: 'web', Zone: 'é-1', n: '1' };
  const full = { uuid: FULL, displayName: 'golden-full', hostname: 'golden-full-host', keyName: 'key with space & ü', keyData: KEY, userData, metadata };
  await addInstance(cellDb, full);
  await cellDb.instanceExtra.saveKeyPairs(FULL, keyPair('key with space & ü', KEY), now);
  await addInstance(cellDb, { uuid: LEGACY, displayName: 'golden-legacykey', keyName: 'legacy-key', keyData: KEY });
  await addInstance(cellDb, { uuid: KEYLESS, displayName: 'keyless' });
  await cellDb.instanceExtra.saveKeyPairs(KEYLESS, { objects: [] }, now);
}
