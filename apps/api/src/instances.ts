/**
 * Instances as their owners see them: made, listed, shown, deleted. The rows are written here; what becomes of
 * the guest is its compute agent's work, asked for by RPC and never inside a transaction.
 *
 * What belongs to another project does not exist for the caller; the administrator sees all.
 */
import { randomUUID } from 'node:crypto';
import type { ApiDb } from '@gatehouse/api-db/api-db';
import type { StoredKeyPair } from '@gatehouse/api-db/key-pairs-store';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { NewInstance, StoredInstance } from '@gatehouse/cell-db/instances-store';
import { ServiceError } from '@gatehouse/errors/service-error';
import { isUuid } from '@gatehouse/objects/fields';
import { serialPortCount } from '@gatehouse/objects/serial-port-count';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Guests } from './guests.ts';
import { hostNameOf } from './host-name.ts';
import type { MetadataNews } from './metadata-news.ts';
import type { Placement } from './placement.ts';
import { ZONE } from './placement.ts';

export interface WantedInstance {
  readonly name: string;
  readonly keyName?: string | undefined;
  /** base64 */
  readonly userData?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** `nova`, or `nova:<host>`. */
  readonly availabilityZone?: string | undefined;
  readonly hostName?: string | undefined;
  readonly imageRef?: string | undefined;
  readonly flavorRef?: string | undefined;
}

export interface InstanceList {
  /** Every project's; the administrator's alone. */
  readonly allProjects: boolean;
  readonly limit: number;
  readonly marker?: string | undefined;
}

/** Most instances in one answer, as in Nova (`max_limit`). */
export const INSTANCES_PAGE_MAX = 1000;
/** Most metadata entries of one instance, as in Nova's default quota. */
export const METADATA_ITEMS_MAX = 128;

export interface Databases {
  readonly apiDb: ApiDb;
  readonly cellDb: CellDb;
}

/** Who has a part in an instance's life. */
export interface InstanceHelpers {
  readonly placement: Placement;
  readonly guests: Guests;
  readonly news: MetadataNews;
}

export class Instances {
  readonly #databases: Databases;
  readonly #cell: () => Promise<string>;
  readonly #placement: Placement;
  readonly #guests: Guests;
  readonly #news: MetadataNews;
  readonly #clock: Clock;

  /** `cell` answers the uuid of the cell that new instances live in. */
  constructor(databases: Databases, cell: () => Promise<string>, { placement, guests, news }: InstanceHelpers, clock: Clock) {
    this.#databases = databases;
    this.#cell = cell;
    this.#placement = placement;
    this.#guests = guests;
    this.#news = news;
    this.#clock = clock;
  }

  /**
   * Stores the instance with its keys and asks its host to make the guest. What fails after that shows as the
   * instance's state `error`. Throws INVALID_ARGUMENT (key name, zone), UNAVAILABLE (no host), PERMISSION_DENIED (quota).
   */
  async create(context: RequestContext, wanted: WantedInstance): Promise<StoredInstance> {
    const { apiDb, cellDb } = this.#databases;
    const { projectId, userId } = ownerOf(context);
    const metadata = wanted.metadata ?? {};
    checkMetadata(metadata);
    const keyPair = await this.keyPairOf(userId, wanted.keyName);
    const host = await this.#placement.choose(wanted.availabilityZone);
    const now = this.#clock.now();
    const uuid = randomUUID();
    // The mapping first: one without its instance is passed over, an instance without its mapping is lost.
    await apiDb.instanceMappings.save({ instanceUuid: uuid, cellUuid: await this.#cell(), projectId, userId, createdAt: now });
    const keypairs = { objects: keyPair === null ? [] : [keyPair] };
    const row = rowOf(wanted, { uuid, projectId, userId, host, metadata, keyPair, createdAt: now });
    const instance = await cellDb.transaction(async (stores) => {
      const stored = await stores.instances.create(row);
      await stores.instanceExtra.saveKeyPairs(uuid, keypairs, now);
      return stored;
    });
    // Somebody may have asked for it before, and be remembered to have found nothing.
    this.#news.tell(uuid, context);
    await this.#guests.build({ ...instance, keypairs }, context);
    return instance;
  }

  /** Newest first. Throws PERMISSION_DENIED (all projects), INVALID_ARGUMENT (marker). */
  async list(context: RequestContext, page: InstanceList): Promise<readonly StoredInstance[]> {
    const { allProjects, limit, marker } = page;
    if (allProjects && !context.isAdmin) {
      throw new ServiceError('PERMISSION_DENIED', "Policy doesn't allow os_compute_api:servers:index:get_all_tenants to be performed.");
    }
    if (marker !== undefined) await this.#requireMarker(context, marker);
    if (limit === 0) return [];
    return this.#databases.cellDb.instances.list({
      limit: Math.min(limit, INSTANCES_PAGE_MAX),
      ...(allProjects ? {} : { projectId: ownerOf(context).projectId }),
      ...(marker === undefined ? {} : { marker }),
    });
  }

