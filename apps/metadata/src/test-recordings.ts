/** Recordings of Nova's own metadata service (26.2.2, behind a signing proxy), and the instances that they are of. */
import { readFileSync, readdirSync } from 'node:fs';
import { Client } from 'pg';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { NetworkData } from '@gatehouse/cell-db/instance-facts-store';

export interface Recording {
  /** Its file's, without what they all have. */
  readonly name: string;
  readonly request: { readonly method: string; readonly path: string; readonly headers: Readonly<Record<string, string>>; readonly body?: string };
  readonly response: { readonly status: number; readonly headers: readonly (readonly [string, string])[]; readonly body: string };
}

const FOLDER = new URL('../test-vectors/recordings/', import.meta.url);

/** In the order in which they were made: passwords are posted on the way. */
export function readRecordings(): readonly Recording[] {
  return readdirSync(FOLDER).sort().map((file) => {
    const { request, response } = JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as Recording;
    return { name: file.replace(/^metadata-/, '').replace(/\.json$/, ''), request, response };
  });
}

export const PLAIN = '15b942e0-b17a-5deb-b468-acabe2a20ce2';
export const FULL = '2236ef75-e2e1-5c5b-a001-b22630201a25';
export const LEGACY = 'ee6e0ef4-64f8-5442-9741-384edc52b208';

const PROJECT = 'p-demo';
const USER = 'u-demo';
const ED25519 = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC5/C1oWRCMrHmqwpgfl7jhJuhCHRhFQrvQd6FXg5+Sw bob@host';
const RSA = readFileSync(new URL('../test-vectors/rsa2048.pub', import.meta.url), 'utf8').trim();
/** Nova's number of an image is one of a table; here it is the image's UUID that gives it. */
const IMAGE = '00000001-4e14-4e4c-a73d-069cbf4541e6';
const PRIVATE = '63be97b8-fd92-5746-a337-5a84b66e4a93';

/** network_data.json as it was recorded, and what the links say beside it of their devices. */
const NETWORK: NetworkData = {
  links: [
    {
      id: 'tap00000001-00', vif_id: '093a70fc-da5f-58df-95ee-497aa5495c4e', type: 'ovs', mtu: null, ethernet_mac_address: 'fa:16:3e:00:00:01',
      tags: ['nic1', 'mgmt'], vlan: 100, vf_trusted: true, bus: 'pci', address: '0000:00:02.0',
    },
    { id: 'tap00000002-00', vif_id: 'c4d3f23d-243b-5e9e-91c8-276b70a50b2c', type: 'ovs', mtu: null, ethernet_mac_address: 'fa:16:3e:00:00:02' },
  ],
  networks: [
    { id: 'network0', type: 'ipv4_dhcp', link: 'tap00000001-00', network_id: PRIVATE },
    {
      id: 'network1', type: 'ipv6_slaac', link: 'tap00000001-00', ip_address: 'fd00:1::5', netmask: 'ffff:ffff:ffff:ffff::',
      routes: [{ network: '::', netmask: '::', gateway: 'fd00:1::1' }], network_id: PRIVATE, services: [],
    },
    { id: 'network2', type: 'ipv4_dhcp', link: 'tap00000002-00', network_id: PRIVATE },
  ],
  services: [{ type: 'dns', address: '10.0.0.2' }],
};

interface Wanted {
  readonly uuid: string;
  readonly displayName: string;
  readonly hostname: string;
  readonly keyName: string;
  readonly keyData: string;
  readonly availabilityZone?: string;
  readonly userData?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Makes them in an empty database, so that their numbers are those of the recordings. */
export async function addRecordedInstances(cellDb: CellDb, databaseUrl: string): Promise<void> {
  const now = new Date();
  await add(cellDb, { uuid: PLAIN, displayName: 'golden-plain', hostname: 'golden-plain', keyName: 'alice-key', keyData: RSA }, true);
  await add(cellDb, {
    uuid: FULL, displayName: 'golden-full', hostname: 'golden-full-host', keyName: 'key with space & ü', keyData: ED25519, availabilityZone: 'az-2',
    userData: '#cloud-config\npackages: [htop]\n# é\n', metadata: { role: 'web', Zone: 'é-1', n: '1' },
  }, true);
  await add(cellDb, { uuid: LEGACY, displayName: 'golden-legacykey', hostname: 'golden-legacykey', keyName: 'legacy-key', keyData: ED25519 }, false);
  await cellDb.transaction(({ instanceNetworks }) => instanceNetworks.save(FULL, { data: NETWORK, fixed: ['10.0.0.5', '10.0.0.6', 'fd00:1::5'], floating: ['203.0.113.7'] }, now));
  await cellDb.instancePasswords.save(FULL, `${'A'.repeat(255)}BCD==`, now);
  // Nothing here makes several instances at once.
  const client = new Client(databaseUrl);
  await client.connect();
  await client.query('UPDATE instances SET launch_index = 3 WHERE uuid = $1', [FULL]);
  await client.end();
}

async function add(cellDb: CellDb, wanted: Wanted, isMigrated: boolean): Promise<void> {
  const { userData, metadata = {}, availabilityZone = 'nova', keyName, keyData } = wanted;
  const now = new Date();
  await cellDb.instances.create({
    ...wanted, projectId: PROJECT, userId: USER, host: 'h', availabilityZone, vmState: 'active', taskState: null, metadata, imageRef: IMAGE, flavorRef: 'm1.small',
    userData: userData === undefined ? null : Buffer.from(userData).toString('base64'), createdAt: now,
  });
  if (!isMigrated) return;
  const keyPair = { name: keyName, type: 'ssh', publicKey: keyData, userId: USER, fingerprint: null };
  await cellDb.transaction(({ instanceExtra }) => instanceExtra.saveKeyPairs(wanted.uuid, { objects: [keyPair] }, now));
}
