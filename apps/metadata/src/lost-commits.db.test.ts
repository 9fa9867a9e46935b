/** A database that a replica without the last commits takes over: what was lost of an instance is believed no more. */
import assert from 'node:assert/strict';
import pg from 'pg';
import type { TestCell, TestMetadata } from './test-metadata.ts';
import { proof, startTestCell } from './test-metadata.ts';

const PATH = '/openstack/latest/meta_data.json';
const LOST_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC5/C1oWRCMrHmqwpgfl7jhJuhCHRhFQrvQd6FXg5+Sw lost';
const NEXT_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBXxS/2d5jYxDkkzg+FxVDXtVxBKC4JHbjnHmWDMKpOK next';

describe('commits that a database has lost', () => {
  let cell: TestCell;
  let metadata: TestMetadata;
  let sql: pg.Client;

  before(async () => {
    cell = await startTestCell();
    // A look each time.
    metadata = await cell.start({ metadataCacheTtl: 0 });
    sql = new pg.Client({ connectionString: cell.databaseUrl });
    await sql.connect();
  });

  after(async () => {
    await sql?.end();
    await cell?.stop();
  });

  /** What is stored of it now; the way back to that, as a replica that never heard of what came later. */
  const remember = async (uuid: string): Promise<() => Promise<void>> => {
    const { rows: [row] } = await sql.query<{ generation: number; updated: string | null; keypairs: string; created: string; changed: string | null }>(
      `SELECT i.generation, i.updated_at::text AS updated, e.keypairs, e.created_at::text AS created, e.updated_at::text AS changed
       FROM instances i JOIN instance_extra e ON e.instance_uuid = i.uuid WHERE i.uuid = $1`, [uuid]);
    assert.ok(row !== undefined);
    return async () => {
      await sql.query('UPDATE instances SET generation = $2, updated_at = $3::timestamp WHERE uuid = $1', [uuid, row.generation, row.updated]);
      await sql.query('UPDATE instance_extra SET keypairs = $2, created_at = $3::timestamp, updated_at = $4::timestamp WHERE instance_uuid = $1', [uuid, row.keypairs, row.created, row.changed]);
    };
  };
  const generationOf = async (uuid: string): Promise<number> => (await cell.cellDb.instances.get(uuid)).generation;
  const keysOf = async (uuid: string): Promise<unknown> => (JSON.parse((await metadata.ask(PATH, { headers: proof(uuid) })).body) as { public_keys?: unknown }).public_keys;
  const save = (uuid: string, name: string, publicKey: string, at: Date): Promise<void> =>
    cell.cellDb.transaction(({ instanceExtra }) => instanceExtra.saveKeyPairs(uuid, { objects: [{ name, type: 'ssh', publicKey, fingerprint: null, userId: 'u-demo' }] }, at));

  it('do not stand against others of the same generation', async () => {
    const uuid = await cell.addInstance();
    const startMs = Date.now();
    await save(uuid, 'first', LOST_KEY, new Date(startMs));
    const takeOver = await remember(uuid);
    await save(uuid, 'lost', LOST_KEY, new Date(startMs + 1_000));
    assert.deepEqual(await keysOf(uuid), { lost: LOST_KEY });
    const lost = await generationOf(uuid);
    await takeOver();
    await save(uuid, 'next', NEXT_KEY, new Date(startMs + 2_000));
    assert.equal(await generationOf(uuid), lost);
    assert.deepEqual(await keysOf(uuid), { next: NEXT_KEY });
  });

  it('of the row alone do not either', async () => {
    const uuid = await cell.addInstance();
    const startMs = Date.now();
    await save(uuid, 'first', LOST_KEY, new Date(startMs));
    const hostnameOf = async (): Promise<string> => (await metadata.ask('/latest/meta-data/hostname', { headers: proof(uuid) })).body;
    const takeOver = await remember(uuid);
    await cell.cellDb.instances.update(uuid, { hostname: 'lost' }, new Date(startMs + 1_000));
    assert.match(await hostnameOf(), /^lost/);
    await takeOver();
    await cell.cellDb.instances.update(uuid, { hostname: 'next' }, new Date(startMs + 2_000));
    assert.match(await hostnameOf(), /^next/);
  });

  it('that come again as they were cost no reading', async () => {
    const uuid = await cell.addInstance();
    const [first, again] = [await cell.cellDb.instanceFacts.find(uuid), await cell.cellDb.instanceFacts.findRevision(uuid)];
    assert.equal(again, first?.revision);
  });
});
