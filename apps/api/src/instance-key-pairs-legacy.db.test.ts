import assert from 'node:assert/strict';
import type { RpcServer } from '@gatehouse/rpc/server';
import { serveAgent, serveRevocation } from './test-api.ts';
import type { Answer } from './test-api.ts';
import { createServer, keyOf } from './test-instances.ts';
import { startLegacyHouse } from './test-legacy.ts';
import type { LegacyHouse } from './test-legacy.ts';

const ED = keyOf('ed25519');

describe('the key pairs of an instance, of cells whose rows have not moved', function () {
  this.timeout(60_000);
  let house: LegacyHouse;
  let servers: RpcServer[] = [];

  before(async () => {
    house = await startLegacyHouse(ED);
    servers = [await serveAgent(house.api, 'host-a'), await serveRevocation(house.api, [])];
  });
  after(async () => {
    await Promise.all(servers.map((server) => server.drain()));
    await house?.stop();
  });

  const put = (id: string, keypairs: readonly string[]): Promise<Answer> => house.api.ask('PUT', `/v1/instances/${id}/keypairs`, { token: 'alice:proj', body: { keypairs } });
  const shown = ({ json }: Answer): readonly (readonly [unknown, unknown])[] =>
    (json as { keypairs: { name: string; public_key: string }[] }).keypairs.map(({ name, public_key: publicKey }) => [name, publicKey]);

  it('are found by name, wherever their rows are', async () => {
    await house.plant(0, 'alice', 'old', { public_key: ED });
    await house.plant(1, 'alice', 'further', { public_key: ED });
    const id = await createServer(house.api, { key_names: ['old', 'further'] });
    assert.deepEqual(shown(await house.api.ask('GET', `/v1/instances/${id}/keypairs`, { token: 'alice:proj' })), [['old', ED], ['further', ED]]);
    assert.deepEqual(shown(await put(id, ['further'])), [['further', ED]]);
    await house.moveOne(1);
    assert.deepEqual(shown(await put(id, ['further', 'old'])), [['further', ED], ['old', ED]]);
  });

  it('that cannot be looked for are not said to be missing', async () => {
    await house.plant(1, 'alice', 'far', { public_key: ED });
    const id = await createServer(house.api);
    const back = await house.hide(1);
    try {
      assert.equal((await put(id, ['far'])).status, 503);
    } finally {
      await back();
    }
    assert.deepEqual(shown(await put(id, ['far'])), [['far', ED]]);
  });

  it('that nobody can read any more are replaced all the same', async () => {
    await house.plant(0, 'alice', 'mine', { public_key: ED });
    const id = await createServer(house.api);
    await house.query(0, "UPDATE instance_extra SET keypairs = '{\"torn' WHERE instance_uuid = $1", [id]);
    assert.equal((await house.api.ask('GET', `/v1/instances/${id}/keypairs`, { token: 'alice:proj' })).status, 500);
    assert.deepEqual(shown(await put(id, ['mine'])), [['mine', ED]]);
  });
});
