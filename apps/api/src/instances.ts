/**
 * Instances as their owners see them: made, listed, shown, deleted. The rows are written here; what becomes of
 * the guest is its compute agent's work, asked for by RPC and never inside a transaction.
 *
 * What belongs to another project does not exist for the caller; the administrator sees all.
 */
import { randomUUID } from 'node:crypto';
import type { ApiDb } from '@gatehouse/api-db/api-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { InjectedFile } from '@gatehouse/cell-db/instance-facts-store';
import type { NewInstance, StoredInstance } from '@gatehouse/cell-db/instances-store';
import { ServiceError, isServiceError } from '@gatehouse/errors/service-error';
import { isUuid } from '@gatehouse/objects/fields';
import type { KeyPair } from '@gatehouse/objects/key-pair';
import { serialPortCount } from '@gatehouse/objects/serial-port-count';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import type { AbandonedTasks } from './abandoned-tasks.ts';
import { ownContext } from './guests.ts';
import type { Guests } from './guests.ts';
import { hostNameOf } from './host-name.ts';
import { checkInjectedFiles } from './injected-files.ts';
import type { MergedKeyPairs } from './merged-key-pairs.ts';
import type { MetadataNews } from './metadata-news.ts';
import type { Placement } from './placement.ts';
import { ZONE } from './placement.ts';

export interface WantedInstance {
  readonly name: string;
  readonly keyName?: string | undefined;
  /** More key pairs, behind that one. */
  readonly keyNames?: readonly string[] | undefined;
  readonly files?: readonly InjectedFile[] | undefined;
  /** base64 */
  readonly userData?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** `nova`, or `nova:<host>`. */
  readonly availabilityZone?: string | undefined;
  readonly hostName?: string | undefined;
  readonly imageRef?: string | undefined;
  readonly flavorRef?: string | undefined;
  readonly configDrive?: boolean | undefined;
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
/** Most key pairs of one instance. */
export const INSTANCE_KEYS_MAX = 16;

export interface Databases {
  readonly apiDb: ApiDb;
  readonly cellDb: CellDb;
}

/** Who has a part in an instance's life. */
export interface InstanceHelpers {
  readonly placement: Placement;
  readonly guests: Guests;
  readonly news: MetadataNews;
  readonly keyPairs: MergedKeyPairs;
  readonly abandoned: AbandonedTasks;
}

/** Of one list, and of deletions at one time, that are ended on the way. */
const ABANDONED_MAX = 16;
const DELETE_TIMEOUT_MS = 60_000;

export class Instances {
  readonly #databases: Databases;
  readonly #cell: () => Promise<string>;
  readonly #placement: Placement;
  readonly #guests: Guests;
  readonly #news: MetadataNews;
  readonly #keyPairs: MergedKeyPairs;
  readonly #abandoned: AbandonedTasks;
  readonly #clock: Clock;
  readonly #deleting = new Set<string>();

  /** `cell` answers the uuid of the cell that new instances live in. */
  constructor(databases: Databases, cell: () => Promise<string>, { placement, guests, news, keyPairs, abandoned }: InstanceHelpers, clock: Clock) {
    this.#databases = databases;
    this.#cell = cell;
    this.#placement = placement;
    this.#guests = guests;
    this.#news = news;
    this.#keyPairs = keyPairs;
    this.#abandoned = abandoned;
    this.#clock = clock;
  }

