/**
 * Instances whose key pairs have not come to instance_extra yet, as `gatehouse db online-data-migrations` sees them: its row is
 * missing or NULL. What cannot come is set aside there with the reason. Deleted instances need nothing.
 */
import { KeyPairList } from '@gatehouse/objects/key-pair-list';
import { Prisma } from './generated/client.ts';
import type { MovePage } from './key-pair-moves-store.ts';
import { pythonJson } from './python-json.ts';
import type { SqlClient } from './sql-client.ts';

/** A live key pair of an instance's user and key_name in the same cell, whether set aside or not; nobody has checked it. */
export interface NamedKeyPair {
  readonly id: number;
  readonly fingerprint: string | null;
  readonly publicKey: string;
  readonly type: string;
  /** As the database writes them. */
  readonly createdAt: string | null;
  readonly updatedAt: string | null;
}

/** A live instance, and what it was started with. */
export interface UnmigratedInstance {
  readonly id: number;
  readonly uuid: string;
  readonly userId: string;
  readonly keyName: string | null;
  /** Null also where it is longer than the limit that was asked with: then keyDataChars tells. */
  readonly keyData: string | null;
  readonly keyDataChars: number;
  /** Null also where its public key is longer than that limit. */
  readonly named: NamedKeyPair | null;
}

export interface InstanceKeyPairs {
  readonly uuid: string;
  readonly keyPairs: KeyPairList;
}

export interface SetAsideInstance {
  readonly uuid: string;
  readonly reason: string;
}

export interface ListedSetAsideInstance extends SetAsideInstance {
  readonly userId: string;
  readonly keyName: string | null;
}

type InstanceRow = Omit<UnmigratedInstance, 'named'> & Omit<NamedKeyPair, 'id'> & { readonly namedId: number | null };

// Without a row of instance_extra all of its columns are NULL.
const WAITING = Prisma.sql`i.deleted_at IS NULL AND e.keypairs IS NULL`;
const NOT_SET_ASIDE = Prisma.sql`AND e.set_aside IS NULL`;

export class InstanceKeyPairMovesStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
    this.#client = client;
  }

  /**
   * By their small ids, locked until the transaction ends, as whoever replaces an instance's keys locks it. `locked`: whether
   * those that others hold are passed over or waited for. Some may have been migrated in the moment between: `save` tells.
   */
  async take(page: MovePage, locked: 'skip' | 'wait'): Promise<readonly UnmigratedInstance[]> {
    return this.#select(page, locked === 'skip' ? Prisma.sql`FOR NO KEY UPDATE OF i SKIP LOCKED` : Prisma.sql`FOR NO KEY UPDATE OF i`);
  }

  /** The same instances, neither locked nor waited for. */
  async look(page: MovePage): Promise<readonly UnmigratedInstance[]> {
    return this.#select(page, Prisma.empty);
  }

  /** Instance by instance, as LATERAL and LIMIT have it: a batch must not read the whole of instance_extra, or of key_pairs. */
  async #select({ after, limit, publicKeyMax, withSetAside = false }: MovePage, lock: Prisma.Sql): Promise<readonly UnmigratedInstance[]> {
    const rows = await this.#client.$queryRaw<readonly InstanceRow[]>`
      SELECT i.id, i.uuid::text AS uuid, i.user_id AS "userId", i.key_name AS "keyName", coalesce(length(i.key_data), 0) AS "keyDataChars",
        CASE WHEN length(i.key_data) <= ${publicKeyMax}::integer THEN i.key_data END AS "keyData",
        k.id AS "namedId", k.fingerprint, k.public_key AS "publicKey", k.type, k.created_at::text AS "createdAt", k.updated_at::text AS "updatedAt"
      FROM instances i
      LEFT JOIN LATERAL (SELECT x.keypairs, x.set_aside FROM instance_extra x WHERE x.instance_uuid = i.uuid LIMIT 1) e ON true
      LEFT JOIN LATERAL
        (SELECT x.id, x.fingerprint, x.public_key, x.type, x.created_at, x.updated_at FROM key_pairs x
         WHERE x.deleted = 0 AND x.user_id = i.user_id AND x.name = i.key_name COLLATE "C" AND length(x.public_key) <= ${publicKeyMax}::integer LIMIT 1) k ON true
      WHERE ${WAITING} ${withSetAside ? Prisma.empty : NOT_SET_ASIDE} AND i.id > ${after}::integer ORDER BY i.id LIMIT ${limit}::integer ${lock}`;
    return rows.map(instanceOf);
  }

  /**
   * Writes nothing where somebody has written meanwhile; lets the generation grow of those that get keys. Only inside
   * CellDb.moveTransaction, with the instances taken. The lists travel one a line, for no JSON has a line end in it: as elements of
   * an array each of their many quotes would be escaped here and read again there. @returns how many were written
   */
  async save(rows: readonly InstanceKeyPairs[], at: Date): Promise<number> {
    const withKeys = rows.filter(({ keyPairs }) => keyPairs.objects.length > 0).map(({ uuid }) => uuid);
    const [row] = await this.#client.$queryRaw<readonly { readonly count: number }[]>`
      WITH written AS (
        INSERT INTO instance_extra AS e (instance_uuid, keypairs, created_at)
        SELECT s.uuid, s.keypairs, ${at}::timestamp
        FROM unnest(${rows.map(({ uuid }) => uuid)}::uuid[], string_to_array(${rows.map(({ keyPairs }) => textOf(keyPairs)).join('\n')}::text, E'\\n')) AS s(uuid, keypairs)
        ON CONFLICT (instance_uuid) DO UPDATE SET keypairs = excluded.keypairs, set_aside = NULL, updated_at = excluded.created_at
        WHERE e.keypairs IS NULL RETURNING e.instance_uuid
      ), told AS (
        UPDATE instances SET generation = generation + 1
        WHERE uuid = ANY(${withKeys}::uuid[]) AND uuid IN (SELECT instance_uuid FROM written)
      )
      SELECT count(*)::integer AS count FROM written`;
    return row?.count ?? 0;
  }

  /** The same for those that cannot be migrated. @returns how many were marked */
  async setAside(rows: readonly SetAsideInstance[], at: Date): Promise<number> {
    return this.#client.$executeRaw`
      INSERT INTO instance_extra AS e (instance_uuid, set_aside, created_at)
      SELECT s.uuid, s.reason, ${at}::timestamp
      FROM unnest(${rows.map(({ uuid }) => uuid)}::uuid[], ${rows.map(({ reason }) => reason)}::text[]) AS s(uuid, reason)
      ON CONFLICT (instance_uuid) DO UPDATE SET set_aside = excluded.set_aside, updated_at = excluded.created_at
      WHERE e.keypairs IS NULL AND e.set_aside IS NULL`;
  }

  /** All that are set aside are to be tried again. @returns how many there were */
  async retrySetAside(): Promise<number> {
    return this.#client.$executeRaw`UPDATE instance_extra SET set_aside = NULL WHERE keypairs IS NULL AND set_aside IS NOT NULL`;
  }

  /** Of live instances, by their small ids, at most `limit`. */
  async listSetAside(limit: number): Promise<readonly ListedSetAsideInstance[]> {
    return this.#client.$queryRaw<readonly ListedSetAsideInstance[]>`
      SELECT i.uuid::text AS uuid, i.user_id AS "userId", i.key_name AS "keyName", e.set_aside AS reason
      FROM instance_extra e JOIN instances i ON i.uuid = e.instance_uuid
      WHERE e.keypairs IS NULL AND e.set_aside IS NOT NULL AND i.deleted_at IS NULL ORDER BY i.id LIMIT ${limit}::integer`;
  }

  /** Live instances: those still to migrate, and those set aside. */
  async count(): Promise<{ readonly remaining: number; readonly setAside: number }> {
    const [row] = await this.#client.$queryRaw<readonly { readonly remaining: number; readonly setAside: number }[]>`
      SELECT count(*) FILTER (WHERE e.set_aside IS NULL)::integer AS remaining, count(e.set_aside)::integer AS "setAside"
      FROM instances i LEFT JOIN instance_extra e ON e.instance_uuid = i.uuid WHERE ${WAITING}`;
    return row ?? { remaining: 0, setAside: 0 };
  }
}

/** A left join: without a key pair of the name all of its columns are NULL. */
function instanceOf({ id, uuid, userId, keyName, keyData, keyDataChars, namedId, ...rest }: InstanceRow): UnmigratedInstance {
  return { id, uuid, userId, keyName, keyData, keyDataChars, named: namedId === null ? null : { id: namedId, ...rest } };
}

/** What Nova 26.2 writes, to the byte. */
function textOf(keyPairs: KeyPairList): string {
  return pythonJson(KeyPairList.toPrimitive(keyPairs, { changes: ['objects'] }));
}