  /** Throws NOT_FOUND where there is no such instance for this caller. */
  async show(context: RequestContext, uuid: string): Promise<StoredInstance> {
    const found = isUuid(uuid) ? await this.#databases.cellDb.instances.find(uuid) : null;
    if (found === null || (!context.isAdmin && found.projectId !== context.projectId)) {
      throw new ServiceError('NOT_FOUND', `Instance ${uuid.slice(0, 255)} could not be found.`);
    }
    return found;
  }

  /**
   * Ends the instance's console sessions, then the guest, then marks the row, and ends the sessions once more: one
   * that came before the mark is found by the second look, none comes after it. A host or consoleauth that is not
   * there does not hold it up: the agent removes the guest when it next looks, and its sweep lets consoleauth end
   * the sessions. Throws NOT_FOUND.
   */
  async delete(context: RequestContext, uuid: string): Promise<void> {
    const { cellDb } = this.#databases;
    await this.show(context, uuid);
    // As it is now: it may just have moved.
    const instance = await cellDb.instances.update(uuid, { taskState: 'deleting' }, this.#clock.now());
    await this.#guests.endSessions(uuid, 'instance_deleted', context);
    await this.#guests.destroy(instance, 'instance_deleted', context);
    await cellDb.transaction(({ instances }) => instances.softDelete(uuid, this.#clock.now()));
    this.#news.tell(uuid, context);
    await this.#guests.endSessions(uuid, 'instance_deleted', context);
  }

  /** The user's key pair of that name; null for none. Throws INVALID_ARGUMENT where there is no such. */
  async keyPairOf(userId: string, name: string | undefined): Promise<StoredKeyPair | null> {
    if (name === undefined) return null;
    const found = await this.#databases.apiDb.keyPairs.find(userId, name);
    if (found === null) throw new ServiceError('INVALID_ARGUMENT', 'Invalid key_name provided.');
    return found;
  }

  async #requireMarker(context: RequestContext, marker: string): Promise<void> {
    try {
      await this.show(context, marker);
    } catch (cause) {
      throw new ServiceError('INVALID_ARGUMENT', `marker [${marker.slice(0, 255)}] not found`, { cause });
    }
  }
}

/** Throws PERMISSION_DENIED (quota), INVALID_ARGUMENT (what no guest can be made from). */
export function checkMetadata(metadata: Readonly<Record<string, string>>): void {
  if (Object.keys(metadata).length > METADATA_ITEMS_MAX) {
    throw new ServiceError('PERMISSION_DENIED', `Maximum number of metadata items exceeds ${METADATA_ITEMS_MAX}`);
  }
  serialPortCount(metadata);
}

export function ownerOf(context: RequestContext): { readonly projectId: string; readonly userId: string } {
  const { projectId, userId } = context;
  if (projectId === null || userId === null) throw new ServiceError('UNAUTHENTICATED', 'the request names no user and project');
  return { projectId, userId };
}

interface Settled {
  readonly uuid: string;
  readonly projectId: string;
  readonly userId: string;
  readonly host: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly keyPair: StoredKeyPair | null;
  readonly createdAt: Date;
}

function rowOf(wanted: WantedInstance, settled: Settled): NewInstance {
  const { keyPair, ...rest } = settled;
  return {
    ...rest,
    displayName: wanted.name,
    hostname: wanted.hostName ?? hostNameOf(wanted.name, rest.uuid),
    availabilityZone: ZONE,
    vmState: 'building',
    taskState: 'spawning',
    keyName: keyPair?.name ?? null,
    keyData: keyPair?.publicKey ?? null,
    userData: wanted.userData ?? null,
    imageRef: wanted.imageRef ?? null,
    flavorRef: wanted.flavorRef ?? null,
  };
}
