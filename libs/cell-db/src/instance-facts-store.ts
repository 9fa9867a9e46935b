/**
 * What an instance may be told of itself, in one statement: its row, what instance_extra carries for it, and its addresses.
 * Read by the metadata service and by compute agents; nothing is written.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { KeyPair } from '@gatehouse/objects/key-pair';
import { Prisma } from './generated/client.ts';
import { readKeyPairs } from './instance-extra-store.ts';
import type { SqlClient } from './sql-client.ts';

export interface InjectedFile {
  /** Where the guest puts it: an absolute path. */
  readonly path: string;
  /** base64 */
  readonly contents: string;
}

/** As the guest's network_data.json says it, three lists of objects. */
export interface NetworkData {
  readonly links: readonly Readonly<Record<string, unknown>>[];
  readonly networks: readonly Readonly<Record<string, unknown>>[];
  readonly services: readonly Readonly<Record<string, unknown>>[];
}

export type MetadataTokens = 'off' | 'optional' | 'required';

export interface InstanceFacts {
  readonly uuid: string;
  /** A small number, unique in its cell. */
  readonly id: number;
  readonly projectId: string;
  readonly userId: string;
  readonly displayName: string | null;
  readonly hostname: string | null;
  readonly availabilityZone: string | null;
  readonly launchIndex: number;
  readonly reservationId: string | null;
  readonly imageRef: string | null;
  readonly flavorRef: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** base64 */
  readonly userData: string | null;
  /** Null: nothing is known. */
  readonly network: NetworkData | null;
  readonly fixedAddresses: readonly string[];
  readonly floatingAddresses: readonly string[];
  readonly injectedFiles: readonly InjectedFile[];
  /** Its key pairs; null where the instance was never migrated, and only keyName and keyData tell of one. */
  readonly keyPairs: readonly KeyPair[] | null;
  readonly keyName: string | null;
  readonly keyData: string | null;
  /** Null: as the service is set. */
  readonly metadataTokens: MetadataTokens | null;
  /** Its guest gets all this as a drive, too. */
  readonly configDrive: boolean;
  /** Grows by one at every change of any of these. */
  readonly generation: number;
  /**
   * Of a text's opaque kind: the generation with the moments of the last changes. A database that lost its last commits, as a
   * replica that takes over may have, counts the same generations again, with other content, but at other moments.
   */
  readonly revision: string;
}

/** More instances than this with one address are as good as infinitely many. */
const SAME_ADDRESS_MAX = 2;

/** The rows of both tables say when they were last written; a migrated row of instance_extra, when it came. */
const REVISION = "concat(i.generation, ' ', i.updated_at, ' ', COALESCE(e.updated_at, e.created_at))";

const FACTS = Prisma.raw(`
  i.uuid::text AS uuid, i.id, i.project_id AS "projectId", i.user_id AS "userId", i.display_name AS "displayName", i.hostname,
  i.availability_zone AS "availabilityZone", i.launch_index AS "launchIndex", i.reservation_id AS "reservationId", i.image_ref AS "imageRef",
  i.flavor ->> 'id' AS "flavorRef", i.metadata, i.user_data AS "userData", i.network, i.key_name AS "keyName", i.key_data AS "keyData",
  i.metadata_tokens AS "metadataTokens", i.config_drive AS "configDrive", i.generation, ${REVISION} AS revision,
  e.keypairs, e.injected_files AS "injectedFiles",
  (SELECT json_agg(json_build_array(a.kind, a.address) ORDER BY a.address) FROM instance_addresses a WHERE a.instance_uuid = i.uuid) AS addresses`);

type FactsRow = Omit<InstanceFacts, 'keyPairs' | 'injectedFiles' | 'fixedAddresses' | 'floatingAddresses'> & {
  readonly keypairs: string | null;
  readonly injectedFiles: readonly InjectedFile[] | null;
  readonly addresses: readonly (readonly [kind: string, address: string])[] | null;
};

export class InstanceFactsStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
    this.#client = client;
  }

  /** Never a deleted one. @throws ServiceError INTERNAL: its stored key pairs cannot be read */
  async find(uuid: string): Promise<InstanceFacts | null> {
    const [row] = await this.#client.$queryRaw<readonly FactsRow[]>`
      SELECT ${FACTS} FROM instances i LEFT JOIN instance_extra e ON e.instance_uuid = i.uuid
      WHERE i.uuid = ${uuid}::uuid AND i.deleted_at IS NULL`;
    return row === undefined ? null : factsOfRow(row);
  }

  /** Null for one that is deleted or was never there: whether what is known of it still holds, at the price of two indexes. */
  async findRevision(uuid: string): Promise<string | null> {
    const [row] = await this.#client.$queryRaw<readonly { readonly revision: string }[]>`
      SELECT ${Prisma.raw(REVISION)} AS revision FROM instances i LEFT JOIN instance_extra e ON e.instance_uuid = i.uuid
      WHERE i.uuid = ${uuid}::uuid AND i.deleted_at IS NULL`;
    return row?.revision ?? null;
  }

  /** Whose fixed address this is; null for nobody's. @throws ServiceError FAILED_PRECONDITION: several instances' */
  async findByAddress(address: string): Promise<string | null> {
    const rows = await this.#client.$queryRaw<readonly { readonly uuid: string }[]>`
      SELECT i.uuid::text AS uuid FROM instance_addresses a JOIN instances i ON i.uuid = a.instance_uuid
      WHERE a.address = ${address}::text AND a.kind = 'fixed' AND i.deleted_at IS NULL LIMIT ${SAME_ADDRESS_MAX}::integer`;
    if (rows.length > 1) throw new ServiceError('FAILED_PRECONDITION', `several instances have the address ${address}`);
    return rows[0]?.uuid ?? null;
  }
}

/** Member by member: "all but these" of a row takes longer than everything else that is done with it here. */
function factsOfRow(row: FactsRow): InstanceFacts {
  const ofKind = (wanted: string): readonly string[] => (row.addresses ?? []).flatMap(([kind, address]) => (kind === wanted ? [address] : []));
  return Object.freeze({
    uuid: row.uuid,
    id: row.id,
    projectId: row.projectId,
    userId: row.userId,
    displayName: row.displayName,
    hostname: row.hostname,
    availabilityZone: row.availabilityZone,
    launchIndex: row.launchIndex,
    reservationId: row.reservationId,
    imageRef: row.imageRef,
    flavorRef: row.flavorRef,
    metadata: row.metadata,
    userData: row.userData,
    network: row.network,
    fixedAddresses: ofKind('fixed'),
    floatingAddresses: ofKind('floating'),
    injectedFiles: row.injectedFiles ?? [],
    keyPairs: row.keypairs === null ? null : readKeyPairs(row.uuid, row.keypairs).objects,
    keyName: row.keyName,
    keyData: row.keyData,
    metadataTokens: row.metadataTokens,
    configDrive: row.configDrive,
    generation: row.generation,
    revision: row.revision,
  });
}
