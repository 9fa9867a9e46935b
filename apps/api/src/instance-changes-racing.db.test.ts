/** Keys that are replaced beside what makes an instance anew or ends it: whoever wins, nothing is half of one and half of the other. */
import assert from 'node:assert/strict';
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import type { RpcServer } from '@gatehouse/rpc/server';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { serveAgent, serveRevocation, startTestApi } from './test-api.ts';
import type { Answer, TestApi } from './test-api.ts';
import { createServer, importKeys, keyOf, serveMetadata } from './test-instances.ts';

const ALICE = 'alice:proj';
const ROUNDS = 4;

describe('keys that are replaced while something else happens to their instance', function () {
  this.timeout(60_000);
  let api: TestApi;
  let servers: RpcServer[] = [];
  const told: string[] = [];
  /** What the guests of rebuilds were made from. */
  const guests = new Map<string, InstanceFacts | null>();

  before(async () => {
    api = await startTestApi(await startPostgresql());
    const agent = await serveAgent(api, 'host-a', {
      async rebuildInstance({ instance }) {
        guests.set(instance.uuid, await api.cellDb.instanceFacts.find(instance.uuid));
        await api.cellDb.instances.update(instance.uuid, { vmState: 'active', taskState: null }, new Date(), 'host-a');
      },
    });
    servers = [agent, await serveRevocation(api, []), await serveMetadata(api, told)];
    await importKeys(api, ALICE, { desk: keyOf('ed25519'), laptop: keyOf('ecdsa256'), phone: keyOf('rsa2048') });
  });
  after(async () => {
    await Promise.all(servers.map((server) => server.drain()));
    await api?.stop();
  });

  const put = (id: string, keypairs: readonly string[]): Promise<Answer> => api.ask('PUT', `/v1/instances/${id}/keypairs`, { token: ALICE, body: { keypairs } });
  const rebuild = (id: string, keyName: string): Promise<Answer> =>
    api.ask('POST', `/v2.1/servers/${id}/action`, { token: ALICE, version: '2.54', body: { rebuild: { imageRef: 'i', key_name: keyName } } });
  const namesOf = (facts: InstanceFacts | null): readonly string[] | undefined => facts?.keyPairs?.map(({ name }) => name);

  it('are those of before or after a rebuild, and its guest is made from one whole list', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const id = await createServer(api, { key_name: 'desk' });
      const [rebuilt, ...answers] = await Promise.all([rebuild(id, 'phone'), ...Array.from({ length: 4 }, () => put(id, ['laptop', 'desk']))]);
      assert.equal(rebuilt.status, 202, rebuilt.text);
      for (const { status, text } of answers) assert.ok(status === 200 || status === 409, text);
      assert.deepEqual(namesOf(guests.get(id) ?? null), ['phone']);
      const last = await api.cellDb.instanceFacts.find(id);
      const names = namesOf(last) ?? [];
      assert.ok(['phone', 'laptop,desk'].includes(names.join()), names.join());
      assert.deepEqual([last?.keyName, last?.keyData], [names[0], last?.keyPairs?.[0]?.publicKey]);
    }
  });

  it('are gone with an instance that is deleted meanwhile, and its metadata services are told', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const id = await createServer(api, { key_name: 'desk' });
      const [deleted, ...answers] = await Promise.all([
        api.ask('DELETE', `/v2.1/servers/${id}`, { token: ALICE }),
        ...Array.from({ length: 4 }, (_, index) => put(id, index % 2 === 0 ? ['laptop'] : [])),
      ]);
      assert.equal(deleted.status, 204, deleted.text);
      for (const { status, text } of answers) assert.ok([200, 404, 409].includes(status), text);
      assert.equal((await put(id, ['desk'])).status, 404);
      assert.equal(await api.cellDb.instanceFacts.find(id), null);
      assert.ok(told.filter((each) => each === id).length >= 2, 'its creation and its end');
    }
  });

  it('of a user who deletes them meanwhile are whole, or are refused by name', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const id = await createServer(api);
      await importKeys(api, ALICE, { fleeting: keyOf('ed25519') });
      const [gone, answer] = await Promise.all([api.ask('DELETE', '/v2.1/os-keypairs/fleeting', { token: ALICE }), put(id, ['fleeting', 'desk'])]);
      assert.equal(gone.status, 202, gone.text);
      const names = namesOf(await api.cellDb.instanceFacts.find(id));
      if (answer.status === 200) assert.deepEqual(names, ['fleeting', 'desk']);
      else assert.deepEqual([answer.status, names, /"fleeting\\"/.test(answer.text)], [400, [], true]);
    }
  });
});
