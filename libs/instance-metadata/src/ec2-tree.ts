/**
 * The tree of EC2's versions. Its ids are made of what this cell knows: an instance's number, which no other instance of its cell has, and
 * the first digits of its image's UUID. They tell a guest whether it is still the one it was; they name nothing that an API takes.
 */
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { guestKeys } from './guest-keys.ts';
import { firstIpv4 } from './guest-network.ts';
import { JSON_TYPE, file, folder, folderOf, liveFile } from './metadata-tree.ts';
import type { Entries, Folder, Node } from './metadata-tree.ts';
import { hostName } from './openstack-tree.ts';
import { EC2_LATEST, EC2_VERSIONS, LATEST } from './versions.ts';
import type { Ec2Version } from './versions.ts';

/** What anybody may read, and no more than the versions' names. */
export const EC2_LISTING = [...EC2_VERSIONS, LATEST] as const;
export type Ec2Name = (typeof EC2_LISTING)[number];

/** Versions that a disk brings, as Nova's `config_drive_skip_versions` leaves them by default. */
const ON_A_DRIVE = [EC2_LATEST, LATEST] as const;

type Value = string | number | readonly string[] | { readonly [name: string]: Value };
type Values = Readonly<Record<string, Value>>;

/** As it is served. `address`: where the request came from, if that is known to be the guest's. */
export function ec2Tree(facts: InstanceFacts, address: string | null): Folder {
  return folderOf(EC2_LISTING, (name) => ec2Version(facts, name, address), () => EC2_LISTING);
}

/** As a disk brings it: each version's leaves in one document. */
export function ec2Drive(facts: InstanceFacts): Folder {
  return folderOf(ON_A_DRIVE, (name) => folder(() => ({
    ...userData(facts),
    'meta-data.json': file(() => JSON.stringify(valuesOf(facts, versionOf(name), null)), JSON_TYPE),
  })));
}

function versionOf(name: Ec2Name): Ec2Version {
  return name === LATEST ? EC2_LATEST : name;
}

/** One of those that are listed. */
export function ec2Version(facts: InstanceFacts, name: Ec2Name, address: string | null): Folder {
  const version = versionOf(name);
  const metaData = (): Entries => {
    const values = valuesOf(facts, version, address);
    const ownIpv4 = liveFile(() => String(values['local-ipv4']));
    return { ...nodesOf(values), 'local-ipv4': ownIpv4, ...(values['public-keys'] === undefined ? {} : { 'public-keys': publicKeys(facts) }) };
  };
  return folder(() => ({ 'meta-data': folder(metaData), ...userData(facts) }));
}

function userData({ userData: encoded }: InstanceFacts): Entries {
  return encoded === null ? {} : { 'user-data': file(() => Buffer.from(encoded, 'base64')) };
}

function valuesOf(facts: InstanceFacts, version: Ec2Version, address: string | null): Values {
  const since = (first: Ec2Version, values: Values): Values => (version >= first ? values : {});
  const host = hostName(facts.hostname);
  const keys = guestKeys(facts);
  return {
    'ami-id': `ami-${(facts.imageRef ?? '').replaceAll(/[^0-9a-f]/gi, '').slice(0, ID_DIGITS).toLowerCase().padStart(ID_DIGITS, '0')}`,
    'ami-launch-index': facts.launchIndex,
    'ami-manifest-path': 'FIXME',
    'instance-id': `i-${facts.id.toString(16).padStart(ID_DIGITS, '0')}`,
    hostname: host,
    'local-ipv4': firstIpv4(facts) ?? address ?? '',
    // A request makes one instance here, and so each is a reservation of its own.
    'reservation-id': facts.reservationId ?? `r-${facts.uuid.slice(0, ID_DIGITS)}`,
    // There are none here: what guards a guest's ports is known to the network's service alone.
    'security-groups': [],
    ...(keys.length === 0 ? {} : { 'public-keys': Object.fromEntries(keys.map(({ text }, index) => [String(index), { 'openssh-key': text }])) }),
    ...since('2007-01-19', { 'local-hostname': host, 'public-hostname': host, 'public-ipv4': facts.floatingAddresses[0] ?? '' }),
    ...since('2007-08-29', { 'instance-type': facts.flavorRef ?? '' }),
    ...since('2007-12-15', { 'block-device-mapping': ROOT_DEVICE }),
    ...since('2008-02-01', { placement: { 'availability-zone': facts.availabilityZone ?? '' } }),
    ...since('2008-09-01', { 'instance-action': 'none' }),
  };
}

/** Of the hexadecimal ids. */
const ID_DIGITS = 8;

/** A guest's first disk is a virtio disk, and Linux calls it so. */
const ROOT_DEVICE: Values = { ami: 'vda', root: '/dev/vda' };

/** By number; the listing says the names too. Below a number Nova has the line of the listing once more. */
function publicKeys(facts: InstanceFacts): Folder {
  const keys = guestKeys(facts);
  const lines = keys.map(({ name }, index) => `${index}=${oneLine(name)}`);
  const entries = keys.map(({ text }, index) =>
    [String(index), folder(() => ({ 'openssh-key': file(() => text), _name: file(() => lines[index] ?? '') }), () => ['openssh-key'])] as const);
  return folder(() => Object.fromEntries(entries), () => lines);
}

/** A name's line must not become two, by any sign that a client splits lines at. */
function oneLine(name: string): string {
  return name.replaceAll(/[\p{Cc}\u2028\u2029]/gu, ' ');
}

function nodesOf(values: Values): Entries {
  return sorted(Object.fromEntries(Object.entries(values).map(([name, value]) => [name, nodeOf(value)])));
}

function nodeOf(value: Value): Node {
  if (typeof value === 'string' || typeof value === 'number') return file(() => String(value));
  if (isList(value)) return file(() => value.join('\n'));
  return folder(() => nodesOf(value));
}

function isList(value: Value): value is readonly string[] {
  return Array.isArray(value);
}

function sorted(entries: Entries): Entries {
  return Object.fromEntries(Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1)));
}