  /**
   * Stores the instance with its keys and asks its host to make the guest. What fails after that shows as the
   * instance's state `error`. Throws INVALID_ARGUMENT (key name, zone), UNAVAILABLE (no host), PERMISSION_DENIED (quota).
   */
  async create(context: RequestContext, wanted: WantedInstance): Promise<StoredInstance> {
    const { apiDb, cellDb } = this.#databases;
    const { projectId, userId } = ownerOf(context);
    const { metadata = {}, files = [] } = wanted;
    checkMetadata(metadata);
    checkInjectedFiles(files);
    const keyPairs = await this.#keyPairsWanted(userId, wanted);
    const host = await this.#placement.choose(wanted.availabilityZone);
    const now = this.#clock.now();
    const uuid = randomUUID();
    // The mapping first: one without its instance is passed over, an instance without its mapping is lost.
    await apiDb.instanceMappings.save({ instanceUuid: uuid, cellUuid: await this.#cell(), projectId, userId, createdAt: now });
    const keypairs = { objects: keyPairs };
    const row = rowOf(wanted, { uuid, projectId, userId, host, metadata, keyPair: keyPairs[0] ?? null, createdAt: now });
    const instance = await cellDb.transaction(async (stores) => {
      const stored = await stores.instances.create(row);
      await stores.instanceExtra.saveKeyPairs(uuid, keypairs, now);
      if (files.length > 0) await stores.instanceExtra.saveInjectedFiles(uuid, files, now);
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
    const found = await this.#databases.cellDb.instances.list({
      limit: Math.min(limit, INSTANCES_PAGE_MAX),
      ...(allProjects ? {} : { projectId: ownerOf(context).projectId }),
      ...(marker === undefined ? {} : { marker }),
    });
    const abandoned = found.filter((instance) => this.#abandoned.has(instance)).slice(0, ABANDONED_MAX);
    if (abandoned.length === 0) return found;
    const ended = new Map(await Promise.all(abandoned.map(async (instance) => [instance.uuid, await this.#ended(instance, context).catch(() => instance)] as const)));
    // One that is gone by now stays, as it was found: a page that is shorter than its limit counts as the last.
    return found.map((instance) => ended.get(instance.uuid) ?? instance);
  }

  /** Without a task that nobody works on any more. Throws NOT_FOUND where there is no such instance for this caller. */
  async show(context: RequestContext, uuid: string): Promise<StoredInstance> {
    const found = isUuid(uuid) ? await this.#databases.cellDb.instances.find(uuid) : null;
    if (found === null || (!context.isAdmin && found.projectId !== context.projectId)) {
      throw notFound(uuid);
    }
    if (!this.#abandoned.has(found)) return found;
    const ended = await this.#ended(found, context);
    if (ended === null) throw notFound(uuid);
    return ended;
  }

  /**
   * Ends the instance's console sessions, then the guest, then marks the row, and ends the sessions once more: one
   * that came before the mark is found by the second look, none comes after it. A host or consoleauth that is not
   * there does not hold it up: the agent removes the guest when it next looks, and its sweep lets consoleauth end
   * the sessions. Throws NOT_FOUND.
   */
  async delete(context: RequestContext, uuid: string): Promise<void> {
    await this.show(context, uuid);
    await this.#delete(context, uuid);
  }

  async #delete(context: RequestContext, uuid: string): Promise<void> {
    const { cellDb } = this.#databases;
    // As it is now: it may just have moved.
    const instance = await cellDb.instances.update(uuid, { taskState: 'deleting' }, this.#clock.now());
    await this.#guests.endSessions(uuid, 'instance_deleted', context);
    await this.#guests.destroy(instance, 'instance_deleted', context);
    await cellDb.transaction(({ instances }) => instances.softDelete(uuid, this.#clock.now()));
    this.#news.tell(uuid, context);
    await this.#guests.endSessions(uuid, 'instance_deleted', context);
  }

  /** The user's key pair of that name; null for none. Throws INVALID_ARGUMENT where there is no such, or one without a public key. */
  async keyPairOf(userId: string, name: string | undefined): Promise<KeyPair | null> {
    if (name === undefined) return null;
    const found = await this.#keyPairs.find(userId, name);
    if (found?.publicKey == null) throw new ServiceError('INVALID_ARGUMENT', 'Invalid key_name provided.');
    return found;
  }

  /** The user's key pairs of these names, in their order. Throws INVALID_ARGUMENT, which names each that is not there. */
  async keyPairsOf(userId: string, names: readonly string[]): Promise<readonly KeyPair[]> {
    if (names.length > INSTANCE_KEYS_MAX) throw new ServiceError('INVALID_ARGUMENT', `an instance has at most ${INSTANCE_KEYS_MAX} key pairs; ${names.length} were named`);
    const found = await Promise.all(names.map((name) => this.#keyPairIfAny(userId, name)));
    const unknown = names.filter((_, index) => found[index] === null);
    if (unknown.length > 0) throw new ServiceError('INVALID_ARGUMENT', `user ${userId} has no key pair of the name ${unknown.map((name) => JSON.stringify(name)).join(', ')}`);
    return found.filter((keyPair) => keyPair !== null);
  }

  /** A deletion was asked for and is gone on with, behind the request that has seen it; null where the instance is gone. */
  async #ended(instance: StoredInstance, context: RequestContext): Promise<StoredInstance | null> {
    const { uuid, taskState } = instance;
    if (taskState !== 'deleting') return this.#abandoned.end(instance);
    if (this.#deleting.size < ABANDONED_MAX && !this.#deleting.has(uuid)) {
      this.#deleting.add(uuid);
      // Where it fails the next who looks begins it again.
      void this.#delete(ownContext(context, DELETE_TIMEOUT_MS), uuid).catch(() => {}).finally(() => this.#deleting.delete(uuid));
    }
    return instance;
  }

  /** A single name is refused in Nova's words. */
  async #keyPairsWanted(userId: string, { keyName, keyNames = [] }: WantedInstance): Promise<readonly KeyPair[]> {
    const first = await this.keyPairOf(userId, keyName);
    const others = keyNames.filter((name) => name !== keyName);
    if (first === null) return this.keyPairsOf(userId, others);
    if (others.length >= INSTANCE_KEYS_MAX) throw new ServiceError('INVALID_ARGUMENT', `an instance has at most ${INSTANCE_KEYS_MAX} key pairs, key_name's among them`);
    return [first, ...(await this.keyPairsOf(userId, others))];
  }

  async #keyPairIfAny(userId: string, name: string): Promise<KeyPair | null> {
    try {
      return await this.keyPairOf(userId, name);
    } catch (error) {
      if (isServiceError(error) && error.code === 'INVALID_ARGUMENT') return null;
      throw error;
    }
  }

  async #requireMarker(context: RequestContext, marker: string): Promise<void> {
    try {
      await this.show(context, marker);
    } catch (cause) {
      throw new ServiceError('INVALID_ARGUMENT', `marker [${marker.slice(0, 255)}] not found`, { cause });
    }
  }
}

function notFound(uuid: string): ServiceError {
  return new ServiceError('NOT_FOUND', `Instance ${uuid.slice(0, 255)} could not be found.`);
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
  readonly keyPair: KeyPair | null;
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
    configDrive: wanted.configDrive ?? false,
  };
}
