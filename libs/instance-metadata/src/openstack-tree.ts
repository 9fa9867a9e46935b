/** The tree below /openstack: a folder a version, each with the files and the keys that its version knew. */
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { guestKeys, keyTextsByName } from './guest-keys.ts';
import { networkData, nicDevices } from './guest-network.ts';
import { JSON_TYPE, file, folder, folderOf, liveFile, seededFile } from './metadata-tree.ts';
import type { Content, File, Folder } from './metadata-tree.ts';
import type { SeededText } from './seeded-text.ts';
import type { VendorData } from './vendor-data.ts';
import { FOLSOM, GRIZZLY, HAVANA, LATEST, LIBERTY, NEWTON_ONE, NEWTON_TWO, OPENSTACK_LATEST, OPENSTACK_VERSIONS, VICTORIA } from './versions.ts';
import type { OpenstackVersion } from './versions.ts';

export interface OpenstackSources {
  readonly vendorData: VendorData;
  /** What the guest has posted; empty for nothing. */
  readonly password: () => Content | Promise<Content>;
  /** Versions of later days are not listed. */
  readonly now: Date;
}

type FileSources = Omit<OpenstackSources, 'now'>;

/** Appended to host names, as Nova's `dhcp_domain` is by default. */
const DOMAIN = 'novalocal';

/** Bytes of randomness for a guest's generator, new at every request. */
const SEED_BYTES = 512;

/** What is in a version's folder, in this order, and with which version it came. */
const BROUGHT = [
  ['meta_data.json', FOLSOM],
  ['user_data', FOLSOM],
  ['password', GRIZZLY],
  ['vendor_data.json', HAVANA],
  ['network_data.json', LIBERTY],
  ['vendor_data2.json', NEWTON_TWO],
] as const;
type FileName = (typeof BROUGHT)[number][0];

const CONTENT = 'content';
const VERSIONS = [...OPENSTACK_VERSIONS, LATEST] as const;
const SERVED = [...VERSIONS, CONTENT] as const;

/** As it is served. Its listing is another on another day. */
export function openstackTree(facts: InstanceFacts, sources: OpenstackSources): Folder {
  const listing = (): readonly string[] => {
    const today = sources.now.toISOString().slice(0, 'YYYY-MM-DD'.length);
    return [...OPENSTACK_VERSIONS.filter((version) => version <= today), LATEST];
  };
  return { ...folderOf(SERVED, (name) => (name === CONTENT ? content(facts) : servedFolder(facts, versionOf(name), sources)), listing), isLive: true };
}

/** As a disk brings it: without what a service alone can do, a password among it. */
export function openstackDrive(facts: InstanceFacts, vendorData: VendorData): Folder {
  const versionFolder = (version: OpenstackVersion): Folder => {
    const names = namesIn(version, facts).filter((name) => name !== 'password');
    return folderOf(names, (name) => fileNamed(name, facts, version, { vendorData, password: () => '' }));
  };
  const names = facts.injectedFiles.length === 0 ? VERSIONS : SERVED;
  return folderOf<(typeof SERVED)[number]>(names, (name) => (name === CONTENT ? content(facts) : versionFolder(versionOf(name))));
}

function versionOf(name: (typeof VERSIONS)[number]): OpenstackVersion {
  return name === LATEST ? OPENSTACK_LATEST : name;
}

/** Nova lists the network's file from Liberty on, and serves it in every version; `version` is a listing under another name. */
function servedFolder(facts: InstanceFacts, version: OpenstackVersion, sources: FileSources): Folder {
  const listed = namesIn(version, facts);
  const names = version >= LIBERTY ? ([...listed, 'version'] as const) : ([...listed, 'network_data.json', 'version'] as const);
  const entryOf = (name: FileName | 'version'): File => (name === 'version' ? file(() => listed.join('\n')) : fileNamed(name, facts, version, sources));
  return folderOf<FileName | 'version'>(names, entryOf, () => listed);
}

function namesIn(version: OpenstackVersion, { userData }: InstanceFacts): readonly FileName[] {
  return BROUGHT.flatMap(([name, since]) => (version >= since && (name !== 'user_data' || userData !== null) ? [name] : []));
}

function fileNamed(name: FileName, facts: InstanceFacts, version: OpenstackVersion, { vendorData, password }: FileSources): File {
  switch (name) {
    case 'meta_data.json':
      return metaDataFile(facts, version);
    case 'user_data':
      return file(() => Buffer.from(facts.userData ?? '', 'base64'));
    case 'password':
      return liveFile(password);
    case 'vendor_data.json':
      return liveFile(() => JSON.stringify(vendorData.fixed()), JSON_TYPE);
    case 'network_data.json':
      return networkFile(facts);
    case 'vendor_data2.json':
      return liveFile(() => vendorData2(facts, vendorData), JSON_TYPE);
  }
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
  if (version < GRIZZLY) return file(() => JSON.stringify({ ...beforeSeed(facts), ...afterSeed(facts, version) }), JSON_TYPE);
  return seededFile(() => withSeed(beforeSeed(facts), afterSeed(facts, version)), JSON_TYPE);
}

/** One JSON object of what stands before the seed, which is never nothing, the seed, and what stands after it. */
function withSeed(first: object, last: object): SeededText {
  const rest = JSON.stringify(last).slice(1);
  return { before: `${JSON.stringify(first).slice(0, -1)},"random_seed":"`, after: rest === '}' ? '"}' : `",${rest}`, seedBytes: SEED_BYTES };
}

/** JSON leaves out what is undefined. */
function beforeSeed(facts: InstanceFacts): object {
  const keys = guestKeys(facts);
  const files = facts.injectedFiles.map(({ path }, index) => ({ path, content_path: `/content/${contentName(index)}` }));
  return {
    uuid: facts.uuid,
    meta: Object.keys(facts.metadata).length > 0 ? facts.metadata : undefined,
    files: files.length > 0 ? files : undefined,
    // All of them, where Nova shows the first alone: guests install every entry.
    public_keys: keys.length > 0 ? keyTextsByName(keys) : undefined,
    keys: keys.length > 0 ? keys.map(({ name, type, text }) => ({ name, type, data: text })) : undefined,
    hostname: hostName(facts.hostname),
    name: facts.displayName,
    launch_index: facts.launchIndex,
    availability_zone: facts.availabilityZone,
  };
}

function afterSeed(facts: InstanceFacts, version: OpenstackVersion): object {
  return {
    project_id: version >= LIBERTY ? facts.projectId : undefined,
    devices: version >= NEWTON_ONE ? nicDevices(facts, version) : undefined,
    // No guest here has CPUs of its own.
    dedicated_cpus: version >= VICTORIA ? [] : undefined,
  };
}

export function hostName(name: string | null): string {
  return name === null || name === '' ? '' : `${name}.${DOMAIN}`;
}
