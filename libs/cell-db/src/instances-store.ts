/**
 * instances: what exists in this cell. Created and deleted by the api; the compute agent writes the state of
 * its own. Every change lets the row's generation grow, so that a cache can tell what it holds.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Instance } from '@gatehouse/objects/instance';
import type { CellClient } from './cell-client.ts';
import { ConsoleConnectionsStore } from './console-connections-store.ts';
import { ConsoleTokensStore } from './console-tokens-store.ts';
import { Prisma } from './generated/client.ts';
import type { MetadataTokens } from './instance-facts-store.ts';
import type { InstanceRow } from './generated/client.ts';
import type { SqlClient } from './sql-client.ts';

/** An Instance without its key pairs (they are instance_extra's), always with the fields that a row has. */
export interface StoredInstance extends Instance {
  readonly id: number;
  readonly projectId: string;
  readonly userId: string;
  readonly createdAt: Date;
  readonly updatedAt: Date | null;
  readonly launchedAt: Date | null;
  readonly deletedAt: Date | null;
  readonly deleted: boolean;
  readonly availabilityZone: string | null;
  readonly imageRef: string | null;
  /** The flavor as it was asked for; there are none here to look it up in. */
  readonly flavorRef: string | null;
  /** What services remember of the instance; no user sees it. */
  readonly systemMetadata: Readonly<Record<string, string>>;
  readonly launchIndex: number;
  /** Its guest gets its metadata as a drive, too. */
  readonly configDrive: boolean;
  /** Grows by one at every change. */
  readonly generation: number;
}

export interface NewInstance {
  readonly uuid: string;
  readonly projectId: string;
  readonly userId: string;
  readonly displayName: string;
  readonly hostname: string | null;
  readonly host: string | null;
  readonly availabilityZone?: string | null;
  readonly vmState: string;
  readonly taskState: string | null;
  readonly keyName: string | null;
  readonly keyData: string | null;
  /** base64 */
  readonly userData: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly imageRef?: string | null;
  readonly flavorRef?: string | null;
  readonly configDrive?: boolean;
  readonly createdAt: Date;
}

export interface InstanceChanges {
  readonly displayName?: string;
  readonly hostname?: string | null;
  readonly host?: string | null;
  readonly vmState?: string;
  readonly taskState?: string | null;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly systemMetadata?: Readonly<Record<string, string>>;
  readonly keyName?: string | null;
  readonly keyData?: string | null;
  readonly userData?: string | null;
  readonly imageRef?: string | null;
  readonly flavorRef?: string | null;
  readonly availabilityZone?: string | null;
  readonly metadataTokens?: MetadataTokens | null;
  readonly launchedAt?: Date;
}

/** What an instance must be when it is changed; every word that is said must hold. */
export interface InstanceState {
  readonly host?: string | null;
  readonly vmStates?: readonly string[];
  /** null: nothing under way. */
  readonly taskStates?: readonly (string | null)[];
}

export interface InstancePage {
  /** Of one project; all projects when absent. */
  readonly projectId?: string;
  readonly host?: string;
  /** At most this many (1,000 unless given, and never more). */
  readonly limit?: number;
  /** Continue after this instance, newest first. @throws ServiceError INVALID_ARGUMENT when it is not known */
  readonly marker?: string;
}

const PAGE_MAX = 1_000;

/** What a statement of ours selects so that `instanceOfRow` can read it. */
const INSTANCE_COLUMNS = Prisma.raw(`
  uuid::text AS uuid, id, project_id AS "projectId", user_id AS "userId", display_name AS "displayName", hostname, host,
  availability_zone AS "availabilityZone", vm_state AS "vmState", task_state AS "taskState", key_name AS "keyName", key_data AS "keyData",
  user_data AS "userData", metadata, system_metadata AS "systemMetadata", image_ref AS "imageRef", flavor, launch_index AS "launchIndex",
  config_drive AS "configDrive", generation, created_at AS "createdAt", updated_at AS "updatedAt", launched_at AS "launchedAt", deleted_at AS "deletedAt"`);

export class InstancesStore {
  readonly #client: CellClient;
  readonly #sql: SqlClient;

  /** `sql`: for what is asked at every console; the same transaction as the client's, if that is one. */
  constructor(client: CellClient, sql: SqlClient) {
    this.#client = client;
    this.#sql = sql;
  }

