/** Nova's own tests of key pairs in two databases (Newton to Train, functional/db/test_keypair.py), each by its name, over REST. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { startLegacyHouse } from './test-legacy.ts';
import type { LegacyHouse } from './test-legacy.ts';

const ED25519 = readFileSync(new URL('../test-vectors/keys/ed25519.pub', import.meta.url), 'utf8').trim();
const KEYPAIRS = '/v2.1/os-keypairs';

describe("Nova's tests of key pairs in two databases", function () {
  this.timeout(60_000);
  let house: LegacyHouse;
  before(async () => {
    house = await startLegacyHouse(ED25519);
  });
  after(() => house?.stop());

  const ask = (user: string, method: string, path: string, body?: object) =>
    house.api.ask(method, `${KEYPAIRS}${path}`, { version: '2.92', token: `${user}:p`, ...(body === undefined ? {} : { body }) });
  const create = (user: string, name: string) => ask(user, 'POST', '', { keypair: { name, public_key: ED25519 } });
  const statusOf = async (user: string, method: string, name: string) => (await ask(user, method, `/${name}`)).status;
  async function names(user: string, query = ''): Promise<readonly string[]> {
    const answer = await ask(user, 'GET', query);
    assert.equal(answer.status, 200, answer.text);
    return (answer.json as { keypairs: { keypair: { name: string } }[] }).keypairs.map(({ keypair }) => keypair.name);
  }
  const legacyNames = async (user: string) => [...(await house.api.cellDb.legacyKeyPairs.names(user))].toSorted();

  it('test_create_in_api: a new one is in the API database, and in no cell', async () => {
    assert.equal((await create('a', 'key')).status, 201);
    assert.equal((await house.api.apiDb.keyPairs.find('a', 'key'))?.name, 'key');
    assert.deepEqual(await legacyNames('a'), []);
  });

  it('test_create_in_api_duplicate: refused', async () => {
    await create('b', 'key');
    const again = await create('b', 'key');
    assert.deepEqual([again.status, again.json], [409, { conflictingRequest: { code: 409, message: "Key pair 'key' already exists." } }]);
  });

  it('test_create_in_api_duplicate_in_main: refused for what a cell has', async () => {
    await house.plant(0, 'c', 'key');
    const again = await create('c', 'key');
    assert.deepEqual([again.status, again.json], [409, { conflictingRequest: { code: 409, message: "Key pair 'key' already exists." } }]);
    assert.equal(await house.api.apiDb.keyPairs.find('c', 'key'), null);
  });

  it('test_get_from_api, test_get_from_main, test_get_not_found', async () => {
    await create('d', 'api');
    await house.plant(0, 'd', 'main');
    assert.deepEqual([await statusOf('d', 'GET', 'api'), await statusOf('d', 'GET', 'main')], [200, 200]);
    const missing = await ask('d', 'GET', '/neither');
    assert.deepEqual([missing.status, missing.json], [404, { itemNotFound: { code: 404, message: 'Keypair neither not found for user d' } }]);
  });

  it('test_destroy_in_api, test_destroy_by_name_in_api, test_destroy_in_main, test_destroy_by_name_in_main', async () => {
    await create('e', 'api');
    await house.plant(0, 'e', 'main');
    for (const name of ['api', 'main']) {
      assert.deepEqual([await statusOf('e', 'DELETE', name), await statusOf('e', 'GET', name), await statusOf('e', 'DELETE', name)], [204, 404, 404]);
    }
  });

  it('test_get_by_user, test_get_count_by_user: both are listed and counted', async () => {
    await create('f', 'api');
    await house.plant(0, 'f', 'main');
    assert.deepEqual(await names('f'), ['api', 'main']);
    const detail = await house.api.ask('GET', '/v2.1/os-quota-sets/p/detail', { token: 'f:p' });
    assert.deepEqual(detail.json, { quota_set: { id: 'p', key_pairs: { in_use: 2, limit: 100, reserved: 0 } } });
  });

  it('test_migrate_keypairs, test_migrate_keypairs_skips_existing: they are as they were, before, between and after', async () => {
    for (const name of ['1', '2', '3']) await house.plant(0, 'g', name);
    const before = await Promise.all(['1', '2', '3'].map(async (name) => (await ask('g', 'GET', `/${name}`)).text));
    while ((await legacyNames('g')).length > 0) {
      assert.deepEqual(await names('g'), ['1', '2', '3']);
      await house.moveOne(0);
    }
    const after = await Promise.all(['1', '2', '3'].map(async (name) => (await ask('g', 'GET', `/${name}`)).text));
    assert.deepEqual(after, before);
    await house.plant(0, 'g', '1');
    assert.deepEqual(await names('g'), ['1', '2', '3'], 'Nova lists what both have twice');
  });

  it('test_get_by_user_limit_and_marker, over both', async () => {
    for (const name of ['apikey1', 'apikey2']) await create('h', name);
    for (const name of ['mainkey1', 'mainkey2']) await house.plant(0, 'h', name);
    assert.deepEqual(await names('h', '?limit=1'), ['apikey1']);
    assert.deepEqual(await names('h', '?limit=3'), ['apikey1', 'apikey2', 'mainkey1']);
    assert.deepEqual(await names('h', '?marker=apikey1'), ['apikey2', 'mainkey1', 'mainkey2']);
    assert.deepEqual(await names('h', '?marker=mainkey2'), []);
    assert.deepEqual(await names('h', '?limit=2&marker=apikey2'), ['mainkey1', 'mainkey2']);
    const unknown = await ask('h', 'GET', '?limit=2&marker=unknown');
    assert.deepEqual([unknown.status, unknown.json], [400, { badRequest: { code: 400, message: 'Marker unknown could not be found.' } }]);
  });

  it('test_get_by_user_different_users: the same names of two users are kept apart, in pages too', async () => {
    for (const user of ['i', 'j']) {
      await create(user, 'apikey');
      await house.plant(0, user, 'mainkey');
    }
    await create('j', 'other');
    for (const [user, all] of [['i', ['apikey', 'mainkey']], ['j', ['apikey', 'mainkey', 'other']]] as const) {
      assert.deepEqual(await names(user), all);
      assert.deepEqual([...(await names(user, '?limit=1')), ...(await names(user, '?limit=2&marker=apikey'))], all);
    }
    assert.equal(await statusOf('i', 'DELETE', 'mainkey'), 204);
    assert.deepEqual([await names('i'), await names('j')], [['apikey'], ['apikey', 'mainkey', 'other']]);
  });
});
