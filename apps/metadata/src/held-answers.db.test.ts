import assert from 'node:assert/strict';
import { TestClock } from '@gatehouse/runtime/test-clock';
import type { TestCell, TestMetadata } from './test-metadata.ts';
import { PROJECT, proof, startTestCell } from './test-metadata.ts';
import { TOKEN_HEADER } from './session-token-door.ts';

const PATH = '/openstack/latest/meta_data.json';
const PATHS = [PATH, '/openstack/latest/network_data.json', '/latest/meta-data/instance-id'];

describe('documents that are held', function () {
  this.timeout(60_000);
  let cell: TestCell;
  let metadata: TestMetadata;

  before(async () => {
    cell = await startTestCell();
    metadata = await cell.start({ metadataTrustedNetworks: ['127.0.0.0/8'] });
  });

  after(() => cell.stop());

  const shortly = (): Promise<number> => metadata.answered('ready');

  it('are the same by the short way as by the long one: status, headers and body', async () => {
    for (const path of PATHS) {
      const headers = proof(await cell.addInstance());
      const before = await shortly();
      const [first, second] = [await metadata.ask(path, { headers }), await metadata.ask(path, { headers })];
      assert.deepEqual({ status: second.status, headers: alike(second.headers) }, { status: 200, headers: alike(first.headers) });
      assert.equal((await shortly()) - before, 1, path);
      if (path !== PATH) assert.equal(second.body, first.body);
      else assert.deepEqual({ ...JSON.parse(second.body), random_seed: '' }, { ...JSON.parse(first.body), random_seed: '' });
      const known = { ...headers, 'If-None-Match': String(first.headers['etag']) };
      const [short, long] = [await metadata.ask(path, { headers: known }), await metadata.ask(`${path}?`, { headers: known })];
      assert.equal((await shortly()) - before, 2, path);
      assert.deepEqual({ status: short.status, headers: alike(short.headers), body: short.body }, { status: 304, headers: alike(long.headers), body: '' });
    }
  });

  it('have a seed of their own each time', async () => {
    const headers = proof(await cell.addInstance());
    const seeds = new Set<string>();
    for (let each = 0; each < 100; each += 1) seeds.add((JSON.parse((await metadata.ask(PATH, { headers })).body) as { random_seed: string }).random_seed);
    assert.equal(seeds.size, 100);
  });

  it('open to nobody who would not get them by the long way', async () => {
    const [uuid, other] = [await cell.addInstance(), await cell.addInstance()];
    const mine = proof(uuid);
    await metadata.ask(PATH, { headers: mine });
    assert.equal((await metadata.ask(PATH, { headers: mine })).status, 200);
    const before = await shortly();
    const of = async (headers: Readonly<Record<string, string | string[]>>, method = 'GET'): Promise<number> => (await metadata.ask(PATH, { headers, method })).status;
    assert.equal(await of({ ...mine, 'X-Instance-ID-Signature': String(proof(other)['X-Instance-ID-Signature']) }), 403);
    assert.equal(await of({ ...mine, 'X-Tenant-ID': 'another' }), 404);
    assert.equal(await of({ ...mine, 'X-Tenant-ID': [PROJECT, PROJECT] }), 400);
    assert.equal(await of({ ...mine, 'X-Instance-ID': [uuid, uuid] }), 400);
    assert.equal(await of({ ...mine, [TOKEN_HEADER]: 'no-token' }), 401);
    assert.equal(await of(mine, 'POST'), 405);
    assert.equal(await of(mine, 'HEAD'), 200);
    assert.equal(await shortly(), before);
    const required = proof(await cell.addInstance({ metadataTokens: 'required' }));
    assert.deepEqual([await of(required), await of(required)], [401, 401]);
  });

  it('count for the limit of their instance, each once', async () => {
    const slow = await cell.start({ metadataRate: 1, metadataBurst: 3 }, new TestClock(new Date()));
    const headers = proof(await cell.addInstance());
    const statuses: number[] = [];
    for (let each = 0; each < 4; each += 1) statuses.push((await slow.ask(PATH, { headers })).status);
    assert.deepEqual(statuses, [200, 200, 200, 429]);
  });
});

/** Without what differs between any two answers. */
function alike(headers: Readonly<Record<string, unknown>>): Record<string, unknown> {
  assert.match(String(headers['x-openstack-request-id']), /^req-[0-9a-f-]{36}$/);
  return { ...headers, date: '', 'x-openstack-request-id': '' };
}
