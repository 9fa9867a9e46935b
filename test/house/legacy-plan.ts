/**
 * What two cells hold that were never migrated, said once, in SQL, so that a million rows are made where they belong and compared
 * where they have gone: the functions of schema `seeded` give the same rows in every database that has them.
 *
 * Row n of a cell has id n, so two cells share ids. Names of all users sort oddly: by case, by bytes against letters, and beyond
 * UTF-16's surrogates. The last rows of each cell are of the kinds that something is the matter with, `bad` of each.
 */
import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type pg from 'pg';

export interface LegacySize {
  /** Live legacy key pairs over both cells. */
  readonly rows: number;
  /** Over both cells. */
  readonly instances: number;
  /** Rows of each kind that something is the matter with, in each cell. */
  readonly bad: number;
}

/** Users of the traffic: how many, and how many key pairs each has in each of the cells. They own the first rows. */
const USERS = { walker: [4, 150], churner: [6, 20], shower: [6, 40], filler: [1, 245] } as const;
export type UserKind = keyof typeof USERS;

export function usersOf(kind: UserKind): readonly string[] {
  return Array.from({ length: USERS[kind][0] }, (_, index) => `${kind}-${index}`);
}

/** In each cell; a deployment that is smaller than twice that has none of these users. */
const TRAFFIC_ROWS = Object.values(USERS).reduce((sum, [users, each]) => sum + users * each, 0);

/**
 * From the last row back. other_in_api, same_in_api: the user has re-made it in the API database, with other material, with the same.
 * other_in_cells, same_in_cells: both cells have one of the user's of that name.
 */
const KINDS = ['no_user', 'other_in_api', 'same_in_api', 'other_in_cells', 'same_in_cells', 'no_material', 'no_fingerprint', 'no_time'] as const;

const MATERIALS = 1_000;
const BLOB_HEAD = Buffer.from('0000000b7373682d6564323535313900000020', 'hex');
const CERTIFICATE = readFileSync(new URL('../../apps/api/test-vectors/keys/x509.pem', import.meta.url), 'utf8').trim();

const FUNCTIONS = `
CREATE FUNCTION seeded.plan(cell integer, size integer, bad integer) RETURNS TABLE (
  cell integer, n integer, kind text, user_id text, name text, id integer, fingerprint text, public_key text, type text, created_at timestamp, updated_at timestamp)
LANGUAGE sql STABLE AS $$
  WITH numbered AS (
    SELECT n, 2 * (n - 1) + $1 - 1 AS m,
      CASE WHEN n > $2 - $3 * ${KINDS.length} THEN (ARRAY[${KINDS.map((kind) => `'${kind}'`).join(', ')}])[1 + ($2 - n) / $3] WHEN n % 50 = 7 THEN 'x509' ELSE 'good' END AS kind
    FROM generate_series(1, $2) AS n),
  shared AS (SELECT n, m, kind, CASE WHEN kind IN ('other_in_cells', 'same_in_cells') THEN 100000000 + 2 * n ELSE m END AS s FROM numbered)
  SELECT $1, s.n, s.kind,
    CASE WHEN s.kind = 'no_user' THEN NULL ELSE coalesce(u.user_id, 'user-' || s.s / 10) END,
    (ARRAY['Key-', 'key-', 'key_', U&'\\043A\\043B\\044E\\0447 ', U&'k\\00E9y.', U&'\\+01F600-', U&'\\FF5E', '~', 'k', 'K@'])[1 + s.s % 10]
      || CASE WHEN s.n % 97 = 0 THEN repeat(U&'\\043B\\043E\\043D\\0433-', 45) ELSE '' END || s.s,
    s.n,
    CASE s.kind WHEN 'no_fingerprint' THEN NULL WHEN 'x509' THEN x.fingerprint ELSE p.fingerprint END,
    CASE s.kind WHEN 'no_material' THEN NULL WHEN 'x509' THEN x.line ELSE p.line || ' k' || s.s END,
    CASE s.kind WHEN 'x509' THEN 'x509' ELSE 'ssh' END,
    CASE s.kind WHEN 'no_time' THEN NULL ELSE timestamp '2016-02-28 23:59:59.123' + s.m * interval '1 second' END,
    CASE WHEN s.n % 11 = 0 THEN timestamp '2026-01-01 00:00:00.5' + s.m * interval '1 second' END
  FROM shared s
  JOIN seeded.materials p ON p.i = (s.s * 7 + CASE WHEN s.kind = 'other_in_cells' THEN $1 ELSE 0 END) % ${MATERIALS}
  JOIN seeded.materials x ON x.i = -1
  LEFT JOIN seeded.users u ON s.n BETWEEN u.first AND u.last
$$;
CREATE FUNCTION seeded.instance_plan(cell integer, instances integer, size integer, bad integer) RETURNS TABLE (
  uuid uuid, kind text, user_id text, key_name text, key_data text, expected_key text, expected_fingerprint text, expected_type text,
  expected_id integer, expected_created_at timestamp)
LANGUAGE sql STABLE AS $$
  WITH numbered AS (
    SELECT i, CASE WHEN i > $2 - $4 THEN 'lost' ELSE coalesce((ARRAY['no_key', 'pair_gone', 'pair_only', 'remade', 'moved_before', 'deleted', 'churned', 'no_row'])[1 + i % 20], 'plain') END AS kind
    FROM generate_series(1, $2) AS i),
  placed AS (
    SELECT i, kind, CASE kind WHEN 'churned' THEN (SELECT coalesce(min(first), 1) FROM seeded.users WHERE user_id LIKE 'churner%') + i % ${USERS.churner[0] * USERS.churner[1]}
      ELSE taken + 1 + (i * 3) % ($3 - taken - $4 * ${KINDS.length}) END AS n
    FROM numbered, (SELECT coalesce(max(last), 0) AS taken FROM seeded.users) AS t)
  SELECT md5('instance ' || $1 || ' ' || s.i)::uuid, s.kind, k.user_id,
    CASE s.kind WHEN 'no_key' THEN NULL WHEN 'pair_gone' THEN 'gone-' || s.i WHEN 'lost' THEN 'lost-' || s.i ELSE k.name END,
    CASE WHEN s.kind IN ('no_key', 'pair_only', 'lost') THEN NULL WHEN s.kind IN ('pair_gone', 'remade') THEN p.line || ' i' || s.i ELSE k.public_key END,
    CASE WHEN s.kind IN ('no_key', 'lost') THEN NULL WHEN s.kind IN ('pair_gone', 'remade') THEN p.line || ' i' || s.i ELSE k.public_key END,
    CASE WHEN s.kind IN ('pair_gone', 'remade') THEN p.fingerprint ELSE k.fingerprint END,
    CASE WHEN s.kind IN ('pair_gone', 'remade') THEN 'ssh' ELSE k.type END,
    CASE WHEN s.kind IN ('plain', 'pair_only', 'no_row') THEN k.id END,
    CASE WHEN s.kind IN ('plain', 'pair_only', 'no_row') THEN k.created_at END
  FROM placed s JOIN seeded.plan($1, $3, $4) k ON k.n = s.n JOIN seeded.materials p ON p.i = (s.i * 7 + 3) % ${MATERIALS}
$$;`;

