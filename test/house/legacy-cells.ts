/** Fills an API database and those of two cells as a deployment leaves them that never ran its online data migrations; legacy-plan.ts says with what. */
import pg from 'pg';
import { installPlan, makeMaterials } from './legacy-plan.ts';
import type { LegacySize } from './legacy-plan.ts';

export interface LegacyDeployment {
  readonly size: LegacySize;
  readonly api: pg.Pool;
  readonly cells: readonly [pg.Pool, pg.Pool];
  close(): Promise<void>;
}

/** Of instances that were migrated before: several key pairs, as Nova writes them. */
const SEVERAL = `json_build_object('nova_object.name', 'KeyPairList', 'nova_object.namespace', 'nova', 'nova_object.version', '1.3', 'nova_object.changes', json_build_array('objects'),
  'nova_object.data', json_build_object('objects', (SELECT json_agg(json_build_object('nova_object.name', 'KeyPair', 'nova_object.namespace', 'nova', 'nova_object.version', '1.4',
    'nova_object.data', json_build_object('name', p.key_name || nth, 'user_id', p.user_id, 'fingerprint', p.expected_fingerprint, 'public_key', p.key_data, 'type', p.expected_type)))
  FROM generate_series(0, 1) AS nth)))::text`;

/** Into databases whose tables are there and empty. */
export async function fillLegacyDeployment(urls: { readonly api: string; readonly cells: readonly [string, string] }, size: LegacySize): Promise<LegacyDeployment> {
  const open = (url: string): pg.Pool => new pg.Pool({ connectionString: url, max: 2, options: '-c synchronous_commit=off -c work_mem=256MB' });
  const [api, first, second] = [open(urls.api), open(urls.cells[0]), open(urls.cells[1])];
  const materials = makeMaterials();
  for (const database of [api, first, second]) {
    database.on('error', () => {});
    await installPlan(database, size, materials);
  }
  await Promise.all([fillApi(api, size), fillCell(first, 1, size), fillCell(second, 2, size)]);
  const close = async (): Promise<void> => {
    await Promise.all([api, first, second].map((database) => database.end()));
  };
  return { size, api, cells: [first, second], close };
}

/** What users have re-made there, and beside it all that both cells hold, for comparison. */
async function fillApi(api: pg.Pool, { rows, bad }: LegacySize): Promise<void> {
  await api.query(`CREATE TABLE seeded.key_pairs AS SELECT * FROM seeded.plan(1, ${rows / 2}, ${bad}) UNION ALL SELECT * FROM seeded.plan(2, ${rows / 2}, ${bad})`);
  await api.query('CREATE INDEX ON seeded.key_pairs (user_id, name)');
  await api.query(
    `INSERT INTO key_pairs (user_id, name, fingerprint, public_key, type, created_at)
     SELECT k.user_id, k.name, CASE k.kind WHEN 'same_in_api' THEN k.fingerprint ELSE p.fingerprint END,
       CASE k.kind WHEN 'same_in_api' THEN k.public_key ELSE p.line || ' remade' END, 'ssh', timestamp '2025-05-05 05:05:05'
     FROM seeded.key_pairs k JOIN seeded.materials p ON p.i = ((2 * k.n + k.cell) * 7) % 1000 WHERE k.kind IN ('other_in_api', 'same_in_api')`,
  );
  await api.query('CREATE TABLE seeded.remade AS SELECT * FROM key_pairs');
  await api.query('VACUUM ANALYZE');
}

async function fillCell(cell: pg.Pool, number: 1 | 2, { rows, instances, bad }: LegacySize): Promise<void> {
  const [keyRows, instanceRows] = [rows / 2, instances / 2];
  await cell.query(
    `INSERT INTO key_pairs (id, user_id, name, fingerprint, public_key, type, created_at, updated_at)
     SELECT id, user_id, name, fingerprint, public_key, type, created_at, updated_at FROM seeded.plan(${number}, ${keyRows}, ${bad})`,
  );
  // Deleted long ago: some of names that somebody has again, some of names that nobody has.
  await cell.query(
    `INSERT INTO key_pairs (id, user_id, name, fingerprint, public_key, type, created_at, deleted_at, deleted)
     SELECT ${keyRows} + n, user_id, CASE WHEN n % 2 = 0 THEN name ELSE 'deleted-' || n END, 'aa:bb', 'ssh-ed25519 of a deleted one', 'ssh', created_at, created_at, ${keyRows} + n
     FROM seeded.plan(${number}, ${keyRows}, ${bad}) WHERE n <= ${keyRows / 10}`,
  );
  await cell.query(`SELECT setval(pg_get_serial_sequence('key_pairs', 'id'), ${keyRows * 2})`);
  await cell.query(`CREATE TABLE seeded.instances AS SELECT * FROM seeded.instance_plan(${number}, ${instanceRows}, ${keyRows}, ${bad})`);
  await cell.query('CREATE UNIQUE INDEX ON seeded.instances (uuid)');
  await cell.query(
    `INSERT INTO instances (uuid, project_id, user_id, display_name, hostname, host, vm_state, key_name, key_data, created_at, deleted_at)
     SELECT uuid, 'legacy', user_id, 'guest', 'guest', 'legacy-${number}', CASE kind WHEN 'deleted' THEN 'deleted' ELSE 'active' END, key_name, key_data, timestamp '2016-03-01',
       CASE kind WHEN 'deleted' THEN timestamp '2016-04-01' END
     FROM seeded.instances`,
  );
  await cell.query(
    `INSERT INTO instance_extra (instance_uuid, keypairs, created_at)
     SELECT p.uuid, CASE p.kind WHEN 'moved_before' THEN ${SEVERAL} END, timestamp '2016-03-01' FROM seeded.instances p WHERE p.kind <> 'no_row'`,
  );
  await cell.query('VACUUM ANALYZE');
}
