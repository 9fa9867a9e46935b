/** Facts of an instance for tests, and what else a tree is made of. */
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import type { KeyPair } from '@gatehouse/objects/key-pair';
import { filesOf, stepsOf, walk } from './metadata-tree.ts';
import type { Answer, Folder } from './metadata-tree.ts';
import { NO_VENDOR_DATA } from './vendor-data.ts';
import { servedTree } from './whole-trees.ts';
import type { ServedSources } from './whole-trees.ts';

export const SSH_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC5/C1oWRCMrHmqwpgfl7jhJuhCHRhFQrvQd6FXg5+Sw bob@host';
export const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nMIIBszCCARwCCQ==\n-----END CERTIFICATE-----\n';

/** What Nova's tests know as their instance. */
export function factsOf(wanted: Partial<InstanceFacts> = {}): InstanceFacts {
  return {
    uuid: 'b65cee2f-8c69-4aeb-be2f-f79742548fc2',
    id: 1,
    projectId: 'test',
    userId: 'fake_user',
    displayName: 'my_displayname',
    hostname: 'test',
    availabilityZone: 'fake-az',
    launchIndex: 1,
    reservationId: 'r-xxxxxxxx',
    imageRef: '155d900f-4e14-4e4c-a73d-069cbf4541e6',
    flavorRef: 'm1.small',
    metadata: {},
    userData: Buffer.from('This is an encoded string').toString('base64'),
    configDrive: false,
    network: null,
    fixedAddresses: [],
    floatingAddresses: [],
    injectedFiles: [],
    keyPairs: [keyPair('key', SSH_KEY)],
    keyName: 'key',
    keyData: SSH_KEY,
    metadataTokens: null,
    generation: 0,
    revision: '0',
    ...wanted,
  };
}

export function keyPair(name: string, publicKey: string | null, type = 'ssh', userId = 'fake_user'): KeyPair {
  return { name, type, publicKey, userId, fingerprint: null };
}

export const NOTHING_ELSE: ServedSources = { vendorData: NO_VENDOR_DATA, password: () => '', now: new Date('2026-01-01T00:00:00Z'), address: null };

/** What is served at a path. Rejects with NOT_FOUND where nothing is. */
export async function read(facts: InstanceFacts, path: string, sources: Partial<ServedSources> = {}): Promise<Answer> {
  return walk(servedTree(facts, { ...NOTHING_ELSE, ...sources }), stepsOf(path));
}

export async function readText(facts: InstanceFacts, path: string, sources: Partial<ServedSources> = {}): Promise<string> {
  return (await read(facts, path, sources)).content.toString();
}

export async function readMetaData(facts: InstanceFacts, version = 'latest'): Promise<Readonly<Record<string, unknown>>> {
  return JSON.parse(await readText(facts, `/openstack/${version}/meta_data.json`)) as Readonly<Record<string, unknown>>;
}

export function pathsOf(tree: Folder): readonly string[] {
  return filesOf(tree).map(({ path }) => path);
}