  /** @throws ServiceError ALREADY_EXISTS: this uuid is known, even of a deleted instance */
  async create(instance: NewInstance): Promise<StoredInstance> {
    return instanceOfRow(await this.#client.instanceRow.create({ data: columnsOf(instance) }));
  }

  /** Never a deleted one. */
  async find(uuid: string): Promise<StoredInstance | null> {
    const [row] = await this.#sql.$queryRaw<readonly SelectedRow[]>`
      SELECT ${INSTANCE_COLUMNS} FROM instances WHERE uuid = ${uuid}::uuid AND deleted_at IS NULL`;
    return row === undefined ? null : instanceOfRow(row);
  }

  /** @throws ServiceError NOT_FOUND: unknown or deleted */
  async get(uuid: string): Promise<StoredInstance> {
    const found = await this.find(uuid);
    if (found === null) throw notFound(uuid);
    return found;
  }

  /**
   * find, with the row locked until the transaction ends: nobody deletes the instance or chooses one of its
   * ports meanwhile. Only inside CellDb.transaction.
   */
  async lock(uuid: string): Promise<StoredInstance | null> {
    await this.#client.$queryRaw`SELECT 1 AS locked FROM instances WHERE uuid = ${uuid}::uuid FOR NO KEY UPDATE`;
    return this.find(uuid);
  }

  /** Not deleted ones, newest first. */
  async list(page: InstancePage = {}): Promise<readonly StoredInstance[]> {
    const { projectId, host, limit = PAGE_MAX, marker } = page;
    const after = marker === undefined ? null : await this.find(marker);
    if (marker !== undefined && after === null) throw new ServiceError('INVALID_ARGUMENT', `the marker ${marker} is not an instance`);
    const rows = await this.#client.instanceRow.findMany({
      where: {
        deletedAt: null,
        ...(projectId === undefined ? {} : { projectId }),
        ...(host === undefined ? {} : { host }),
        ...(after === null ? {} : { OR: [{ createdAt: { lt: after.createdAt } }, { createdAt: after.createdAt, id: { lt: after.id } }] }),
      },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: Math.min(limit, PAGE_MAX),
    });
    return rows.map(instanceOfRow);
  }

  /** False for one that was never known here, too. */
  async isDeleted(uuid: string): Promise<boolean> {
    return (await this.#client.instanceRow.count({ where: { uuid, deletedAt: { not: null } } })) > 0;
  }

  /** Those of these instances that are deleted and were on this host. */
  async listDeleted(uuids: readonly string[], host: string): Promise<readonly string[]> {
    const rows = await this.#client.instanceRow.findMany({
      where: { uuid: { in: uuids.slice(0, PAGE_MAX) }, host, deletedAt: { not: null } },
      select: { uuid: true },
    });
    return rows.map(({ uuid }) => uuid);
  }

  /**
   * Those of these instances that have left this host for another while nobody could say that their guests went too:
   * what is found of them here is not theirs any more. None that is being moved at the moment.
   */
  async listLeft(uuids: readonly string[], host: string): Promise<readonly string[]> {
    const rows = await this.#client.instanceRow.findMany({
      where: { uuid: { in: uuids.slice(0, PAGE_MAX) }, taskState: null, OR: [{ host: null }, { host: { not: host } }] },
      select: { uuid: true, systemMetadata: true },
    });
    return rows.filter(({ systemMetadata }) => leftHostsOf({ systemMetadata: textsOf(systemMetadata) }).includes(host)).map(({ uuid }) => uuid);
  }

  async count(filter: { readonly projectId?: string; readonly host?: string } = {}): Promise<number> {
    return this.#client.instanceRow.count({ where: { deletedAt: null, ...filter } });
  }

  /** How many instances each host has; a host without any is not in the map. */
  async countByHost(): Promise<ReadonlyMap<string, number>> {
    const groups = await this.#client.instanceRow.groupBy({
      by: ['host'],
      where: { deletedAt: null, host: { not: null } },
      _count: { _all: true },
    });
    return new Map(groups.map((group) => [group.host ?? '', group._count._all]));
  }

  /**
   * @param owner only if the instance is on this host: an agent writes no other's
   * @throws ServiceError NOT_FOUND: unknown, deleted, or on another host than `owner`
   */
  async update(uuid: string, changes: InstanceChanges, at: Date, owner?: string): Promise<StoredInstance> {
    const rows = await this.#client.instanceRow.updateManyAndReturn({
      where: { uuid, deletedAt: null, ...(owner === undefined ? {} : { host: owner }) },
      data: { ...columnsOf(changes), updatedAt: at, generation: { increment: 1 } },
    });
    if (rows[0] === undefined) throw notFound(uuid);
    return instanceOfRow(rows[0]);
  }

  /** update, only if the instance is as `state` says at that moment. @returns null when it is not, or is gone */
  async updateIf(uuid: string, state: InstanceState, changes: InstanceChanges, at: Date): Promise<StoredInstance | null> {
    const { host, vmStates, taskStates } = state;
    const rows = await this.#client.instanceRow.updateManyAndReturn({
      where: {
        uuid, deletedAt: null,
        ...(host === undefined ? {} : { host }),
        ...(vmStates === undefined ? {} : { vmState: { in: [...vmStates] } }),
        ...(taskStates === undefined ? {} : { OR: taskStates.map((taskState) => ({ taskState })) }),
      },
      data: { ...columnsOf(changes), updatedAt: at, generation: { increment: 1 } },
    });
    return rows[0] === undefined ? null : instanceOfRow(rows[0]);
  }

  /**
   * Marks the instance as deleted and removes its consoles and their tokens; its sessions stay, for consoleauth
   * to end. Only inside CellDb.transaction. @returns 1, or 0 when it was unknown or deleted before
   */
  async softDelete(uuid: string, at: Date): Promise<number> {
    // The row first: it waits for whoever authorizes a console under the row's lock, and only a later statement
    // sees what they stored. Tokens before connections, as connect locks them, or the two would wait for each other.
    const { count } = await this.#client.instanceRow.updateMany({
      where: { uuid, deletedAt: null },
      data: { deletedAt: at, terminatedAt: at, updatedAt: at, vmState: 'deleted', taskState: null, generation: { increment: 1 } },
    });
    if (count === 0) return 0;
    await new ConsoleTokensStore(this.#client).deleteForInstance(uuid);
    await new ConsoleConnectionsStore(this.#client).deleteForInstance(uuid);
    return count;
  }
}

const LEFT_HOSTS = 'left_hosts';

/** Hosts where something of the instance may have stayed behind when it moved on. */
export function leftHostsOf({ systemMetadata }: Pick<StoredInstance, 'systemMetadata'>): readonly string[] {
  return (systemMetadata[LEFT_HOSTS] ?? '').split(',').filter((host) => host !== '');
}

/** system_metadata that says so; a host's name holds no comma. */
export function withLeftHosts(systemMetadata: StoredInstance['systemMetadata'], hosts: readonly string[]): StoredInstance['systemMetadata'] {
  const { [LEFT_HOSTS]: _, ...others } = systemMetadata;
  return hosts.length === 0 ? others : { ...others, [LEFT_HOSTS]: [...new Set(hosts)].join(',') };
}

/** flavorRef stands in the flavor's column, which has room for more than its name. */
function columnsOf<C extends { readonly flavorRef?: string | null }>({ flavorRef, ...columns }: C) {
  return { ...columns, ...(flavorRef === undefined ? {} : { flavor: flavorRef === null ? {} : { id: flavorRef } }) };
}

function flavorRefOf(flavor: unknown): string | null {
  return typeof flavor === 'object' && flavor !== null && 'id' in flavor && typeof flavor.id === 'string' ? flavor.id : null;
}

function textsOf(json: unknown): Readonly<Record<string, string>> {
  return Object.freeze(json as Record<string, string>);
}

function notFound(uuid: string): ServiceError {
  return new ServiceError('NOT_FOUND', `Instance ${uuid} could not be found.`);
}

type SelectedRow = Omit<InstanceRow, 'node' | 'network' | 'reservationId' | 'metadataTokens' | 'terminatedAt'>;

function instanceOfRow(row: SelectedRow): StoredInstance {
  const { uuid, id, projectId, userId, displayName, hostname, host, vmState, taskState, keyName, keyData, userData } = row;
  const { createdAt, updatedAt, launchedAt, deletedAt, availabilityZone, imageRef, launchIndex, configDrive, generation } = row;
  return Object.freeze({
    uuid, id, projectId, userId, displayName, hostname, host, vmState, taskState, keyName, keyData, userData,
    metadata: textsOf(row.metadata), systemMetadata: textsOf(row.systemMetadata),
    createdAt, updatedAt, launchedAt, deletedAt, deleted: deletedAt !== null,
    availabilityZone, imageRef, flavorRef: flavorRefOf(row.flavor), launchIndex, configDrive, generation,
  });
}