/** Brings the plan into a database, once its tables are there. Every database needs the same materials. */
export async function installPlan(database: pg.Pool, { rows }: LegacySize, materials: readonly Material[]): Promise<void> {
  await database.query('CREATE SCHEMA seeded');
  await database.query('CREATE TABLE seeded.materials (i integer PRIMARY KEY, line text NOT NULL, fingerprint text NOT NULL)');
  await database.query('INSERT INTO seeded.materials SELECT * FROM unnest($1::integer[], $2::text[], $3::text[])', [
    materials.map(({ number }) => number),
    materials.map(({ line }) => line),
    materials.map(({ fingerprint }) => fingerprint),
  ]);
  await database.query('CREATE TABLE seeded.users (user_id text PRIMARY KEY, first integer NOT NULL, last integer NOT NULL)');
  let first = 1;
  for (const kind of rows < 4 * TRAFFIC_ROWS ? [] : (Object.keys(USERS) as UserKind[])) {
    for (const user of usersOf(kind)) {
      const last = first + USERS[kind][1] - 1;
      await database.query('INSERT INTO seeded.users VALUES ($1, $2, $3)', [user, first, last]);
      first = last + 1;
    }
  }
  await database.query('ANALYZE seeded.materials, seeded.users');
  await database.query(FUNCTIONS);
}

export interface Material {
  readonly number: number;
  /** Without a comment. */
  readonly line: string;
  readonly fingerprint: string;
}

/** Real Ed25519 keys, and the one certificate under -1. */
export function makeMaterials(): readonly Material[] {
  const certificate = new X509Certificate(CERTIFICATE);
  const keys = Array.from({ length: MATERIALS }, (_, number) => ({ number, ...makeKey() }));
  return [...keys, { number: -1, line: CERTIFICATE, fingerprint: certificate.fingerprint.toLowerCase() }];
}

/** A new Ed25519 key as its user would send it, without a comment. */
export function makeKey(): { readonly line: string; readonly fingerprint: string } {
  const blob = Buffer.concat([BLOB_HEAD, generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)]);
  const fingerprint = createHash('md5').update(blob).digest('hex').replaceAll(/(..)(?=.)/g, '$1:');
  return { line: `ssh-ed25519 ${blob.toString('base64')}`, fingerprint };
}
