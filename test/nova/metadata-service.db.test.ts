/** nova/tests/unit/test_metadata.py and functional/test_metadata.py, what they say of requests, who asks, what is kept and passwords: over HTTP. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { openCellDb } from '../../libs/cell-db/src/cell-db.ts';
import type { CellDb } from '../../libs/cell-db/src/cell-db.ts';
import { createMemoryTransport } from '../../libs/rpc/src/memory-transport.ts';
import type { App } from '../../libs/runtime/src/app.ts';
import { systemClock } from '../../libs/runtime/src/clock.ts';
import { silentLogger } from '../../libs/runtime/src/logger.ts';
import { createMetrics } from '../../libs/runtime/src/metrics.ts';
import { EC2_LISTING } from '../../libs/instance-metadata/src/ec2-tree.ts';
import { startMetadata } from '../../apps/metadata/src/app.module.ts';
import { metadataConfig } from '../../apps/metadata/src/config.ts';
import { sign } from '../../apps/metadata/src/signature.ts';
import { startPostgresql } from '../servers/postgresql.ts';
import type { Postgresql } from '../servers/postgresql.ts';

const SECRET = 'shared with the proxy';
const PROJECT = 'test';
const USER_DATA = 'This is an encoded string';
const GUEST = '192.192.192.2';

interface Heard {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

describe("Nova's tests of the metadata service", function () {
  this.timeout(60_000);
  let postgresql: Postgresql;
  let cellDb: CellDb;
  let signed: App;
  let byAddress: App;
  let uuid: string;
  let finds = 0;

  before(async () => {
    postgresql = await startPostgresql();
    cellDb = await openCellDb({ url: await postgresql.createDatabase() });
    await cellDb.migrate();
    const counted = Object.assign(Object.create(cellDb) as CellDb, {
      instanceFacts: {
        find: (id: string) => {
          finds += 1;
          return cellDb.instanceFacts.find(id);
        },
        findRevision: (id: string) => cellDb.instanceFacts.findRevision(id),
        findByAddress: (address: string) => cellDb.instanceFacts.findByAddress(address),
      },
      check: () => cellDb.check(),
    });
    const start = (settings: Readonly<Record<string, string>>, metadataSecrets: readonly string[]): Promise<App> => startMetadata({
      config: { ...metadataConfig.parse({ metadataPort: '0', metadataTokens: 'off', metadataName: randomUUID(), ...settings }), metadataSecrets },
      transport: createMemoryTransport(), cellDb: counted, log: silentLogger, metrics: createMetrics('test'), clock: systemClock,
    });
    signed = await start({}, [SECRET]);
    byAddress = await start({ metadataTrustedNetworks: '192.192.192.0/24', metadataTrustedProxies: '127.0.0.1' }, []);
  });
  beforeEach(async () => {
    uuid = randomUUID();
    await cellDb.instances.create({
      uuid, projectId: PROJECT, userId: 'fake_user', displayName: 'test', hostname: 'test', host: 'h', vmState: 'active', taskState: null, keyName: null, keyData: null,
      userData: Buffer.from(USER_DATA).toString('base64'), metadata: {}, createdAt: new Date(),
    });
    finds = 0;
  });
  after(async () => {
    await byAddress?.drain();
    await signed?.drain();
    await cellDb?.close();
    await postgresql?.stop();
  });

  const proof = (id = uuid): Readonly<Record<string, string>> => ({ 'X-Instance-ID': id, 'X-Instance-ID-Signature': sign(SECRET, id), 'X-Tenant-ID': PROJECT });
  async function ask(path: string, headers: Readonly<Record<string, string>> = proof(), { app = signed, method = 'GET', body }: { app?: App; method?: string; body?: string } = {}): Promise<Heard> {
    const response = await fetch(new URL(path, app.addresses[0]?.url), { method, headers, ...(body === undefined ? {} : { body }) });
    return { status: response.status, type: response.headers.get('content-type') ?? '', body: await response.text() };
  }
  const without = (name: string): Readonly<Record<string, string>> => Object.fromEntries(Object.entries(proof()).filter(([key]) => key !== name));

  for (const name of ['test_root', 'test_root_metadata_proxy_enabled', 'test_lookup_metadata_root_url']) {
    it(`${name}: the versions, to anybody`, async () => {
      for (const path of ['/', '/foo/../']) assert.equal((await ask(path, {})).body, EC2_LISTING.join('\n'));
    });
  }
  it('test_version_root: what is in a version; another is not found', async () => {
    const { type, body } = await ask('/2009-04-04');
    assert.deepEqual([type.startsWith('text/plain'), body], [true, 'meta-data/\nuser-data']);
    assert.equal((await ask('/9999-99-99')).status, 404);
  });
  it('test_json_data: JSON is said to be JSON', async () => {
    for (const name of ['meta_data.json', 'vendor_data.json', 'vendor_data2.json']) assert.match((await ask(`/openstack/latest/${name}`)).type, /^application\/json/);
  });
  it('test_lookup_metadata_openstack_url: whoever stands in X-Forwarded-For', async () => {
    assert.equal((await ask('/openstack', { ...proof(), 'X-Forwarded-For': '127.0.0.2' })).status, 200);
  });
  it('test_lookup_metadata_data_url: the host name with its domain', async () => {
    const { hostname } = JSON.parse((await ask('/openstack/latest/meta_data.json')).body) as { hostname: string };
    assert.equal(hostname, 'test.novalocal');
  });
  it('test_invalid_path_is_404: and nothing else', async () => assert.equal((await ask('/2009-04-04/user-data-invalid')).status, 404));

  it('test_user_data_non_existing_fixed_address: not found', async () => {
    assert.equal((await ask('/2009-04-04/user-data', { 'X-Forwarded-For': '192.192.192.77' }, { app: byAddress })).status, 404);
  });
  it('test_fixed_address_none: 400 where the proxy says no address, and 403 for one of another network', async () => {
    assert.equal((await ask('/2009-04-04/user-data', {}, { app: byAddress })).status, 400);
    assert.equal((await ask('/2009-04-04/user-data', { 'X-Forwarded-For': '168.168.168.1' }, { app: byAddress })).status, 403);
  });
  it('test_user_data_with_use_forwarded_header: by the address that a trusted proxy says', async () => {
    await cellDb.transaction(({ instanceNetworks }) => instanceNetworks.save(uuid, { data: null, fixed: [GUEST], floating: [] }, new Date()));
    const { status, type, body } = await ask('/2009-04-04/user-data', { 'X-Forwarded-For': GUEST }, { app: byAddress });
    assert.deepEqual([status, type.startsWith('text/plain'), body], [200, true, USER_DATA]);
  });
  it('test_user_data_with_neutron_instance_id: with a right signature; 403, 400 and 404 without what belongs to it', async () => {
    const path = '/2009-04-04/user-data';
    assert.deepEqual(await ask(path), { status: 200, type: 'text/plain; charset=UTF-8', body: USER_DATA });
    assert.equal((await ask(path, { ...proof(), 'X-Instance-ID-Signature': '' })).status, 403);
    assert.equal((await ask(path, without('X-Tenant-ID'))).status, 400);
    assert.equal((await ask(path, { ...proof(), 'X-Tenant-ID': 'FAKE' })).status, 404);
    // Nova's double fails where nothing is found, and so does its service.
    assert.equal((await ask(path, proof(randomUUID()))).status, 404);
    assert.equal((await ask(path, without('X-Forwarded-For'))).status, 200);
  });
  it('test_get_metadata: every path that a listing names can be read', async () => {
    const seen: string[] = [];
    const visit = async (path: string): Promise<void> => {
      const { status, body } = await ask(path);
      assert.equal(status, 200, path);
      seen.push(path);
      if (!path.endsWith('/')) return;
      for (const line of body.split('\n')) await visit(`${path}${line.replace(/^(\d+)=.*$/, '$1/')}`);
    };
    await visit('/2009-04-04/');
    assert.ok(seen.length > 15 && seen.includes('/2009-04-04/meta-data/placement/availability-zone'));
  });

  for (const name of ['test_metadata_handler_with_instance_id', 'test_get_metadata_by_instance_id']) {
    it(`${name}: two requests look once, and read the cell's database alone`, async () => {
      for (const path of ['/2009-04-04/user-data', '/openstack/latest/meta_data.json']) assert.equal((await ask(path)).status, 200);
      assert.equal(finds, 1);
    });
  }
  for (const name of ['test_metadata_handler_with_remote_address', 'test_get_metadata_by_address']) {
    it(`${name}: two requests look once`, async () => {
      const address = `192.192.192.${finds + 100 + name.length}`;
      await cellDb.transaction(({ instanceNetworks }) => instanceNetworks.save(uuid, { data: null, fixed: [address], floating: [] }, new Date()));
      for (let count = 0; count < 2; count += 1) assert.equal((await ask('/2009-04-04/user-data', { 'X-Forwarded-For': address }, { app: byAddress })).status, 200);
      assert.equal(finds, 1);
    });
  }

  const PASSWORD = '/openstack/latest/password';
  const post = (body: string, id = uuid): Promise<Heard> => ask(PASSWORD, proof(id), { method: 'POST', body });
  for (const name of ['test_get_password', 'test_set_password', 'test_set_password_local_meta']) {
    it(`${name}: what was posted is read back`, async () => {
      assert.deepEqual([(await ask(PASSWORD)).body, (await post('bar')).status, (await ask(PASSWORD)).body], ['', 200, 'bar']);
    });
  }
  it('test_set_password_instance_not_found: 404', async () => assert.equal((await post('foo', randomUUID())).status, 404));
  it('test_bad_method: 405', async () => assert.equal((await ask(PASSWORD, proof(), { method: 'PUT', body: 'x' })).status, 405));
  it('test_conflict: 409, at once', async () => {
    await post('foo');
    assert.deepEqual([(await post('bar')).status, (await ask(PASSWORD)).body], [409, 'foo']);
  });
  it('test_too_large: 400 beyond 1020 bytes', async () => {
    assert.deepEqual([(await post('a'.repeat(1_021))).status, (await post('a'.repeat(1_020))).status], [400, 200]);
  });
});
