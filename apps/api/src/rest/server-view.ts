/** How a server looks to a REST client, by microversion; the order of keys is Nova's. */
import { createHash } from 'node:crypto';
import type { StoredInstance } from '@gatehouse/cell-db/instances-store';
import { ZONE } from '../placement.ts';
import type { ApiCall } from './api-call.ts';
import type { JsonObject } from './json.ts';
import { pythonTime } from './key-pair-view.ts';

const REBUILD = { rebuilding: 'REBUILD', rebuild_spawning: 'REBUILD' };
const RESIZE = { resize_prep: 'RESIZE', resize_finish: 'RESIZE' };

/** By vm_state: what is shown, and what instead while one of some tasks is under way. As Nova's _STATE_MAP. */
const STATUS: Readonly<Record<string, readonly [string, Readonly<Record<string, string>>]>> = {
  active: ['ACTIVE', { rebooting: 'REBOOT', rebooting_hard: 'HARD_REBOOT', migrating: 'MIGRATING', ...REBUILD, ...RESIZE }],
  building: ['BUILD', {}],
  deleted: ['DELETED', {}],
  error: ['ERROR', REBUILD],
  resized: ['VERIFY_RESIZE', { resize_reverting: 'REVERT_RESIZE' }],
  shelved: ['SHELVED', {}],
  shelved_offloaded: ['SHELVED_OFFLOADED', {}],
  stopped: ['SHUTOFF', { ...REBUILD, ...RESIZE }],
};

function statusOf({ vmState, taskState }: StoredInstance): string {
  const [status, underWay] = STATUS[vmState ?? ''] ?? ['UNKNOWN', {}];
  return underWay[taskState ?? ''] ?? status;
}

/** Where Nova shows how far it is. */
const WITH_PROGRESS: ReadonlySet<string> = new Set(['ACTIVE', 'BUILD', 'REBUILD', 'RESIZE', 'VERIFY_RESIZE', 'MIGRATING']);
const OFF: ReadonlySet<string | null> = new Set(['stopped', 'shelved', 'shelved_offloaded']);

const POWER_RUNNING = 1;
const POWER_SHUTDOWN = 4;
const POWER_UNKNOWN = 0;

/** The answer to a POST. */
export function createdServer(instance: StoredInstance, adminPass: string, call: ApiCall): JsonObject {
  return {
    server: {
      id: instance.uuid,
      links: links(instance, call),
      'OS-DCF:diskConfig': 'MANUAL',
      security_groups: [{ name: 'default' }],
      adminPass,
    },
  };
}

/** An entry of the list without details. */
export function briefServer(instance: StoredInstance, call: ApiCall): JsonObject {
  return { id: instance.uuid, name: instance.displayName, links: links(instance, call) };
}

export function detailedServer(instance: StoredInstance, call: ApiCall): JsonObject {
  const status = statusOf(instance);
  return {
    id: instance.uuid,
    name: instance.displayName,
    status,
    tenant_id: instance.projectId,
    user_id: instance.userId,
    metadata: instance.metadata ?? {},
    hostId: hostId(instance),
    image: image(instance, call),
    flavor: flavor(instance, call),
    created: seconds(instance.createdAt),
    updated: seconds(instance.updatedAt ?? instance.createdAt),
    addresses: {},
    accessIPv4: '',
    accessIPv6: '',
    links: links(instance, call),
    'OS-DCF:diskConfig': 'MANUAL',
    ...(WITH_PROGRESS.has(status) ? { progress: 0 } : {}),
    'OS-EXT-AZ:availability_zone': instance.availabilityZone ?? ZONE,
    config_drive: instance.configDrive ? 'True' : '',
    key_name: instance.keyName,
    'OS-SRV-USG:launched_at': pythonTime(instance.launchedAt),
    'OS-SRV-USG:terminated_at': null,
    ...(call.context.isAdmin ? adminsView(instance, call) : {}),
    ...(call.version >= 90 && !call.context.isAdmin ? { 'OS-EXT-SRV-ATTR:hostname': instance.hostname } : {}),
    'OS-EXT-STS:task_state': instance.taskState,
    'OS-EXT-STS:vm_state': instance.vmState,
    'OS-EXT-STS:power_state': powerState(instance),
    'os-extended-volumes:volumes_attached': [],
    security_groups: [{ name: 'default' }],
    ...newerFields(instance, call),
  };
}

