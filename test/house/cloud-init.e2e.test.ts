import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import type { App } from '@gatehouse/runtime/app';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { createMetrics } from '@gatehouse/runtime/metrics';
import { configDriveFiles } from '../../apps/compute-agent/src/config-drive.ts';
import { findVolumeProgram, makeVolume } from '../../apps/compute-agent/src/drivers/qemu/config-drive-volume.ts';
import { startMetadata } from '../../apps/metadata/src/app.module.ts';
import { metadataConfig } from '../../apps/metadata/src/config.ts';
import { startPostgresql } from '../servers/postgresql.ts';
import type { Postgresql } from '../servers/postgresql.ts';
import { startPythonLines } from '../servers/python-lines.ts';
import type { PythonLines } from '../servers/python-lines.ts';
import { FILE, KEYS, MACS, USER_DATA, startSigningProxy, storeGuest } from './guest-world.ts';
import type { SigningProxy } from './guest-world.ts';

const SECRET = 'shared with the proxy';
const GUEST = randomUUID();
/** Its tokens are required. */
const GUARDED = randomUUID();
const VENDOR_DATA = { 'cloud-init': '#cloud-config\nntp: {enabled: true}\n' };
/** Of a guest that has the trusted network's address. */
const FIXED_ADDRESS = '127.0.0.1';

interface Bytes {
  readonly base64: string;
}

/** What cloud-init understood (cloud_init_sources.py). */
interface Understood {
  readonly keys: readonly string[];
  readonly userdata: Bytes;
  readonly hostname: string;
  readonly fqdn: string;
  readonly instanceId: string;
  readonly zone: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly ec2: Readonly<Record<string, unknown>> | null;
  readonly files: Readonly<Record<string, Bytes>>;
  readonly vendordata: unknown;
  readonly network: string | null;
}

