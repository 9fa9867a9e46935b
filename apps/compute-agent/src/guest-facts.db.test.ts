import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { NewInstance, StoredInstance } from '@gatehouse/cell-db/instances-store';
import { KeyPair } from '@gatehouse/objects/key-pair';
import { silentLogger } from '@gatehouse/runtime/logger';
import pg from 'pg';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { GuestFacts } from './guest-facts.ts';

const OLD = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC5/C1oWRCMrHmqwpgfl7jhJuhCHRhFQrvQd6FXg5+Sw old';
const NEW = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii new';
const META_DATA = 'openstack/latest/meta_data.json';

describe('what a guest is made from', function () {
  this.timeout(60_000);
  let postgresql: Postgresql;
  let cellDb: CellDb;
  let facts: GuestFacts;
  let sql: pg.Client;

  before(async () => {
    postgresql = await startPostgresql();
    const url = await postgresql.createDatabase();
    cellDb = await openCellDb({ url });
    await cellDb.migrate();
    sql = new pg.Client(url);
    await sql.connect();
    facts = new GuestFacts(cellDb, 'asked', silentLogger);
  });
  after(async () => {
    await sql?.end();
    await cellDb?.close();
    await postgresql?.stop();
  });

  function store(change: Partial<NewInstance> = {}): Promise<StoredInstance> {
    return cellDb.instances.create({
      uuid: randomUUID(), projectId: 'blue', userId: 'alice', displayName: 'web', hostname: 'web', host: 'h', vmState: 'active', taskState: null,
      keyName: null, keyData: null, userData: null, metadata: {}, createdAt: new Date(), ...change,
    });
  }
  const save = (uuid: string, ...keys: readonly string[]): Promise<void> => cellDb.transaction(({ instanceExtra }) =>
    instanceExtra.saveKeyPairs(uuid, { objects: keys.map((publicKey, index) => KeyPair.make({ name: `k${index}`, type: 'ssh', publicKey })) }, new Date()));
  const spoil = (uuid: string): Promise<unknown> =>
    sql.query('INSERT INTO instance_extra (instance_uuid, keypairs, created_at) VALUES ($1, $2, now())', [uuid, '{"nova_object.name": "KeyPairList"}']);
  /** A key pair in the table that the cell had for all of its users, before they moved. */
  const plant = (userId: string, name: string, publicKey: string): Promise<unknown> =>
    sql.query('INSERT INTO key_pairs (user_id, name, public_key, created_at) VALUES ($1, $2, $3, now())', [userId, name, publicKey]);
  const metaDataOf = (files: ReadonlyMap<string, Buffer> | null): { readonly keys?: readonly { readonly data: string }[] } =>
    JSON.parse(String(files?.get(META_DATA))) as { keys?: { data: string }[] };

  it('refuses a config drive for keys that cannot be read, and takes up a guest without one all the same', async () => {
    const [asked, unasked] = [await store({ configDrive: true }), await store({ keyName: 'mine', keyData: OLD })];
    for (const { uuid } of [asked, unasked]) await spoil(uuid);
    await assert.rejects(facts.materialOf(asked), { code: 'INTERNAL', message: /stored key pairs of instance .* cannot be read/ });
    assert.deepEqual(await facts.materialOf(unasked), { instance: unasked, configDrive: null });
    assert.deepEqual(await facts.keyed(asked), asked);
    await assert.rejects(new GuestFacts(cellDb, 'always', silentLogger).materialOf(unasked), { code: 'INTERNAL' });
  });

  it('is nothing but what came with the request where the instance is gone', async () => {
    const gone = await store({ configDrive: true });
    await cellDb.transaction(({ instances }) => instances.softDelete(gone.uuid, new Date()));
    assert.deepEqual(await facts.materialOf(gone), { instance: gone, configDrive: null });
  });

  it('has the keys that instance_extra carries at that moment: neither those of the request nor any of a user', async () => {
    const stored = await store({ keyName: 'mine', keyData: OLD, configDrive: true });
    await save(stored.uuid, OLD);
    const request = { ...stored, keypairs: { objects: [KeyPair.make({ name: 'of the request', type: 'ssh', publicKey: 'ssh-ed25519 AAAA' })] } };
    await plant('alice', 'mine', 'ssh-ed25519 AAAA changed');
    const before = await facts.materialOf(request);
    assert.deepEqual(before.instance.keypairs?.objects.map(({ publicKey }) => publicKey), [OLD]);
    assert.deepEqual(metaDataOf(before.configDrive).keys?.map(({ data }) => data), [OLD]);
    await save(stored.uuid, NEW, OLD);
    const after = await facts.materialOf(request);
    assert.deepEqual(after.instance.keypairs?.objects.map(({ publicKey }) => publicKey), [NEW, OLD]);
    assert.deepEqual(metaDataOf(after.configDrive).keys?.map(({ data }) => data), [NEW, OLD]);
    await save(stored.uuid);
    assert.deepEqual((await facts.materialOf(request)).instance.keypairs?.objects, []);
    assert.equal(metaDataOf((await facts.materialOf(request)).configDrive).keys, undefined);
  });

  it('has the key of its row where the instance was never migrated', async () => {
    const stored = await store({ userId: 'bob', keyName: 'mine', keyData: OLD, configDrive: true });
    await plant('bob', 'mine', NEW);
    const { instance, configDrive } = await facts.materialOf({ ...stored, keyName: 'other', keyData: NEW });
    assert.deepEqual([instance.keyName, instance.keyData, instance.keypairs], ['mine', OLD, undefined]);
    assert.deepEqual(metaDataOf(configDrive).keys, [{ name: 'mine', type: 'ssh', data: OLD }]);
  });

  it('has a config drive where that was asked for, and everywhere where the host is set so', async () => {
    const userData = Buffer.from([0, 1, 2, 255]);
    const [plain, asked] = [await store({ userData: userData.toString('base64') }), await store({ userData: userData.toString('base64'), configDrive: true })];
    assert.equal((await facts.materialOf(plain)).configDrive, null);
    const always = await new GuestFacts(cellDb, 'always', silentLogger).materialOf(plain);
    for (const drive of [always.configDrive, (await facts.materialOf(asked)).configDrive]) {
      assert.deepEqual([drive?.get('openstack/latest/user_data'), drive?.get('ec2/latest/user-data')], [userData, userData]);
      assert.ok(drive?.has('openstack/2012-08-10/meta_data.json'));
      assert.deepEqual([...drive?.keys() ?? []].filter((name) => name.includes('password')), []);
    }
  });
});