/** The answer to a rebuild: the server, of which Nova shows all only from 2.75 on, and the password of its administrator. */
export function rebuiltServer(instance: StoredInstance, adminPass: string, call: ApiCall): JsonObject {
  const server = detailedServer(instance, call);
  if (call.version >= 75) return { ...server, adminPass };
  const shown = Object.entries(server).filter(([name]) => !/^OS-(?:EXT|SRV)-|^(?:os-extended-volumes|security_groups|config_drive|host_status|key_name)/.test(name));
  const keyName = call.version >= 54 ? { key_name: instance.keyName } : {};
  const userData = call.version >= 57 ? { user_data: instance.userData } : {};
  return { ...Object.fromEntries(shown), ...keyName, ...userData, adminPass };
}

function adminsView(instance: StoredInstance, call: ApiCall): JsonObject {
  const since23 = {
    'OS-EXT-SRV-ATTR:reservation_id': null,
    'OS-EXT-SRV-ATTR:launch_index': instance.launchIndex,
    'OS-EXT-SRV-ATTR:hostname': instance.hostname,
    'OS-EXT-SRV-ATTR:kernel_id': '',
    'OS-EXT-SRV-ATTR:ramdisk_id': '',
    'OS-EXT-SRV-ATTR:root_device_name': null,
    'OS-EXT-SRV-ATTR:user_data': instance.userData,
  };
  return {
    'OS-EXT-SRV-ATTR:host': instance.host,
    'OS-EXT-SRV-ATTR:instance_name': `instance-${instance.id.toString(16).padStart(8, '0')}`,
    'OS-EXT-SRV-ATTR:hypervisor_hostname': instance.host,
    ...(call.version >= 3 ? since23 : {}),
  };
}

function newerFields(instance: StoredInstance, { version, context }: ApiCall): JsonObject {
  return {
    ...(version >= 9 ? { locked: false } : {}),
    ...(version >= 16 && context.isAdmin ? { host_status: instance.host === null ? '' : 'UP' } : {}),
    ...(version >= 19 ? { description: null } : {}),
    ...(version >= 26 ? { tags: [] } : {}),
    ...(version >= 63 ? { trusted_image_certificates: null } : {}),
    ...(version >= 71 ? { server_groups: [] } : {}),
    ...(version >= 73 ? { locked_reason: null } : {}),
  };
}

/** There are no flavors here; clients want one, and are shown what was asked for. */
function flavor({ flavorRef }: StoredInstance, call: ApiCall): JsonObject {
  const id = flavorRef ?? 'console';
  if (call.version < 47) return { id, links: [{ rel: 'bookmark', href: `${call.rootUrl}/flavors/${encodeURIComponent(id)}` }] };
  return { vcpus: 1, ram: 256, disk: 0, ephemeral: 0, swap: 0, original_name: id, extra_specs: {} };
}

/** An empty text is Nova's word for none. */
function image({ imageRef }: StoredInstance, call: ApiCall): JsonObject | string {
  if (imageRef === null || imageRef === '') return '';
  return { id: imageRef, links: [{ rel: 'bookmark', href: `${call.rootUrl}/images/${encodeURIComponent(imageRef)}` }] };
}

function links(instance: StoredInstance, call: ApiCall): readonly JsonObject[] {
  const bookmark = call.prefix.slice('/v2.1'.length);
  return [
    { rel: 'self', href: `${call.rootUrl}${call.prefix}/servers/${instance.uuid}` },
    { rel: 'bookmark', href: `${call.rootUrl}${bookmark}/servers/${instance.uuid}` },
  ];
}

/** Tells two hosts apart without naming them, differently for each project. */
function hostId({ projectId, host }: StoredInstance): string {
  return host === null ? '' : createHash('sha224').update(`${projectId}${host}`).digest('hex');
}

function powerState({ vmState, systemMetadata }: StoredInstance): number {
  const state = vmState === 'resized' ? (systemMetadata['old_vm_state'] ?? 'active') : vmState;
  if (state === 'active') return POWER_RUNNING;
  return OFF.has(state) ? POWER_SHUTDOWN : POWER_UNKNOWN;
}

/** `2026-11-21T21:44:36Z` */
function seconds(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}
