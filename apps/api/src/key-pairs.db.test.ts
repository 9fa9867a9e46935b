import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { startTestApi } from './test-api.ts';
import type { Answer, Ask, TestApi } from './test-api.ts';

const vector = (name: string): string => readFileSync(new URL(`../test-vectors/keys/${name}`, import.meta.url), 'utf8').trim();
const ED25519 = vector('ed25519.pub');
const KEYPAIRS = '/v2.1/os-keypairs';

interface Shown {
  readonly keypair: Readonly<Record<string, unknown>>;
}
interface Listed {
  readonly keypairs: readonly { readonly keypair: { readonly name: string } }[];
  readonly keypairs_links?: readonly { readonly rel: string; readonly href: string }[];
}

describe('key pairs', function () {
  this.timeout(60_000);
  let api: TestApi;
  /** Another process's API, as far as the database can tell. */
  let other: TestApi;

  before(async () => {
    const postgresql = await startPostgresql();
    const urls = [await postgresql.createDatabase(), await postgresql.createDatabase()];
    const from = (stop: () => Promise<void>) => {
      const rest = [...urls];
      return { createDatabase: async () => rest.shift() ?? '', stop };
    };
    api = await startTestApi(from(() => postgresql.stop()));
    other = await startTestApi(from(async () => {}));
  });
  after(async () => {
    await other?.stop();
    await api?.stop();
  });

  const send = (name: string, more: object = {}, ask: Ask = {}, at = api): Promise<Answer> =>
    at.ask('POST', KEYPAIRS, { version: '2.92', body: { keypair: { name, public_key: ED25519, ...more } }, ...ask });
  const names = (answer: Answer): readonly string[] => (answer.json as Listed).keypairs.map(({ keypair }) => keypair.name);
  const refused = (answer: Answer, status: number, says: RegExp): void => {
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.text, says);
  };

  describe('are refused', () => {
    for (const [what, status, says, name, more, version] of [
      ['with an empty name', 400, /Invalid input for field\/attribute name\. Value: \. '' is too short/, '', {}, '2.1'],
      ['with a name of 256 characters', 400, /is too long/, 'a'.repeat(256), {}, '2.1'],
      ['with spaces around the name', 400, /Can not start or end with whitespace/, ' a ', {}, '2.1'],
      ['with a slash in the name', 400, /Only expected characters: \[_- 0123456789/, 'a/b', {}, '2.91'],
      ['with marks in the name before 2.92', 400, /Only expected characters/, 'a@b.c', {}, '2.91'],
      ['with other marks in the name at 2.92', 400, /Only expected characters: \[@\._- /, '!nvalid=name|', {}, '2.92'],
      ['with a type at 2.1', 400, /\('type' was unexpected\)/, 'typed', { type: 'ssh' }, '2.1'],
      ['with an unknown type', 400, /'bad' is not one of \['ssh', 'x509'\]/, 'typed', { type: 'bad' }, '2.2'],
      ['with a user at 2.9', 400, /\('user_id' was unexpected\)/, 'mine', { user_id: 'alice' }, '2.9'],
      ["as another user's", 403, /Policy doesn't allow os_compute_api:os-keypairs:create/, 'theirs', { user_id: 'bob' }, '2.10'],
      ['without a key at 2.92', 400, /'public_key' is a required property/, 'none', { public_key: undefined }, '2.92'],
      ['with an ssh key as x509', 400, /failed to generate X509 fingerprint/, 'x', { type: 'x509' }, '2.2'],
      ['with an x509 key as ssh', 400, /send it with the type x509/, 'x', { public_key: vector('x509.pem') }, '2.2'],
      ['with an RSA key of 1024 bits', 400, /Keypair data is invalid: an RSA key of 1024 bits is too short, 2048 is the least/, 'x', { public_key: vector('rsa1024.pub') }, '2.92'],
      ['with a DSA key', 400, /ssh-dss keys are no longer accepted.*use ssh-ed25519/, 'x', { public_key: vector('dsa.pub') }, '2.92'],
      ['with a NUL in the user', 400, /./, 'nul', { user_id: 'a\0b' }, '2.10'],
      ['with a user of 256 characters', 400, /./, 'long', { user_id: 'u'.repeat(256) }, '2.10'],
    ] as const) {
      it(`${what} (${version})`, async () => {
        const token = 'user_id' in more && more.user_id !== 'bob' ? 'admin:p' : 'alice:p';
        refused(await send(name, more, { version, token }), status, says);
      });
    }

    it('with a file of a million keys, before it is read', async () => {
      const began = performance.now();
      const text = JSON.stringify({ keypair: { name: 'x', public_key: `${ED25519}\n`.repeat(1_000_000) } });
      const answer = await api.ask('POST', KEYPAIRS, { body: text }).catch((error: NodeJS.ErrnoException) => error.code);
      if (typeof answer === 'object') refused(answer, 413, /Request is too large/);
      else assert.ok(['EPIPE', 'ECONNRESET'].includes(String(answer)), 'hung up while the client still sent');
      assert.ok(performance.now() - began < 20_000);
      refused(await send('x', { public_key: '\n'.repeat(50_000) }), 400, /the text is empty/);
    });

    it('with what no query of theirs may say from 2.75 on, and not before', async () => {
      await send('queried');
      for (const path of [KEYPAIRS, `${KEYPAIRS}/queried`]) {
        assert.equal((await api.ask('GET', `${path}?unknown=1`, { version: '2.74' })).status, 200);
        refused(await api.ask('GET', `${path}?unknown=1`, { version: '2.75' }), 400, /Additional properties are not allowed \('unknown' was unexpected\)/);
      }
      refused(await api.ask('DELETE', `${KEYPAIRS}/queried?unknown=1`, { version: '2.75' }), 400, /'unknown' was unexpected/);
      assert.equal((await api.ask('DELETE', `${KEYPAIRS}/queried?unknown=1`, { version: '2.74' })).status, 204);
    });

    it('to all but their user and the administrator, who names the user from 2.10 on', async () => {
      await send('private', {}, { token: 'carol:p' });
      for (const [method, rule] of [['GET', 'show'], ['DELETE', 'delete']] as const) {
        refused(await api.ask(method, `${KEYPAIRS}/private?user_id=carol`, { version: '2.10' }), 403, new RegExp(`os-keypairs:${rule}`));
        refused(await api.ask(method, `${KEYPAIRS}/private?user_id=carol`, { version: '2.9', token: 'admin:p' }), 404, /Keypair private not found for user admin/);
      }
      refused(await api.ask('GET', `${KEYPAIRS}?user_id=carol`, { version: '2.10' }), 403, /os-keypairs:index/);
      assert.deepEqual(names(await api.ask('GET', `${KEYPAIRS}?user_id=carol`, { version: '2.10', token: 'admin:p' })), ['private']);
      assert.deepEqual(names(await api.ask('GET', `${KEYPAIRS}?user_id=`, { version: '2.10', token: 'carol:p' })), ['private'], 'an empty user is oneself');
      assert.equal((await api.ask('DELETE', `${KEYPAIRS}/private?user_id=carol`, { version: '2.10', token: 'admin:p' })).status, 204);
    });
  });

  it('are shaped as each microversion has them, at every one', async () => {
    for (let minor = 1; minor <= 93; minor += 1) {
      const version = `2.${minor}`;
      const made = await send('shaped', {}, { version });
      const kind = minor >= 2 ? ['type'] : [];
      assert.equal(made.status, minor >= 2 ? 201 : 200, version);
      assert.deepEqual(Object.keys((made.json as Shown).keypair), [...kind, 'name', 'public_key', 'fingerprint', 'user_id'], version);
      const shown = (await api.ask('GET', `${KEYPAIRS}/shaped`, { version })).json as Shown;
      assert.deepEqual(Object.keys(shown.keypair), ['name', 'public_key', 'fingerprint', 'user_id', 'created_at', 'deleted', 'deleted_at', 'id', 'updated_at', ...kind], version);
      const listed = (await api.ask('GET', `${KEYPAIRS}?limit=1&user_id=alice`, { version })).json as Listed;
      assert.deepEqual(Object.keys(listed.keypairs[0]?.keypair ?? {}), ['name', 'public_key', 'fingerprint', ...kind], version);
      assert.equal(listed.keypairs_links?.length, minor >= 35 ? 1 : undefined, version);
      assert.equal((await api.ask('DELETE', `${KEYPAIRS}/shaped`, { version })).status, minor >= 2 ? 204 : 202, version);
    }
  });

  it('are made where the microversion has that, x509 too, and no private key is kept or logged', async () => {
    const made = await send('made', { public_key: undefined, type: 'x509' }, { version: '2.91' });
    assert.equal(made.status, 201, made.text);
    const { keypair } = made.json as Shown;
    assert.deepEqual(Object.keys(keypair), ['private_key', 'type', 'name', 'public_key', 'fingerprint', 'user_id']);
    assert.match(String(keypair['fingerprint']), /^([0-9a-f]{2}:){19}[0-9a-f]{2}$/);
    const admin = await send('made', { public_key: undefined, type: 'x509', user_id: `${'ü'.repeat(100)}/CN=x` }, { version: '2.10', token: 'admin:p' });
    assert.equal(admin.status, 201, 'a user id of more than 64 characters');
    const secret = String(keypair['private_key']).slice(40, 80);
    assert.ok(!(await api.ask('GET', `${KEYPAIRS}/made`, { version: '2.92' })).text.includes(secret));
    assert.ok(!api.logged.join('').includes(secret));
    assert.ok(!JSON.stringify(await api.apiDb.keyPairs.get('alice', 'made')).includes(secret));
  });

  it('have SHA-256 fingerprints under /v1, in pages, and only there', async () => {
    for (const [name, more] of [['a', {}], ['b', { type: 'x509', public_key: vector('x509.pem') }]] as const) await send(name, more, { token: 'fay:p' });
    await api.apiDb.keyPairs.create({ userId: 'fay', name: 'old', type: 'ssh', publicKey: 'ssh-ed25519 x', fingerprint: 'x', createdAt: new Date() });
    const { keypair } = (await api.ask('GET', '/v1/keypairs/a', { token: 'fay:p' })).json as Shown;
    assert.deepEqual([keypair['fingerprint_sha256'], keypair['algorithm'], keypair['bits']], ['SHA256:ZEZvByDqAYTsvE6wr/4o9cTL5wSHYpWDh3umb/f7oRM', 'ssh-ed25519', 256]);
    const page = (await api.ask('GET', '/v1/keypairs?limit=2', { token: 'fay:p' })).json as { keypairs: Record<string, unknown>[]; next_marker: string };
    assert.match(String(page.keypairs[1]?.['fingerprint_sha256']), /^([0-9a-f]{2}:){31}[0-9a-f]{2}$/);
    const rest = (await api.ask('GET', `/v1/keypairs?marker=${page.next_marker}`, { token: 'fay:p' })).json as { keypairs: Record<string, unknown>[]; next_marker: null };
    assert.deepEqual([rest.keypairs.length, rest.keypairs[0]?.['fingerprint_sha256'], rest.next_marker], [1, null, null]);
    refused(await api.ask('GET', '/v1/keypairs/none', { token: 'fay:p' }), 404, /"code":"NOT_FOUND"/);
    refused(await api.ask('GET', '/v1/keypairs?user_id=fay'), 403, /PERMISSION_DENIED/);
    refused(await api.ask('GET', '/v1/keypairs?x=1'), 400, /'x' was unexpected/);
    refused(await api.ask('DELETE', '/v1/keypairs/a', { token: 'fay:p' }), 405, /GET, HEAD is/);
  });

  it('may be on FIDO tokens', async () => {
    for (const [name, ...fields] of [['sk-ssh-ed25519@openssh.com', Buffer.alloc(32, 7), 'ssh:'], ['sk-ecdsa-sha2-nistp256@openssh.com', 'nistp256', Buffer.from(vector('ecdsa256.pub').split(' ')[1] ?? '', 'base64').subarray(-65), 'ssh:']] as const) {
      const blob = Buffer.concat([name, ...fields].map((field) => Buffer.concat([Buffer.from([0, 0, 0, field.length]), Buffer.from(field)])));
      assert.equal((await send('token', { public_key: `${name} ${blob.toString('base64')} me` }, { token: `${name.slice(0, 8)}:p` })).status, 201);
    }
  });

  it('are listed in pages, whose links keep what was asked and stand as in Nova', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await send(name, {}, { token: 'dave:p' });
    const page = async (query: string, token = 'dave:p') => (await api.ask('GET', `${KEYPAIRS}?${query}`, { version: '2.35', token })).json as Listed;
    const first = await page('limit=2');
    assert.equal(first.keypairs_links?.[0]?.href, `${api.url}${KEYPAIRS}?limit=2&marker=b`);
    const asAdmin = await page('user_id=dave&limit=2&other=1', 'admin:p');
    assert.equal(asAdmin.keypairs_links?.[0]?.href, `${api.url}${KEYPAIRS}?limit=2&user_id=dave&marker=b`);
    const second = await page('user_id=dave&marker=b&limit=2', 'admin:p');
    assert.equal(second.keypairs_links?.[0]?.href, `${api.url}${KEYPAIRS}?limit=2&marker=d&user_id=dave`);
    assert.deepEqual((await page('limit=2&marker=d')), { keypairs: [] });
    refused(await api.ask('GET', `${KEYPAIRS}?marker=nope`, { version: '2.35' }), 400, /Marker nope could not be found\./);
    refused(await api.ask('GET', `${KEYPAIRS}?limit=abc`, { version: '2.35' }), 400, /'abc' does not match '\^\[0-9\]\*\$'/);
    assert.equal((await api.ask('GET', `${KEYPAIRS}?limit=abc&marker=nope`, { version: '2.34', token: 'dave:p' })).status, 200);
  });

  it('stay within their quota when twelve are imported at one time through two services, where Nova ends with 110', async () => {
    const at = new Date();
    for (let index = 0; index < 98; index += 1) {
      await api.apiDb.keyPairs.create({ userId: 'erin', name: `k${index}`, type: 'ssh', publicKey: ED25519, fingerprint: 'x', createdAt: at });
    }
    const imports = Array.from({ length: 12 }, (_, index) => send(`new ${index}`, {}, { token: 'erin:p' }, index % 2 === 0 ? api : other));
    const statuses = (await Promise.all(imports)).map(({ status }) => status).sort();
    assert.deepEqual(statuses, [201, 201, ...Array<number>(10).fill(403)]);
    assert.equal(await api.apiDb.keyPairs.count('erin'), 100);
    refused(await send('k1', {}, { token: 'erin:p' }), 403, /Quota exceeded, too many key pairs\./);
    refused(await send('new', { public_key: 'bad' }, { token: 'erin:p' }), 403, /Quota exceeded/);
    refused(await send('new', { public_key: undefined }, { token: 'erin:p', version: '2.91' }), 403, /Quota exceeded/);
  });

  it('have their quota among the limits and in quota sets, with what is in use', async () => {
    const get = async (path: string, ask: Ask = {}) => (await api.ask('GET', `/v2.1${path}`, { token: 'erin:p', ...ask })).json;
    const files = { maxPersonality: 5, maxPersonalitySize: 10_240 };
    assert.deepEqual(await get('/limits'), { limits: { rate: [], absolute: { maxServerMeta: 128, ...files, maxTotalKeypairs: 100 } } });
    assert.deepEqual(await get('/limits', { version: '2.57' }), { limits: { rate: [], absolute: { maxServerMeta: 128, maxTotalKeypairs: 100 } } });
    assert.deepEqual(await get('/os-quota-sets/p'), { quota_set: { id: 'p', key_pairs: 100 } });
    assert.deepEqual(await get('/os-quota-sets/p/defaults'), { quota_set: { id: 'p', key_pairs: 100 } });
    assert.deepEqual(await get('/os-quota-sets/p/detail'), { quota_set: { id: 'p', key_pairs: { in_use: 100, limit: 100, reserved: 0 } } });
    assert.deepEqual(await get('/os-quota-sets/q/detail?user_id=erin', { token: 'admin:p' }), { quota_set: { id: 'q', key_pairs: { in_use: 100, limit: 100, reserved: 0 } } });
    refused(await api.ask('GET', '/v2.1/os-quota-sets/q'), 403, /os-quota-sets:show/);
    refused(await api.ask('GET', '/v2.1/limits?tenant_id=q'), 403, /limits:other_project/);
    refused(await api.ask('GET', '/v2.1/limits?x=1', { version: '2.75' }), 400, /'x' was unexpected/);
  });
});
