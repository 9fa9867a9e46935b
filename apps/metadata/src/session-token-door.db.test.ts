import assert from 'node:assert/strict';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { sign } from './signature.ts';
import { NEXT_SECRET, SECRET, proof, startTestCell } from './test-metadata.ts';
import type { Headers, Heard, TestCell, TestMetadata } from './test-metadata.ts';

const TTL = 'X-aws-ec2-metadata-token-ttl-seconds';
const READS = ['/latest/meta-data/instance-id', '/openstack/latest/meta_data.json', '/openstack', '/openstack/latest/password'];

describe('session tokens of metadata', function () {
  this.timeout(60_000);
  let cell: TestCell;
  const clock = new TestClock(new Date());
  let service: TestMetadata;
  /** Of its own rule: none, off, optional, required. */
  let plain: string;
  let off: string;
  let optional: string;
  let required: string;
  before(async () => {
    cell = await startTestCell();
    plain = await cell.addInstance();
    off = await cell.addInstance({ metadataTokens: 'off' });
    optional = await cell.addInstance({ metadataTokens: 'optional' });
    required = await cell.addInstance({ metadataTokens: 'required', fixed: ['127.0.0.1', '10.0.0.5'] });
    service = await cell.start({ metadataRate: 0 }, clock);
  });
  after(() => cell.stop());

  const put = (uuid: string, more: Headers = {}, by = service): Promise<Heard> => by.ask('/latest/api/token', { method: 'PUT', headers: proof(uuid, { [TTL]: '60', ...more }) });
  const read = async (uuid: string, token?: string | string[], by = service): Promise<readonly number[]> => {
    const headers = proof(uuid, token === undefined ? {} : { 'X-aws-ec2-metadata-token': token });
    return Promise.all(READS.map(async (path) => (await by.ask(path, { headers })).status));
  };
  const all = (status: number): readonly number[] => READS.map(() => status);

  describe('where the instance must have one', () => {
    it('refuse who shows none, a wrong one, two, or another instance\'s, with 401, a password too', async () => {
      const { body: foreign } = await put(optional);
      for (const token of [undefined, '', 'x', 'A'.repeat(52), foreign, [foreign, foreign], 'ü'.repeat(30), 'A'.repeat(10_000)]) {
        assert.deepEqual(await read(required, token), all(401), String(token).slice(0, 60));
      }
      const posted = await service.ask('/openstack/latest/password', { method: 'POST', headers: proof(required), body: 'x' });
      assert.equal(posted.status, 401);
      assert.match(posted.body, /X-aws-ec2-metadata-token header is missing/);
    });

    it('let who shows a good one read both trees, and say for how long it is still good', async () => {
      const { status, headers, body: token } = await put(required);
      assert.deepEqual([status, headers[TTL.toLowerCase()], headers['content-type']], [200, '60', 'text/plain; charset=UTF-8']);
      assert.deepEqual(await read(required, token), all(200));
      await clock.advance(59_000);
      const late = await service.ask('/latest/meta-data/instance-id', { headers: proof(required, { 'X-aws-ec2-metadata-token': token }) });
      assert.deepEqual([late.status, late.headers[TTL.toLowerCase()]], [200, '1']);
      await clock.advance(1_000);
      assert.deepEqual(await read(required, token), all(401));
    });

    it('are good at every service of the same secrets, also while those are changed', async () => {
      const next = await cell.start({ metadataSecrets: [NEXT_SECRET, SECRET] }, clock);
      assert.deepEqual(await read(required, (await put(required)).body, next), all(200));
      assert.deepEqual(await read(required, (await put(required, {}, next)).body), all(200));
    });

    it('do not stand between anybody and what is nobody\'s', async () => {
      assert.equal((await service.ask('/', { headers: proof(required) })).status, 200);
    });
  });

  it('are asked of nobody where they are optional, as cloud-init\'s sources read; one that is shown must be good', async () => {
    for (const uuid of [plain, optional]) {
      assert.deepEqual(await read(uuid), all(200));
      assert.deepEqual(await read(uuid, (await put(uuid)).body), all(200));
      assert.deepEqual(await read(uuid, 'x'), all(401));
    }
  });

  it('are not there where they are off: as with Nova the path is not found, and whatever is shown is passed over', async () => {
    for (const [uuid, by] of [[off, service], [plain, await cell.start({ metadataTokens: 'off' }, clock)]] as const) {
      assert.equal((await put(uuid, {}, by)).status, 404);
      assert.equal((await by.ask('/latest/api/token', { headers: proof(uuid) })).status, 404);
      assert.deepEqual(await read(uuid, 'x', by), all(200));
    }
  });

  it('are required of all where the service is set so, but of instances with a rule of their own', async () => {
    const strict = await cell.start({ metadataTokens: 'required' }, clock);
    assert.deepEqual(await read(plain, undefined, strict), all(401));
    assert.deepEqual(await read(optional, undefined, strict), all(200));
  });

  it('are given for 1 to 21600 seconds, which must be said once', async () => {
    for (const ttl of ['0', '21601', '-1', '1.5', '', ' ', 'x', '1e3', '0x10', '9'.repeat(400), ['60', '60']]) {
      assert.equal((await put(optional, { [TTL]: ttl })).status, 400, String(ttl));
    }
    assert.equal((await service.ask('/latest/api/token', { method: 'PUT', headers: proof(optional) })).status, 400);
    for (const ttl of ['1', '21600']) assert.deepEqual([(await put(optional, { [TTL]: ttl })).status, (await put(optional, { [TTL]: ttl })).headers[TTL.toLowerCase()]], [200, ttl]);
  });

  it('are asked for by PUT alone', async () => {
    for (const method of ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS', 'PATCH']) {
      const answer = await service.ask('/latest/api/token', { method, headers: proof(optional, { [TTL]: '60' }) });
      assert.deepEqual([answer.status, answer.headers['allow']], [405, 'PUT'], method);
    }
  });

  it('are not given to requests that were passed on: one address is what the guest\'s proxy says, two are not', async () => {
    const status = async (addresses: string | string[], by = service): Promise<number> => (await put(required, { 'X-Forwarded-For': addresses }, by)).status;
    assert.equal(await status('10.0.0.5'), 200);
    assert.equal(await status('192.0.2.1, 10.0.0.5'), 403);
    assert.equal(await status(['192.0.2.1', '10.0.0.5']), 403);
    assert.equal(await status('nonsense, 10.0.0.5'), 403);
    const behind = await cell.start({ metadataTrustedProxies: ['10.9.0.0/16'] }, clock);
    assert.equal(await status('10.0.0.5, 10.9.0.1', behind), 200);
    assert.equal(await status('192.0.2.1, 10.0.0.5, 10.9.0.1', behind), 403);
  });

  it('are given to guests that come by their address, unless a header says that they are not the first', async () => {
    const direct = await cell.start({ metadataSecrets: [], metadataTrustedNetworks: ['127.0.0.1'] }, clock);
    const ask = (by: TestMetadata, more: Headers): Promise<Heard> => by.ask('/latest/api/token', { method: 'PUT', headers: { [TTL]: '60', ...more } });
    const { status, body: token } = await ask(direct, {});
    assert.equal(status, 200);
    assert.equal((await direct.ask('/latest/meta-data/instance-id', { headers: { 'X-aws-ec2-metadata-token': token } })).status, 200);
    assert.equal((await direct.ask('/latest/meta-data/instance-id')).status, 401);
    assert.equal((await ask(direct, { 'X-Forwarded-For': '10.0.0.5' })).status, 403);
    const behind = await cell.start({ metadataTrustedNetworks: ['10.0.0.0/24'], metadataTrustedProxies: ['127.0.0.1'] }, clock);
    assert.equal((await ask(behind, { 'X-Forwarded-For': '10.0.0.5' })).status, 200);
    assert.equal((await ask(behind, { 'X-Forwarded-For': '192.0.2.1, 10.0.0.5' })).status, 403);
    assert.match(direct.logged(), /good only at the process that issued it/);
  });

  it('stand in no log', async () => {
    const { body: token } = await put(required);
    await read(required, token);
    assert.match(service.logged(), /api\/token/);
    for (const said of [token, SECRET, sign(SECRET, required)]) assert.ok(!service.logged().includes(said));
  });
});
