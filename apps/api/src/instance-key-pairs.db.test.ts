import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { KeyPairList } from '@gatehouse/objects/key-pair-list';
import type { RpcServer } from '@gatehouse/rpc/server';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { serveAgent, serveRevocation, startTestApi } from './test-api.ts';
import type { Answer, Ask, TestApi } from './test-api.ts';
import { createServer, importKeys, keyOf, serveMetadata } from './test-instances.ts';
import { openapiCheck } from './test-openapi.ts';
import type { CheckAnswer } from './test-openapi.ts';

const ALICE = 'alice:proj';
const [ED, EC, RSA] = [keyOf('ed25519'), keyOf('ecdsa256'), keyOf('rsa2048')];

interface Carried {
  readonly keypairs: readonly { readonly name: string; readonly public_key: string; readonly [key: string]: unknown }[];
  readonly source: string;
}

describe('the key pairs of an instance', function () {
  this.timeout(60_000);
  let api: TestApi;
  let check: CheckAnswer;
  let servers: RpcServer[] = [];
  let agents: RpcServer[] = [];
  const told: string[] = [];

  before(async () => {
    api = await startTestApi(await startPostgresql());
    check = await openapiCheck(api);
    agents = [await serveAgent(api, 'host-a')];
    servers = [await serveRevocation(api, []), await serveMetadata(api, told)];
    await importKeys(api, ALICE, { desk: ED, laptop: EC, phone: RSA });
    await importKeys(api, 'bob:proj', { 'bobs key': RSA });
  });
  after(async () => {
    await Promise.all([...servers, ...agents].map((server) => server.drain()));
    await api?.stop();
  });

  async function ask(method: string, id: string, how: Ask = {}, query = ''): Promise<Answer> {
    const answer = await api.ask(method, `/v1/instances/${id}/keypairs${query}`, { token: ALICE, ...how });
    check(method, '/v1/instances/{id}/keypairs', answer);
    return answer;
  }
  const put = (id: string, keypairs: unknown, how: Ask = {}, query = ''): Promise<Answer> => ask('PUT', id, { ...how, body: { keypairs } as object }, query);
  const carried = ({ json }: Answer): Carried => json as Carried;
  const namesOf = (answer: Answer): readonly string[] => carried(answer).keypairs.map(({ name }) => name);
  const detailOf = ({ status, json }: Answer): readonly [number, string] => [status, (json as { detail: string }).detail];
  const generationOf = async (id: string): Promise<number> => (await api.cellDb.instances.get(id)).generation;
  const toldOf = (id: string): number => told.filter((each) => each === id).length;

  describe('at its creation', () => {
    const create = (server: object): Promise<Answer> => api.ask('POST', '/v2.1/servers', { token: ALICE, body: { server: { name: 'x', ...server } } });

    it('are refused where one is not there, said twice, too many, or no list of names', async () => {
      const cases: readonly (readonly [names: unknown, words: RegExp])[] = [
        [['desk', 'nosuch', 'bobs key'], /user alice has no key pair of the name "nosuch", "bobs key"/],
        [['desk', 'desk'], /\['desk', 'desk'\] has non-unique elements/],
        [Array.from({ length: 17 }, (_, index) => `k${index}`), /is too long/],
        [Array.from({ length: 20_000 }, () => 'k'), /is too long/],
        ['desk', /'desk' is not of type 'array'/],
        [[''], /'' is too short/],
        [[7], /7 is not of type 'string'/],
      ];
      for (const [names, words] of cases) {
        const answer = await create({ key_names: names });
        assert.equal(answer.status, 400, answer.text.slice(0, 200));
        assert.match((answer.json as { badRequest: { message: string } }).badRequest.message, words);
      }
      const full = await create({ key_name: 'desk', key_names: Array.from({ length: 16 }, (_, index) => `k${index}`) });
      assert.match(full.text, /at most 16 key pairs/);
    });

    it("are kept whole, key_name's first, which is the one that the server shows", async () => {
      const id = await createServer(api, { key_name: 'laptop', key_names: ['desk', 'laptop', 'phone'] });
      const list = await api.cellDb.instanceExtra.findKeyPairs(id);
      assert.deepEqual(list?.objects.map(({ name, type, publicKey, userId }) => [name, type, publicKey, userId]), [['laptop', 'ssh', EC, 'alice'], ['desk', 'ssh', ED, 'alice'], ['phone', 'ssh', RSA, 'alice']]);
      const { keyName, keyData } = await api.cellDb.instances.get(id);
      assert.deepEqual([keyName, keyData], ['laptop', EC]);
      const shown = (await api.ask('GET', `/v2.1/servers/${id}`, { token: ALICE })).json as { server: { key_name: string } };
      assert.equal(shown.server.key_name, 'laptop');
    });

    it('are the names alone where there is no key_name, the first shown; an empty list where there are none', async () => {
      const id = await createServer(api, { key_names: ['phone', 'desk'] });
      assert.equal((await api.cellDb.instances.get(id)).keyName, 'phone');
      const without = await createServer(api, { key_names: [] });
      assert.deepEqual(await api.cellDb.instanceExtra.findKeyPairs(without), KeyPairList.make({ objects: [] }));
      assert.deepEqual(carried(await ask('GET', without)), { keypairs: [], source: 'instance_extra' });
    });

    it('reach its host with the instance', async () => {
      let seen: readonly string[] = [];
      const own = await serveAgent(api, 'host-b', { createInstance({ instance }) { seen = instance.keypairs?.objects.map(({ name }) => name) ?? []; } });
      await createServer(api, { key_names: ['phone', 'desk'], availability_zone: 'nova:host-b' });
      await own.drain();
      assert.deepEqual(seen, ['phone', 'desk']);
    });
  });

  describe('shown', () => {
    it("are another project's secret, and every project's to the administrator", async () => {
      const id = await createServer(api, { key_name: 'desk' });
      assert.equal((await ask('GET', id, { token: 'carol:other' })).status, 404);
      assert.equal((await ask('GET', randomUUID())).status, 404);
      assert.equal((await ask('GET', 'no-uuid')).status, 404);
      assert.deepEqual(namesOf(await ask('GET', id, { token: 'admin:ops' })), ['desk']);
      assert.equal((await ask('GET', id, {}, '?colour=red')).status, 400);
    });

    it('come with what /v1/keypairs tells of them, and with the generation as their tag', async () => {
      const id = await createServer(api, { key_name: 'desk' });
      const answer = await ask('GET', id);
      const [shown] = carried(answer).keypairs;
      const whole = ((await api.ask('GET', '/v1/keypairs/desk', { token: ALICE })).json as { keypair: object }).keypair;
      assert.deepEqual({ ...shown, created_at: null }, { ...whole, created_at: null });
      assert.equal(answer.headers['etag'], `"${await generationOf(id)}"`);
    });

    it('are what its row knows where it was never migrated, which is said', async () => {
      const id = randomUUID();
      const row = { displayName: 'old', hostname: 'old', host: 'host-a', vmState: 'active', taskState: null, userData: null, metadata: {}, createdAt: new Date() };
      await api.cellDb.instances.create({ ...row, uuid: id, projectId: 'proj', userId: 'alice', keyName: 'legacy', keyData: ED });
      const { keypairs, source } = carried(await ask('GET', id));
      assert.equal(source, 'key_name');
      assert.deepEqual(keypairs.map(({ name, type, public_key, fingerprint, algorithm }) => [name, type, public_key, fingerprint, algorithm]), [['legacy', 'ssh', ED, null, 'ssh-ed25519']]);
      await put(id, []);
      assert.deepEqual(carried(await ask('GET', id)), { keypairs: [], source: 'instance_extra' });
    });
  });

  describe('replaced', () => {
    it('are refused in words that name every fault', async () => {
      const id = await createServer(api, { key_name: 'desk' });
      const cases: readonly (readonly [body: Ask['body'], words: RegExp])[] = [
        [{ keypairs: ['nosuch', 'desk', 'bobs key'] }, /user alice has no key pair of the name "nosuch", "bobs key"/],
        [{ keypairs: ['desk', 'desk'] }, /^keypairs: "desk" is named twice; name each once$/],
        [{ keypairs: Array.from({ length: 17 }, (_, index) => `k${index}`) }, /^keypairs: holds more than 16 names$/],
        [{ keypairs: Array.from({ length: 50_000 }, () => 1) }, /^keypairs: holds more than 16 names$/],
        [{ keypairs: 'desk' }, /^keypairs: Invalid input: expected array/],
        [{ keypairs: [{ name: 'desk' }] }, /^keypairs\[0\]: Invalid input: expected string/],
        [{ keypairs: [''] }, /^keypairs\[0\]: Too small/],
        [{ keypairs: ['\0'] }, /no key pair of the name "\\u0000"/],
        [{ keypairs: ['desk'], key_name: 'desk' }, /^the body: Unrecognized key: "key_name"/],
        ['{"keypairs": [], "__proto__": {}}', /Unrecognized key: "__proto__"/],
        [{}, /^keypairs: Invalid input: expected array/],
        ['', /^the body: Invalid input: expected object/],
        ['[1', /Malformed request body/],
        ['['.repeat(50_000), /Malformed request body/],
      ];
      for (const [body, words] of cases) {
        const answer = await ask('PUT', id, { body: body ?? '' });
        assert.equal(answer.status, 400, answer.text.slice(0, 200));
        assert.match(detailOf(answer)[1], words);
      }
      assert.equal((await ask('PUT', id, { body: JSON.stringify({ keypairs: Array.from({ length: 1_000_000 }, () => 'k') }) })).status, 413);
      assert.deepEqual(namesOf(await ask('GET', id)), ['desk']);
    });

    it("are another project's, or another user's keys, for the administrator alone", async () => {
      const id = await createServer(api, { key_name: 'desk' });
      assert.equal((await put(id, [], { token: 'carol:other' })).status, 404);
      assert.deepEqual(detailOf(await put(id, ['bobs key'], {}, '?user_id=bob')), [403, 'the key pairs of user bob are for that user and the administrator to give to an instance']);
      assert.deepEqual(namesOf(await put(id, ['bobs key'], { token: 'admin:ops' }, '?user_id=bob')), ['bobs key']);
      // As at a rebuild: another user of the project brings keys of his own.
      assert.deepEqual(namesOf(await put(id, ['bobs key'], { token: 'bob:proj' })), ['bobs key']);
    });

    it('are so at once in the list, in the row that Nova reads, and in the news; the same again changes nothing', async () => {
      const id = await createServer(api, { key_name: 'desk' });
      const [before, news] = [await generationOf(id), toldOf(id)];
      const answer = await put(id, ['phone', 'laptop']);
      assert.deepEqual([answer.status, namesOf(answer)], [200, ['phone', 'laptop']]);
      const { keyName, keyData, generation } = await api.cellDb.instances.get(id);
      assert.deepEqual([keyName, keyData], ['phone', RSA]);
      assert.deepEqual((await api.cellDb.instanceExtra.findKeyPairs(id))?.objects.map(({ publicKey }) => publicKey), [RSA, EC]);
      assert.ok(generation > before);
      assert.equal(toldOf(id), news + 1);
      assert.deepEqual([(await put(id, ['phone', 'laptop'])).headers['etag'], await generationOf(id)], [`"${generation}"`, generation]);
      assert.equal(toldOf(id), news + 2);
      assert.deepEqual(namesOf(await put(id, [])), []);
      assert.equal((await api.cellDb.instances.get(id)).keyName, null);
    });

    it('are the keys of today under their names: one that was made anew counts as another', async () => {
      const id = await createServer(api, { key_name: 'desk' });
      await importKeys(api, ALICE, { spare: EC });
      await put(id, ['spare']);
      await api.ask('DELETE', '/v2.1/os-keypairs/spare', { token: ALICE });
      assert.deepEqual(carried(await ask('GET', id)).keypairs[0]?.public_key, EC);
      await importKeys(api, ALICE, { spare: ED });
      assert.deepEqual(carried(await put(id, ['spare'])).keypairs[0]?.public_key, ED);
      await api.ask('DELETE', '/v2.1/os-keypairs/spare', { token: ALICE });
      assert.equal((await put(id, ['spare'])).status, 400);
    });

    it('are refused to a writer who has not seen the last change', async () => {
      const id = await createServer(api, { key_name: 'desk' });
      const tag = (await ask('GET', id)).headers['etag'] ?? '';
      const ours = (ifMatch: string): Ask => ({ headers: { 'if-match': ifMatch } });
      for (const bad of ['12', '"a', '"1", x']) assert.equal((await put(id, [], ours(bad))).status, 400, bad);
      assert.equal((await put(id, ['laptop'], ours(`"999999", ${tag}`))).status, 200);
      for (const stale of [tag, `W/"${await generationOf(id)}"`, '"other"']) {
        const answer = await put(id, ['phone'], ours(stale));
        assert.equal(answer.status, 412, stale);
        assert.match(detailOf(answer)[1], new RegExp(`its ETag is "${await generationOf(id)}" now`));
      }
      assert.deepEqual(namesOf(await put(id, ['phone'], ours('*'))), ['phone']);
    });

    it('by several at once that have seen the same, are those of one of them, whole', async () => {
      const id = await createServer(api, { key_name: 'desk' });
      const headers = { 'if-match': (await ask('GET', id)).headers['etag'] ?? '' };
      const wishes = [['laptop'], ['phone'], ['phone', 'laptop'], []];
      const answers = await Promise.all(wishes.map((names) => put(id, names, { headers })));
      assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 412, 412, 412]);
      const won = wishes[answers.findIndex(({ status }) => status === 200)] ?? [];
      assert.deepEqual([namesOf(await ask('GET', id)), (await api.cellDb.instances.get(id)).keyName], [won, won[0] ?? null]);
    });

    it('by many at once that look at nothing, end whole: list and row say the same', async () => {
      const id = await createServer(api, { key_name: 'desk' });
      const wishes = Array.from({ length: 24 }, (_, index) => [['desk'], ['laptop', 'phone'], []][index % 3] ?? []);
      const answers = await Promise.all(wishes.map((names) => put(id, names)));
      assert.ok(answers.every(({ status }) => status === 200));
      const [list, row] = [namesOf(await ask('GET', id)), await api.cellDb.instances.get(id)];
      assert.equal(row.keyName, list[0] ?? null);
    });

    it('are refused while the instance is being deleted or made anew', async () => {
      const id = await createServer(api, { key_name: 'desk' });
      for (const taskState of ['deleting', 'rebuilding', 'rebuild_spawning']) {
        await api.cellDb.instances.update(id, { taskState }, new Date());
        const answer = await put(id, ['laptop']);
        assert.deepEqual(detailOf(answer), [409, `the key pairs of instance ${id} cannot be changed while it is in task_state ${taskState}; try again when that is over`]);
      }
      await api.cellDb.instances.update(id, { taskState: 'rebooting' }, new Date());
      assert.equal((await put(id, ['laptop'])).status, 200);
      await api.ask('DELETE', `/v2.1/servers/${id}`, { token: ALICE });
      assert.equal((await put(id, ['laptop'])).status, 404);
    });

    it('leave a line in the log that says who and which names, and no key', async () => {
      const id = await createServer(api, { key_name: 'desk' });
      api.logged.length = 0;
      await put(id, ['laptop']);
      const lines = api.logged.filter((line) => line.includes('the key pairs of an instance changed')).map((line) => JSON.parse(line) as Record<string, unknown>);
      assert.deepEqual(lines.map((line) => ['user_id', 'project_id', 'instance_uuid', 'key_pair_names'].map((field) => line[field])), [['alice', 'proj', id, ['laptop']]]);
      assert.equal(api.logged.join('').includes(EC.split(' ')[1] ?? ''), false);
    });

    it('are served by these methods and no others', async () => {
      const answer = await api.ask('POST', `/v1/instances/${randomUUID()}/keypairs`, { token: ALICE, body: {} });
      assert.deepEqual([answer.status, answer.headers['allow']], [405, 'GET, HEAD, PUT']);
      assert.equal((await api.ask('GET', `/v1/instances/${randomUUID()}/keypairs`, { token: null })).status, 401);
    });
  });

  it('of a rebuild are the one it names, or none, whatever list there was', async () => {
    const id = await createServer(api, { key_names: ['desk', 'laptop'] });
    const own = agents[0];
    await own?.drain();
    agents = [await serveAgent(api, 'host-a', {
      async rebuildInstance({ instance }) {
        await api.cellDb.instances.update(instance.uuid, { vmState: 'active', taskState: null }, new Date(), 'host-a');
      },
    })];
    const rebuild = (version: string, body: object): Promise<Answer> => api.ask('POST', `/v2.1/servers/${id}/action`, { token: ALICE, version, body: { rebuild: { imageRef: 'i', ...body } } });
    assert.equal((await rebuild('2.53', { key_name: 'phone' })).status, 400);
    assert.match((await rebuild('2.54', { key_name: 'bobs key' })).text, /Invalid key_name provided\./);
    assert.equal((await rebuild('2.54', {})).status, 202);
    assert.deepEqual(namesOf(await ask('GET', id)), ['desk', 'laptop']);
    assert.equal((await rebuild('2.54', { key_name: 'phone' })).status, 202);
    assert.deepEqual(carried(await ask('GET', id)).keypairs.map(({ name, public_key }) => [name, public_key]), [['phone', RSA]]);
    assert.equal((await rebuild('2.54', { key_name: null })).status, 202);
    assert.deepEqual([namesOf(await ask('GET', id)), (await api.cellDb.instances.get(id)).keyData], [[], null]);
    // The caller's own key, not that of the instance's owner.
    const bobs = await api.ask('POST', `/v2.1/servers/${id}/action`, { token: 'bob:proj', version: '2.54', body: { rebuild: { imageRef: 'i', key_name: 'bobs key' } } });
    assert.equal(bobs.status, 202);
    assert.deepEqual(namesOf(await ask('GET', id)), ['bobs key']);
  });
});
