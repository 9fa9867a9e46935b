import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { RpcServer } from '@gatehouse/rpc/server';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { serveAgent, serveRevocation, startTestApi } from './test-api.ts';
import type { Answer, Ask, TestApi } from './test-api.ts';
import { createServer, serveMetadata } from './test-instances.ts';
import { openapiCheck } from './test-openapi.ts';
import type { CheckAnswer } from './test-openapi.ts';

const ADMIN = 'admin:ops';
const ALICE = 'alice:proj';
const DATA = {
  links: [{ id: 'tap1', type: 'ovs', mtu: 1450, ethernet_mac_address: 'fa:16:3e:00:00:01' }],
  networks: [{ id: 'network0', type: 'ipv4', link: 'tap1', ip_address: '10.0.0.5', netmask: '255.255.255.0', network_id: 'n' }],
  services: [{ type: 'dns', address: '10.0.0.2' }],
};

describe('what an operator and an owner say of an instance', function () {
  this.timeout(60_000);
  let api: TestApi;
  let check: CheckAnswer;
  let servers: RpcServer[] = [];
  const told: string[] = [];

  before(async () => {
    api = await startTestApi(await startPostgresql());
    check = await openapiCheck(api);
    servers = [await serveAgent(api, 'host-a'), await serveRevocation(api, []), await serveMetadata(api, told)];
  });
  after(async () => {
    await Promise.all(servers.map((server) => server.drain()));
    await api?.stop();
  });

  const asker = (what: string, token: string) => async (method: string, id: string, how: Ask = {}): Promise<Answer> => {
    const answer = await api.ask(method, `/v1/instances/${id}/${what}`, { token, ...how });
    check(method, `/v1/instances/{id}/${what}`, answer);
    return answer;
  };
  const detailOf = ({ status, json }: Answer): readonly [number, string] => [status, (json as { detail: string }).detail];

  describe('its network', () => {
    const ask = asker('network', ADMIN);

    it("is the administrator's alone, and another project's instance is not there at all", async () => {
      const id = await createServer(api);
      for (const method of ['GET', 'PUT']) {
        const how = { token: ALICE, ...(method === 'PUT' ? { body: { network_data: null } } : {}) };
        assert.deepEqual(detailOf(await ask(method, id, how)), [403, "an instance's network is the administrator's to read and to write"]);
        assert.equal((await ask(method, id, { ...how, token: 'carol:other' })).status, 404);
        assert.equal((await ask(method, randomUUID(), { ...how, token: ADMIN })).status, 404);
      }
    });

    it('is refused beyond 64 KiB, and where it is no network', async () => {
      const id = await createServer(api);
      const fat = { network_data: { ...DATA, links: Array.from({ length: 300 }, () => ({ id: 'x'.repeat(250) })) } };
      assert.match(detailOf(await ask('PUT', id, { body: fat }))[1], /^the body: has \d+ bytes as JSON; an instance's network has at most 65536$/);
      assert.deepEqual(detailOf(await ask('PUT', id, { body: { network_data: DATA, floating_addresses: ['10.0.0.5'] } })), [400, 'floating_addresses: 10.0.0.5 is a fixed address too']);
      assert.equal((await ask('PUT', id, { body: 'x'.repeat(114_689) })).status, 413);
      assert.deepEqual((await ask('GET', id)).json, { network_data: null, fixed_addresses: [], floating_addresses: [] });
    });

    it('is what the guest reads and where it is found; the same again changes nothing; null forgets it', async () => {
      const id = await createServer(api);
      const body = { network_data: DATA, fixed_addresses: ['10.0.0.6'], floating_addresses: ['203.0.113.7'] };
      const stored = { ...body, fixed_addresses: ['10.0.0.5', '10.0.0.6'] };
      const before = told.length;
      const answer = await ask('PUT', id, { body });
      assert.deepEqual([answer.status, answer.json], [200, stored]);
      assert.deepEqual(told.slice(before), [id]);
      const facts = await api.cellDb.instanceFacts.find(id);
      assert.deepEqual([facts?.network, facts?.floatingAddresses], [DATA, ['203.0.113.7']]);
      assert.deepEqual([await api.cellDb.instanceFacts.findByAddress('10.0.0.5'), await api.cellDb.instanceFacts.findByAddress('10.0.0.6')], [id, id]);
      const tag = answer.headers['etag'] ?? '';
      // What was read may be written as it is.
      const again = await ask('PUT', id, { body: stored, headers: { 'if-match': tag } });
      assert.deepEqual([again.status, again.headers['etag']], [200, tag]);
      assert.equal((await ask('PUT', id, { body: { network_data: null } })).headers['etag'] === tag, false);
      assert.deepEqual((await ask('GET', id)).json, { network_data: null, fixed_addresses: [], floating_addresses: [] });
      assert.equal((await ask('PUT', id, { body, headers: { 'if-match': tag } })).status, 412);
      assert.equal(await api.cellDb.instanceFacts.findByAddress('10.0.0.5'), null);
    });

    it('by several at once is that of one of them, with its addresses', async () => {
      const id = await createServer(api);
      const bodies = Array.from({ length: 8 }, (_, index) => ({ network_data: null, fixed_addresses: [`10.9.0.${index}`, `10.9.1.${index}`], floating_addresses: [] }));
      const answers = await Promise.all(bodies.map((body) => ask('PUT', id, { body })));
      assert.ok(answers.every(({ status }) => status === 200));
      const last = (await ask('GET', id)).json;
      assert.equal(bodies.filter((body) => JSON.stringify(body) === JSON.stringify(last)).length, 1);
    });
  });

  describe('its metadata options', () => {
    const ask = asker('metadata-options', ALICE);

    it('are refused for what they are not', async () => {
      const id = await createServer(api);
      const words = 'tokens: must be one of off, optional, required, or null for what the metadata service is set to';
      for (const tokens of ['sometimes', 7, '', ['off']]) assert.deepEqual(detailOf(await ask('PUT', id, { body: { tokens } })), [400, words]);
      assert.equal((await ask('PUT', id, { body: {} })).status, 400);
      assert.equal((await ask('PUT', id, { body: { tokens: 'off', hops: 1 } })).status, 400);
      assert.equal((await ask('PUT', id, { token: 'carol:other', body: { tokens: 'off' } })).status, 404);
    });

    it("are its owner's and the administrator's to set, and told at once", async () => {
      const id = await createServer(api);
      assert.deepEqual((await ask('GET', id)).json, { tokens: null });
      const before = told.length;
      for (const [token, tokens] of [[ALICE, 'required'], [ADMIN, 'optional'], [ALICE, 'off'], [ALICE, null]] as const) {
        const { generation } = await api.cellDb.instances.get(id);
        const answer = await ask('PUT', id, { token, body: { tokens }, headers: { 'if-match': `"${generation}"` } });
        assert.deepEqual([answer.status, answer.json, answer.headers['etag']], [200, { tokens }, `"${generation + 1}"`]);
        assert.equal((await api.cellDb.instanceFacts.find(id))?.metadataTokens, tokens);
      }
      assert.deepEqual(told.slice(before), [id, id, id, id]);
      const rules = api.logged.flatMap((line) => {
        const { msg, instance_uuid: instanceUuid, rule } = JSON.parse(line) as Readonly<Record<string, unknown>>;
        return msg === 'the metadata options of an instance changed' && instanceUuid === id ? [rule] : [];
      });
      assert.deepEqual(rules, ['required', 'optional', 'off', 'as the service is set']);
    });
  });
});
