/** The tree below /openstack: a folder a version, each with the files and the keys that its version knew. */
import { randomBytes } from 'node:crypto';
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { guestKeys, keyTextsByName } from './guest-keys.ts';
import { networkData, nicDevices } from './guest-network.ts';
import { JSON_TYPE, file, folder, liveFile } from './metadata-tree.ts';
import type { Content, Entries, File, Folder } from './metadata-tree.ts';
import type { VendorData } from './vendor-data.ts';
import { GRIZZLY, HAVANA, LATEST, LIBERTY, NEWTON_ONE, NEWTON_TWO, OPENSTACK_LATEST, OPENSTACK_VERSIONS, VICTORIA } from './versions.ts';
import type { OpenstackVersion } from './versions.ts';

export interface OpenstackSources {
  readonly vendorData: VendorData;
  /** What the guest has posted; empty for nothing. */
  readonly password: () => Content | Promise<Content>;
  /** Versions of later days are not listed. */
  readonly now: Date;
}

/** Appended to host names, as Nova's `dhcp_domain` is by default. */
const DOMAIN = 'novalocal';

/** Bytes of randomness for a guest's generator, new at every request. */
const SEED_BYTES = 512;

const NO_ENTRIES: Entries = {};

/** As it is served. Its listing is another on another day. */
export function openstackTree(facts: InstanceFacts, sources: OpenstackSources): Folder {
  const today = sources.now.toISOString().slice(0, 'YYYY-MM-DD'.length);
  const listing = [...OPENSTACK_VERSIONS.filter((version) => version <= today), LATEST];
  return { ...folder(() => ({ ...byVersion((version) => servedFolder(facts, version, sources)), content: content(facts) }), () => listing), isLive: true };
}

/** As a disk brings it: without what a service alone can do, a password among it. */
export function openstackDrive(facts: InstanceFacts, vendorData: VendorData): Folder {
  return folder(() => ({
    ...byVersion((version) => folder(() => filesOfVersion(facts, version, vendorData, null))),
    ...(facts.injectedFiles.length === 0 ? NO_ENTRIES : { content: content(facts) }),
  }));
}

function byVersion(folderOf: (version: OpenstackVersion) => Folder): Entries {
  const versions = OPENSTACK_VERSIONS.map((version) => [version, folderOf(version)] as const);
  return Object.fromEntries([...versions, [LATEST, folderOf(OPENSTACK_LATEST)]]);
}

/** Nova lists the network's file from Liberty on, and serves it in every version; `version` is a listing under another name. */
function servedFolder(facts: InstanceFacts, version: OpenstackVersion, { vendorData, password }: OpenstackSources): Folder {
  const listed = (): Entries => filesOfVersion(facts, version, vendorData, liveFile(password));
  const listing = (): readonly string[] => Object.keys(listed());
  const unlisted = (): Entries => ({ 'network_data.json': networkFile(facts), version: file(() => listing().join('\n')) });
  return folder(() => ({ ...unlisted(), ...listed() }), listing);
}

function filesOfVersion(facts: InstanceFacts, version: OpenstackVersion, vendorData: VendorData, password: File | null): Entries {
  const { userData } = facts;
  const since = (first: OpenstackVersion, entries: Entries): Entries => (version >= first ? entries : NO_ENTRIES);
  return {
    'meta_data.json': metaDataFile(facts, version),
    ...(userData === null ? NO_ENTRIES : { user_data: file(() => Buffer.from(userData, 'base64')) }),
    ...(password === null ? NO_ENTRIES : since(GRIZZLY, { password })),
    ...since(HAVANA, { 'vendor_data.json': liveFile(() => JSON.stringify(vendorData.fixed()), JSON_TYPE) }),
    ...since(LIBERTY, { 'network_data.json': networkFile(facts) }),
    ...since(NEWTON_TWO, { 'vendor_data2.json': liveFile(() => vendorData2(facts, vendorData), JSON_TYPE) }),
  };
}

/** Text, as Nova serves this one. */
function networkFile(facts: InstanceFacts): File {
  return file(() => JSON.stringify(networkData(facts)));
}

/** `static` is the operator's own: nothing that is asked for takes its place. */
async function vendorData2(facts: InstanceFacts, vendorData: VendorData): Promise<string> {
  return JSON.stringify({ ...(await vendorData.named(facts)), static: vendorData.fixed() });
}

/** Files for the guest, by the numbers that meta_data.json says. */
function content({ injectedFiles }: InstanceFacts): Folder {
  const files = injectedFiles.map(({ contents }, index) => [contentName(index), file(() => Buffer.from(contents, 'base64'))] as const);
  return folder(() => Object.fromEntries(files), null);
}

function contentName(index: number): string {
  return String(index).padStart(4, '0');
}

/** The seed is new at every request; the rest stays the same. */
function metaDataFile(facts: InstanceFacts, version: OpenstackVersion): File {
  const withSeed = (seed: object): string => JSON.stringify({ ...beforeSeed(facts), ...seed, ...afterSeed(facts, version) });
  if (version < GRIZZLY) return file(() => withSeed({}), JSON_TYPE);
  return { ...file(() => withSeed({ random_seed: randomBytes(SEED_BYTES).toString('base64') }), JSON_TYPE), stable: () => withSeed({}) };
}

function beforeSeed(facts: InstanceFacts): object {
  const keys = guestKeys(facts);
  const files = facts.injectedFiles.map(({ path }, index) => ({ path, content_path: `/content/${contentName(index)}` }));
  return {
    uuid: facts.uuid,
    ...(Object.keys(facts.metadata).length > 0 ? { meta: facts.metadata } : {}),
    ...(files.length > 0 ? { files } : {}),
    // All of them, where Nova shows the first alone: guests install every entry.
    ...(keys.length > 0 ? { public_keys: keyTextsByName(keys), keys: keys.map(({ name, type, text }) => ({ name, type, data: text })) } : {}),
    hostname: hostName(facts.hostname),
    name: facts.displayName,
    launch_index: facts.launchIndex,
    availability_zone: facts.availabilityZone,
  };
}

function afterSeed(facts: InstanceFacts, version: OpenstackVersion): object {
  const since = (first: OpenstackVersion, value: () => object): object => (version >= first ? value() : {});
  return {
    ...since(LIBERTY, () => ({ project_id: facts.projectId })),
    ...since(NEWTON_ONE, () => ({ devices: nicDevices(facts, version) })),
    // No guest here has CPUs of its own.
    ...since(VICTORIA, () => ({ dedicated_cpus: [] })),
  };
}

export function hostName(name: string | null): string {
  return name === null || name === '' ? '' : `${name}.${DOMAIN}`;
}