// Debian's package cloud-init: its sources, in the Python that it is made for.
describe("cloud-init's own data sources", function () {
  this.timeout(60_000);
  const folder = mkdtempSync(path.join(tmpdir(), 'gh-cloud-init-'));
  const proxies: SigningProxy[] = [];
  let postgresql: Postgresql;
  let cellDb: CellDb;
  let signed: App;
  let byAddress: App;
  let python: PythonLines;

  before(async () => {
    postgresql = await startPostgresql();
    cellDb = await openCellDb({ url: await postgresql.createDatabase() });
    await cellDb.migrate();
    await storeGuest(cellDb, { uuid: GUEST }, [FIXED_ADDRESS]);
    await storeGuest(cellDb, { uuid: GUARDED });
    await cellDb.instances.update(GUARDED, { metadataTokens: 'required' }, new Date());
    const vendorDataFile = path.join(folder, 'vendor.json');
    writeFileSync(vendorDataFile, JSON.stringify(VENDOR_DATA));
    signed = await start({ metadataSecrets: SECRET, vendorDataFile });
    byAddress = await start({ metadataTrustedNetworks: '127.0.0.0/8' });
    python = startPythonLines(fileURLToPath(new URL('fixtures/cloud_init_sources.py', import.meta.url)));
  });
  after(async () => {
    await python?.stop();
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    for (const app of [signed, byAddress]) await app?.drain();
    await cellDb?.close();
    await postgresql?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function start(settings: Readonly<Record<string, string>>): Promise<App> {
    const config = metadataConfig.parse({ metadataPort: '0', metadataName: randomUUID(), ...settings });
    return startMetadata({ config, transport: createMemoryTransport(), cellDb, log: silentLogger, metrics: createMetrics('test'), clock: systemClock });
  }

  const urlOf = (app: App): string => app.addresses[0]?.url ?? '';
  async function proxyOf(instanceUuid: string, secret = SECRET): Promise<SigningProxy> {
    const proxy = await startSigningProxy(urlOf(signed), instanceUuid, 'blue', secret);
    proxies.push(proxy);
    return proxy;
  }
  const ask = async (request: object): Promise<Understood | null> => (await python.ask({ macs: MACS, ...request })) as Understood | null;
  async function understood(request: object): Promise<Understood> {
    const answer = await ask(request);
    assert.ok(answer !== null, 'cloud-init found no data there');
    return answer;
  }

  const textOf = ({ publicKey }: (typeof KEYS)[number]): string => publicKey ?? '';
  const bytesOf = ({ base64 }: Bytes): Buffer => Buffer.from(base64, 'base64');

  /** What the OpenStack source and the config drive have in common. */
  async function checkOpenstack(found: Understood): Promise<void> {
    const stored = await cellDb.instanceFacts.find(GUEST);
    assert.deepEqual(found.keys.toSorted(), KEYS.map(textOf).toSorted(), 'every key, x509 and FIDO ones too');
    assert.deepEqual(bytesOf(found.userdata), USER_DATA);
    assert.deepEqual([found.hostname, found.fqdn, found.instanceId, found.zone], ['web-1', 'web-1.novalocal', GUEST, 'nova']);
    assert.deepEqual(Object.fromEntries(Object.entries(found.files).map(([name, content]) => [name, bytesOf(content)])), { [FILE.path]: FILE.contents });
    assert.equal(bytesOf(found.metadata['random_seed'] as Bytes).length, 512);
    assert.deepEqual([found.metadata['meta'], found.metadata['project_id']], [stored?.metadata, 'blue']);
    assert.deepEqual(found.metadata['keys'], KEYS.map(({ name, type, publicKey: data }) => ({ name, type, data })));
    const interfaces = found.network ?? '';
    for (const words of [/iface ens3 inet static\n\s+address 127\.0\.0\.42\/24/, /mtu 1442/, /inet6 static\n\s+address 2001:db8::5\/64/, /iface ens4 inet dhcp/, /dns-nameservers 192\.0\.2\.53/]) assert.match(interfaces, words);
  }

  function checkEc2(values: Readonly<Record<string, unknown>> | null): void {
    assert.ok(values !== null);
    assert.match(String(values['instance-id']), /^i-[0-9a-f]{8}$/);
    assert.deepEqual([values['hostname'], values['public-ipv4'], values['placement']], ['web-1.novalocal', '198.51.100.9', { 'availability-zone': 'nova' }]);
  }

  it('find nothing where the proxy signs with another secret, and ask no further', async () => {
    const proxy = await proxyOf(GUEST, 'of another deployment');
    for (const source of ['OpenStack', 'Ec2']) assert.equal(await ask({ source, url: proxy.url, max_wait: 1 }), null, source);
    assert.deepEqual(new Set(proxy.asked), new Set(['GET /openstack', 'GET /2009-04-04/meta-data/instance-id']));
  });

  it('find nothing for a guest that they cannot show a token of, where one is required', async () => {
    const proxy = await proxyOf(GUARDED);
    for (const source of ['OpenStack', 'Ec2']) assert.equal(await ask({ source, url: proxy.url, max_wait: 1 }), null, source);
  });

  it("read keys, user data, vendor data, files and the network from the OpenStack tree, and EC2's beside them", async () => {
    const proxy = await proxyOf(GUEST);
    const found = await understood({ source: 'OpenStack', url: proxy.url });
    await checkOpenstack(found);
    checkEc2(found.ec2);
    assert.equal(found.vendordata, VENDOR_DATA['cloud-init']);
    assert.ok(proxy.asked.includes('GET /openstack/2018-08-27/meta_data.json'), proxy.asked.join());
  });

  it('read keys and user data from the EC2 tree, without a token where none is required', async () => {
    const proxy = await proxyOf(GUEST);
    const found = await understood({ source: 'Ec2', url: proxy.url });
    assert.deepEqual(found.keys.toSorted(), KEYS.map(textOf).flatMap((text) => text.split('\n')).toSorted());
    assert.deepEqual(bytesOf(found.userdata), USER_DATA);
    assert.deepEqual([found.hostname, found.zone], ['web-1', 'nova']);
    checkEc2(found.metadata);
    assert.ok(!proxy.asked.some((line) => line.startsWith('PUT')), proxy.asked.join());
  });

  it('read the same with session tokens (IMDSv2), where they are required', async () => {
    const proxy = await proxyOf(GUARDED);
    const found = await understood({ source: 'Ec2', url: proxy.url, imdsv2: true });
    assert.equal(proxy.asked[0], 'PUT /latest/api/token');
    assert.equal(found.keys.length, KEYS.map(textOf).flatMap((text) => text.split('\n')).length);
    assert.deepEqual(bytesOf(found.userdata), USER_DATA);
    checkEc2(found.metadata);
  });

  it('read the same without a proxy, from a service that knows the guest by its address', async () => {
    const found = await understood({ source: 'OpenStack', url: urlOf(byAddress) });
    await checkOpenstack(found);
    checkEc2(found.ec2);
    assert.deepEqual(bytesOf((await understood({ source: 'Ec2', url: urlOf(byAddress) })).userdata), USER_DATA);
  });

  it('read the same from the volume that a compute agent makes', async () => {
    const facts = await cellDb.instanceFacts.find(GUEST);
    assert.ok(facts !== null);
    const volume = path.join(folder, 'config-2.iso');
    await makeVolume(await findVolumeProgram(null), await configDriveFiles(facts), volume);
    const drive = path.join(folder, 'drive');
    unpack(volume, drive);
    const found = await understood({ source: 'ConfigDrive', folder: drive });
    await checkOpenstack(found);
    checkEc2(found.ec2);
  });
});

/** As a guest that mounts it sees it, by the names of Rock Ridge. */
function unpack(volume: string, folder: string): void {
  const isoinfo = (...args: readonly string[]): Buffer => execFileSync('/usr/bin/isoinfo', ['-R', '-i', volume, ...args]);
  const names = isoinfo('-f').toString().trim().split('\n');
  for (const name of names.filter((each) => !names.some((other) => other.startsWith(`${each}/`)))) {
    const place = path.join(folder, name);
    mkdirSync(path.dirname(place), { recursive: true });
    writeFileSync(place, isoinfo('-x', name));
  }
}
