/**
 * What a guest asks for its metadata in tests: a proxy that signs for one instance, as neutron-metadata-agent does for the guest
 * whose network it serves, and an instance that has something of everything.
 */
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readFileSync } from 'node:fs';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { NetworkData } from '@gatehouse/cell-db/instance-facts-store';
import type { NewInstance } from '@gatehouse/cell-db/instances-store';
import { KeyPair } from '@gatehouse/objects/key-pair';

export interface SigningProxy {
  readonly url: string;
  /** Method and path of what was asked. */
  readonly asked: string[];
  stop(): Promise<void>;
}

const GUEST_ADDRESS = '192.0.2.10';

export async function startSigningProxy(upstream: string, instanceUuid: string, projectId: string, secret: string): Promise<SigningProxy> {
  const asked: string[] = [];
  const signature = createHmac('sha256', secret).update(instanceUuid).digest('hex');
  const server = createServer((incoming, outgoing) => {
    asked.push(`${incoming.method} ${incoming.url}`);
    const headers = { ...incoming.headers, 'x-forwarded-for': GUEST_ADDRESS, 'x-instance-id': instanceUuid, 'x-tenant-id': projectId, 'x-instance-id-signature': signature };
    const onwards = httpRequest(new URL(incoming.url ?? '/', upstream), { method: incoming.method, headers, agent: false }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    onwards.on('error', () => outgoing.writeHead(502).end());
    incoming.pipe(onwards);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

const vector = (name: string): string => readFileSync(new URL(`../../apps/api/test-vectors/keys/${name}`, import.meta.url), 'utf8').trim();

/** A FIDO key's public half: its algorithm, a point, and the application it is for. */
function securityKey(): string {
  const part = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([0, 0, bytes.length >> 8, bytes.length & 255]), bytes]);
  const blob = Buffer.concat([Buffer.from('sk-ssh-ed25519@openssh.com'), createHash('sha256').update('point').digest(), Buffer.from('ssh:')].map(part));
  return `sk-ssh-ed25519@openssh.com ${blob.toString('base64')} alice's token`;
}

/** Of every kind that is imported, as they stand in an instance's list. */
export const KEYS: readonly KeyPair[] = [
  ['laptop', 'ssh', vector('ed25519.pub'), '36:f2:57:ec:d0:de:9a:66:0a:2c:7c:e4:83:b7:db:71'],
  ['desk & é', 'ssh', vector('rsa2048.pub'), null],
  ['curve', 'ssh', vector('ecdsa384.pub'), null],
  ['token', 'ssh', securityKey(), 'aa:bb'],
  ['windows', 'x509', vector('x509.pem'), 'cc:dd'],
].map(([name, type, publicKey, fingerprint], index) => KeyPair.make({
  id: index + 7, name: name ?? '', type: type ?? '', publicKey: publicKey ?? null, fingerprint: fingerprint ?? null, userId: 'alice',
  createdAt: new Date('2026-11-21T19:40:32Z'), updatedAt: null, deletedAt: null, deleted: false,
}));

/** Not text in any encoding: a gzip header, zeros, and all that breaks lines. */
export const USER_DATA = Buffer.from([0x1f, 0x8b, 8, 0, 0, 255, 254, 13, 10, 0, 128, 10]);
export const FILE = { path: '/etc/motd.d/é', contents: Buffer.from([0, 255, 10]) };
export const MACS = { 'fa:16:3e:00:00:01': 'ens3', 'fa:16:3e:00:00:02': 'ens4' };

export const NETWORK: NetworkData = {
  links: [
    { id: 'tap1', vif_id: 'v1', type: 'ovs', mtu: 1_442, ethernet_mac_address: 'fa:16:3e:00:00:01', tags: ['front'] },
    { id: 'tap2', vif_id: 'v2', type: 'ovs', mtu: null, ethernet_mac_address: 'fa:16:3e:00:00:02' },
  ],
  networks: [
    {
      id: 'network0', type: 'ipv4', link: 'tap1', network_id: 'n1', ip_address: '127.0.0.42', netmask: '255.255.255.0',
      routes: [{ network: '0.0.0.0', netmask: '0.0.0.0', gateway: '127.0.0.1' }], services: [{ type: 'dns', address: '192.0.2.53' }],
    },
    { id: 'network1', type: 'ipv6', link: 'tap1', network_id: 'n1', ip_address: '2001:db8::5', netmask: 'ffff:ffff:ffff:ffff::', routes: [], services: [] },
    { id: 'network2', type: 'ipv4_dhcp', link: 'tap2', network_id: 'n2' },
  ],
  services: [{ type: 'dns', address: '192.0.2.53' }],
};

/** `addresses`: by which its guest is found where networks are trusted. */
export async function storeGuest(cellDb: CellDb, change: Partial<NewInstance> & Pick<NewInstance, 'uuid'>, addresses: readonly string[] = []): Promise<void> {
  const now = new Date();
  await cellDb.transaction(async ({ instances, instanceExtra, instanceNetworks }) => {
    await instances.create({
      projectId: 'blue', userId: 'alice', displayName: 'Web 1', hostname: 'web-1', host: 'h', availabilityZone: 'nova', vmState: 'active', taskState: null,
      keyName: KEYS[0]?.name ?? null, keyData: KEYS[0]?.publicKey ?? null, userData: USER_DATA.toString('base64'), metadata: { role: 'web', Zone: 'é-1' },
      configDrive: true, createdAt: now, ...change,
    });
    await instanceExtra.saveKeyPairs(change.uuid, { objects: [...KEYS] }, now);
    await instanceExtra.saveInjectedFiles(change.uuid, [{ path: FILE.path, contents: FILE.contents.toString('base64') }], now);
    await instanceNetworks.save(change.uuid, { data: NETWORK, fixed: addresses, floating: ['198.51.100.9'] }, now);
  });
}
