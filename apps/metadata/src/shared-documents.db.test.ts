/** What is held of an instance serves many requests: never another asker's, another project's or another day's, in however many ways its path is written. */
import assert from 'node:assert/strict';
import { metadata } from '@gatehouse/contracts/metadata';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { runFor } from '../../../test/servers/running-time.ts';
import { proof, startTestCell } from './test-metadata.ts';
import type { Headers, TestCell } from './test-metadata.ts';

const META_DATA = '/openstack/latest/meta_data.json';
const DAY_MS = 86_400_000;

describe('documents that are held', function () {
  this.timeout(60_000);
  let cell: TestCell;
  before(async () => (cell = await startTestCell()));
  after(() => cell.stop());

  it('say to each asker its own address, where nothing else says one', async () => {
    const [service, uuid] = [await cell.start(), await cell.addInstance()];
    for (const address of ['10.0.0.5', '10.0.0.6', '10.0.0.5']) {
      const headers = proof(uuid, { 'X-Forwarded-For': address });
      assert.equal((await service.ask('/latest/meta-data/local-ipv4', { headers })).body, address);
      assert.equal((await service.ask('/ec2/2009-04-04/meta-data/local-ipv4/', { headers })).body, address);
    }
    assert.equal((await service.ask('/latest/meta-data/local-ipv4', { headers: proof(uuid) })).body, '');
  });

  it('list the versions of the day on which they are asked for', async () => {
    // A machine whose clock was wrong at its start, until it was set.
    const clock = new TestClock(new Date('2016-07-01T00:00:00Z'));
    const [service, uuid] = [await cell.start({ metadataCacheTtl: 3_600 }, clock), await cell.addInstance()];
    const newest = async (): Promise<string | undefined> => (await service.ask('/openstack', { headers: proof(uuid) })).body.split('\n').at(-2);
    assert.equal(await newest(), '2016-06-30');
    await clock.advance(97 * DAY_MS);
    assert.equal(await newest(), '2016-10-06');
  });

  it('are of its project alone, with a tag, a wait or a session token of it too', async () => {
    const [service, uuid] = [await cell.start(), await cell.addInstance()];
    const { headers: { etag = '' } } = await service.ask(META_DATA, { headers: proof(uuid) });
    const { body: token } = await service.ask('/latest/api/token', { method: 'PUT', headers: proof(uuid, { 'X-aws-ec2-metadata-token-ttl-seconds': '60' }) });
    const shown: readonly Headers[] = [{}, { 'If-None-Match': String(etag) }, { 'X-aws-ec2-metadata-token': token }];
    for (const more of shown) {
      for (const path of [META_DATA, `${META_DATA}?wait_for_change=true&timeout_sec=5&last_etag=0`, '/openstack/latest/password', '/latest/api/token']) {
        for (const method of ['GET', 'HEAD', 'PUT', 'POST']) {
          const { status } = await service.ask(path, { method, headers: proof(uuid, { 'X-Tenant-ID': 'p-other', ...more }) });
          assert.equal(status, 404, `${method} ${path}`);
        }
      }
    }
  });

  it('take their room once, however a path is written and whatever is asked behind it', async () => {
    const [service, uuid] = [await cell.start({ metadataRate: 0 }), await cell.addInstance()];
    await service.ask(META_DATA, { headers: proof(uuid) });
    const before = await service.gauge('metadata_cache_bytes');
    const ways = Array.from({ length: 20 }, (_, index) => ['/'.repeat(index + 1), '/%6fpenstack/./', `/x${index}/../`].map((start) => `${start}openstack/latest/meta_data.json?x=${index}`)).flat();
    ways.push('/%6fpenstack/latest/meta_data.json', `${META_DATA}/`, 'http://169.254.169.254/openstack/latest/meta_data.json', `/${'a/../'.repeat(2_000)}openstack/latest/meta_data.json`);
    for (const path of ways) assert.match(String((await service.ask(path, { headers: proof(uuid) })).status), /^(200|404)$/, path);
    assert.equal(await service.gauge('metadata_cache_bytes'), before);
  });

  it('are one instance\'s, in capitals too: how often it asks is counted together, and news reach it', async () => {
    const [service, uuid] = [await cell.start({ metadataRate: 1, metadataBurst: 3 }, new TestClock(new Date())), await cell.addInstance()];
    const statuses: number[] = [];
    for (const name of [uuid, uuid.toUpperCase(), uuid, uuid.toUpperCase()]) statuses.push((await service.ask('/latest/meta-data/hostname', { headers: proof(name) })).status);
    assert.deepEqual(statuses, [200, 200, 200, 429]);
    const other = await cell.start();
    assert.equal((await other.ask('/latest/meta-data/hostname', { headers: proof(uuid.toUpperCase()) })).body, 'a.novalocal');
    await cell.cellDb.instances.update(uuid, { hostname: 'b' }, new Date());
    await createClient(metadata, other.transport).instanceChanged({ instanceUuid: uuid }, newContext());
    assert.equal((await other.ask('/latest/meta-data/hostname', { headers: proof(uuid.toUpperCase()) })).body, 'b.novalocal');
  });

  it('are waited for by nobody who left before it was known who asked', async () => {
    const [service, uuid] = [await cell.start(), await cell.addInstance()];
    const head = Object.entries(proof(uuid)).map(([name, value]) => `${name}: ${String(value)}\r\n`).join('');
    for (let tries = 0; tries < 20; tries += 1) {
      await service.leave(`GET /latest/meta-data/hostname?wait_for_change=true HTTP/1.1\r\nHost: a\r\n${head}\r\n`);
    }
    await runFor(500);
    // Long before the waits would be over by themselves.
    for (let tries = 0; (await service.gauge('metadata_waiting')) !== 0; tries += 1) {
      assert.ok(tries < 100, `${await service.gauge('metadata_waiting')} wait for nobody`);
      await runFor(50);
    }
  });
});
