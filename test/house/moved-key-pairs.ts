/**
 * Compares what the databases hold with what they must hold once everything has moved that can: every row, by statements. What
 * users did meanwhile is told by the traffic; the rest is the plan's.
 */
import type pg from 'pg';
import type { LegacyDeployment } from './legacy-cells.ts';

/** What users changed while rows moved. */
export interface UserChanges {
  /** Those that were there at the end and not from the beginning. */
  readonly created: readonly { readonly userId: string; readonly name: string; readonly publicKey: string }[];
  /** Legacy ones that they deleted, whether or not they made one of that name again. */
  readonly deleted: readonly { readonly userId: string; readonly name: string }[];
}

export const NO_CHANGES: UserChanges = { created: [], deleted: [] };

/** Rows that no command can move: of their cells' key_pairs, and of instance_extra. */
export function expectedSetAside({ size }: LegacyDeployment): { readonly keyPairs: number; readonly instances: number } {
  // no_user, other_in_api and no_material in both cells; of other_in_cells the second of the two.
  return { keyPairs: 7 * size.bad, instances: 2 * size.bad };
}

const IS_SAME = `a.public_key = k.public_key AND a.type = k.type AND a.id = k.id AND a.updated_at IS NOT DISTINCT FROM k.updated_at`;
const STAYS = `NOT EXISTS (SELECT 1 FROM seeded.gone g WHERE g.user_id = k.user_id AND g.name = k.name)`;

/** Each selects rows that should not be. */
const API_FAULTS: Readonly<Record<string, string>> = {
  'lost, or not as it was': `
    SELECT k.kind, k.user_id, k.name FROM seeded.key_pairs k LEFT JOIN key_pairs a ON a.user_id = k.user_id AND a.name = k.name
    WHERE ${STAYS} AND k.kind IN ('good', 'x509', 'no_fingerprint', 'no_time')
      AND (${IS_SAME} AND (k.kind = 'no_fingerprint' OR a.fingerprint = k.fingerprint) AND (k.kind = 'no_time' OR a.created_at = k.created_at)) IS NOT TRUE`,
  'none of the two that cells had': `
    SELECT k.kind, k.user_id, k.name FROM seeded.key_pairs k JOIN key_pairs a USING (user_id, name)
    WHERE k.kind IN ('other_in_cells', 'same_in_cells') GROUP BY 1, 2, 3
    HAVING count(*) <> 2 OR NOT bool_or(${IS_SAME} AND a.fingerprint = k.fingerprint AND a.created_at = k.created_at)`,
  'lost, though cells had two': `
    SELECT k.kind, k.user_id, k.name FROM seeded.key_pairs k
    WHERE k.kind IN ('other_in_cells', 'same_in_cells') AND NOT EXISTS (SELECT 1 FROM key_pairs a WHERE a.user_id = k.user_id AND a.name = k.name)`,
  'no longer what the user had made there': `
    SELECT r.user_id, r.name FROM seeded.remade r LEFT JOIN key_pairs a USING (user_id, name)
    WHERE (a.public_key = r.public_key AND a.fingerprint = r.fingerprint) IS NOT TRUE`,
  'not as its user created it': `
    SELECT c.user_id, c.name FROM seeded.created c LEFT JOIN key_pairs a USING (user_id, name) WHERE a.public_key IS DISTINCT FROM c.public_key`,
  'there again, or from nowhere': `
    SELECT a.user_id, a.name, a.created_at FROM key_pairs a
    WHERE NOT EXISTS (SELECT 1 FROM seeded.key_pairs k WHERE k.user_id = a.user_id AND k.name = a.name AND k.kind <> 'no_material' AND ${STAYS})
      AND NOT EXISTS (SELECT 1 FROM seeded.created c WHERE c.user_id = a.user_id AND c.name = a.name)`,
};

const DATA = `(e.keypairs::jsonb #> '{nova_object.data,objects}')`;
const field = (name: string, nth = 0): string => `(${DATA} #>> '{${nth},nova_object.data,${name}}')`;

