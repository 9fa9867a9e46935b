/** The tree below /openstack: a folder a version, each with the files and the keys that its version knew. */
import { randomBytes } from 'node:crypto';
import type { KeyPair } from '@gatehouse/objects/key-pair';
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { JSON_TYPE, file, folder } from './metadata-tree.ts';
import type { Folder, Node } from './metadata-tree.ts';

const FOLSOM = '2012-08-10';
const GRIZZLY = '2013-04-04';
const HAVANA = '2013-10-17';
const LIBERTY = '2015-10-15';
const NEWTON_ONE = '2016-06-30';
const NEWTON_TWO = '2016-10-06';
const OCATA = '2017-02-22';
const ROCKY = '2018-08-27';
const VICTORIA = '2020-10-14';

const VERSIONS = [FOLSOM, GRIZZLY, HAVANA, LIBERTY, NEWTON_ONE, NEWTON_TWO, OCATA, ROCKY, VICTORIA];
const LATEST = VICTORIA;

/** Appended to host names, as Nova's `dhcp_domain` is by default. */
export const DOMAIN = 'novalocal';

/** Bytes of randomness for a guest's generator, new at every request. */
const SEED_BYTES = 512;

export function openstackTree(facts: InstanceFacts): Folder {
  const versions = VERSIONS.map((version) => [version, versionFolder(facts, version)] as const);
  return folder(
    { ...Object.fromEntries(versions), latest: versionFolder(facts, LATEST) },
    [...VERSIONS, 'latest'],
  );
}

function versionFolder(facts: InstanceFacts, version: string): Folder {
  const { userData } = facts;
  const since = (first: string, entries: Readonly<Record<string, Node>>): Readonly<Record<string, Node>> =>
    version >= first ? entries : {};
  const entries: Readonly<Record<string, Node>> = {
    'meta_data.json': json(() => metaData(facts, version)),
    ...(userData === null ? {} : { user_data: file(() => Buffer.from(userData, 'base64')) }),
    ...since(GRIZZLY, { password: file(() => '', 'text/html; charset=UTF-8') }),
    ...since(HAVANA, { 'vendor_data.json': json(() => ({})) }),
    // As text, as Nova serves this one.
    'network_data.json': file(() => JSON.stringify(facts.network ?? {})),
    ...since(NEWTON_TWO, { 'vendor_data2.json': json(() => ({ static: {} })) }),
  };
  // Nova lists the network's file from Liberty on, and serves it in every version.
  const listed = Object.keys(entries).filter((name) => name !== 'network_data.json' || version >= LIBERTY);
  return folder(entries, listed);
}

function json(value: () => object): Node {
  return file(() => JSON.stringify(value()), JSON_TYPE);
}

function metaData(facts: InstanceFacts, version: string): object {
  const since = (first: string, value: () => object): object => (version >= first ? value() : {});
  const { keyPairs } = facts;
  return {
    uuid: facts.uuid,
    ...(Object.keys(facts.metadata).length > 0 ? { meta: facts.metadata } : {}),
    ...(keyPairs === null || keyPairs.length === 0 ? {} : keysOf(keyPairs)),
    hostname: hostName(facts.hostname),
    name: facts.displayName,
    launch_index: facts.launchIndex,
    availability_zone: facts.availabilityZone,
    ...since(GRIZZLY, () => ({ random_seed: randomBytes(SEED_BYTES).toString('base64') })),
    ...since(LIBERTY, () => ({ project_id: facts.projectId })),
    ...since(NEWTON_ONE, () => ({ devices: [] })),
    ...since(VICTORIA, () => ({ dedicated_cpus: [] })),
  };
}

/** All of them, where Nova shows the first alone: guests install every entry. */
function keysOf(keyPairs: readonly KeyPair[]): object {
  return {
    public_keys: Object.fromEntries(keyPairs.map(({ name, publicKey = null }) => [name, publicKey])),
    keys: keyPairs.map(({ name, type, publicKey: data = null }) => ({ name, type, data })),
  };
}

export function hostName(name: string | null): string {
  return name === null || name === '' ? '' : `${name}.${DOMAIN}`;
}