const CELL_FAULTS: Readonly<Record<string, string>> = {
  'live without a reason': `SELECT id, user_id, name FROM key_pairs WHERE deleted = 0 AND set_aside IS NULL`,
  'deleted in another manner': `SELECT id, user_id, name FROM key_pairs WHERE deleted <> 0 AND (deleted <> id OR deleted_at IS NULL)`,
  'an instance with other keys than its own': `
    SELECT p.kind, p.uuid, p.key_name, e.keypairs, e.set_aside FROM seeded.instances p LEFT JOIN instance_extra e ON e.instance_uuid = p.uuid JOIN instances i ON i.uuid = p.uuid
    WHERE CASE p.kind
      WHEN 'deleted' THEN true
      WHEN 'lost' THEN e.keypairs IS NULL AND e.set_aside IS NOT NULL
      WHEN 'no_key' THEN e.set_aside IS NULL AND ${DATA} = '[]'::jsonb
      WHEN 'moved_before' THEN i.generation = 0 AND jsonb_array_length(${DATA}) = 2 AND ${field('public_key', 1)} = p.key_data
      ELSE e.set_aside IS NULL AND i.generation > 0 AND jsonb_array_length(${DATA}) = 1 AND ${field('name')} = p.key_name AND ${field('public_key')} = p.expected_key
        AND ${field('fingerprint')} = p.expected_fingerprint AND ${field('type')} = p.expected_type AND ${field('user_id')} = p.user_id
        AND (p.expected_id IS NULL OR ${field('id')} = p.expected_id::text AND ${field('created_at')} = to_char(p.expected_created_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
      END IS NOT TRUE`,
};

/** What is wrong, in words, each kind with how many and one of them; empty where nothing is. */
export async function faultsOfMove(deployment: LegacyDeployment, changes: UserChanges): Promise<readonly string[]> {
  const { api, cells, size } = deployment;
  await api.query('DROP TABLE IF EXISTS seeded.created, seeded.gone');
  await api.query('CREATE TABLE seeded.created AS SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS c(user_id, name, public_key)', columns(changes.created, 'userId', 'name', 'publicKey'));
  await api.query('CREATE TABLE seeded.gone AS SELECT * FROM unnest($1::text[], $2::text[]) AS g(user_id, name)', columns(changes.deleted, 'userId', 'name'));
  await api.query('ANALYZE key_pairs, seeded.created, seeded.gone');
  const faults = [await faultsIn(api, 'the API database', API_FAULTS)];
  for (const [index, cell] of cells.entries()) faults.push(await faultsIn(cell, `cell ${index + 1}`, CELL_FAULTS));
  const left = await Promise.all(cells.map((cell) => countOf(cell, 'key_pairs WHERE deleted = 0')));
  const expected = expectedSetAside(deployment).keyPairs;
  if (left.reduce((sum, each) => sum + each, 0) !== expected) faults.push([`${left.join(' + ')} rows are left in the cells, not ${expected}`]);
  for (const cell of cells) {
    const kept = await countOf(cell, 'key_pairs');
    const had = size.rows / 2 + Math.floor(size.rows / 20);
    if (kept !== had) faults.push([`a cell's table had ${had} rows, deleted ones included, and has ${kept}`]);
  }
  return faults.flat();
}

async function faultsIn(database: pg.Pool, where: string, statements: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const faults: string[] = [];
  for (const [what, statement] of Object.entries(statements)) {
    const { rows } = await database.query<Record<string, unknown>>(`SELECT count(*) OVER ()::integer AS "count", f.* FROM (${statement}) f LIMIT 1`);
    const [{ count, ...example } = { count: 0 }] = rows;
    if (count !== 0) faults.push(`${where}: ${String(count)} ${what}: ${JSON.stringify(example)}`);
  }
  return faults;
}

export async function countOf(database: pg.Pool, what: string): Promise<number> {
  const { rows } = await database.query<{ count: number }>(`SELECT count(*)::integer AS count FROM ${what}`);
  return rows[0]?.count ?? NaN;
}

function columns<T>(rows: readonly T[], ...names: readonly (keyof T)[]): unknown[][] {
  return names.map((name) => rows.map((row) => row[name]));
}
