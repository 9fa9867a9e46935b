/** nova/tests/unit/test_metadata.py, what it says of the trees, and the schema of nova/tests/functional/test_metadata.py. */
import assert from 'node:assert/strict';
import { EC2_VERSIONS, OPENSTACK_VERSIONS } from '../../libs/instance-metadata/src/versions.ts';
import { factsOf, keyPair, pathsOf, read, readMetaData, readText } from '../../libs/instance-metadata/src/testing.ts';
import { NO_VENDOR_DATA } from '../../libs/instance-metadata/src/vendor-data.ts';
import { configDriveTree } from '../../libs/instance-metadata/src/whole-trees.ts';
import { faultsOfNetworkData } from './network-data-schema.ts';

const USER_DATA = 'This is an encoded string';
const NOT_FOUND = { code: 'NOT_FOUND' } as const;
const lines = async (path: string, facts = factsOf()): Promise<readonly string[]> => (await readText(facts, path)).split('\n');

const LINKS = [
  { id: 'a', ethernet_mac_address: '00:00:00:00:00:00', bus: 'pci', address: '0000:00:01.0', tags: ['foo'] },
  { id: 'b', ethernet_mac_address: '00:00:00:00:00:01', bus: 'quantum', address: '1', tags: ['foo'] },
  { id: 'c', ethernet_mac_address: 'e3:a0:d0:12:c5:10', bus: 'pci', address: '0000:80:01.0', vlan: 1000 },
  { id: 'd', ethernet_mac_address: '00:11:22:33:44:55', bus: 'pci', address: '0000:00:02.0', vf_trusted: true, tags: ['trusted'] },
  { id: 'e', ethernet_mac_address: '00:11:22:33:44:56', type: 'phy' },
];
const NETWORK = { links: LINKS, networks: [], services: [] };

describe("Nova's tests of EC2's tree", () => {
  it('test_user_data: it comes out as the bytes that went in', async () => {
    assert.equal(await readText(factsOf({ userData: Buffer.from('happy').toString('base64') }), '/2009-04-04/user-data'), 'happy');
  });
  it('test_no_user_data: there is no file', async () => {
    await assert.rejects(read(factsOf({ userData: null }), '/2009-04-04/user-data'), NOT_FOUND);
    assert.deepEqual(await lines('/2009-04-04', factsOf({ userData: null })), ['meta-data/']);
  });
  it('test_security_groups: none, for they are the network\'s', async () => {
    assert.equal(await readText(factsOf(), '/2009-04-04/meta-data/security-groups'), '');
  });
  it('test_local_hostname_fqdn: the domain stands behind the name, and nothing behind none', async () => {
    for (const name of ['local-hostname', 'public-hostname', 'hostname']) {
      assert.equal(await readText(factsOf(), `/latest/meta-data/${name}`), 'test.novalocal');
      assert.equal(await readText(factsOf({ hostname: null }), `/latest/meta-data/${name}`), '');
    }
  });
  it('test_format_instance_mapping: the root disk, as Linux calls it', async () => {
    assert.deepEqual(await lines('/latest/meta-data/block-device-mapping'), ['ami', 'root']);
    assert.deepEqual([await readText(factsOf(), '/latest/meta-data/block-device-mapping/ami'), await readText(factsOf(), '/latest/meta-data/block-device-mapping/root')], ['vda', '/dev/vda']);
  });
  it('test_pubkey: its line, and the key below it', async () => {
    assert.equal(await readText(factsOf(), '/2009-04-04/meta-data/public-keys'), '0=key');
    assert.equal(await readText(factsOf(), '/2009-04-04/meta-data/public-keys/0/openssh-key'), factsOf().keyData);
  });
  it('test_image_type_no_kernel_raises: there is no file', async () => {
    for (const name of ['kernel-id', 'ramdisk-id']) await assert.rejects(read(factsOf(), `/2009-04-04/meta-data/${name}`), NOT_FOUND);
  });
  it('test_check_version: each has what those before it had, and more', async () => {
    const first: Readonly<Record<string, readonly string[]>> = {
      '1.0': ['ami-id', 'ami-launch-index', 'ami-manifest-path', 'hostname', 'instance-id', 'local-ipv4', 'public-keys/', 'reservation-id', 'security-groups'],
      '2007-01-19': ['local-hostname', 'public-hostname', 'public-ipv4'],
      '2007-08-29': ['instance-type'],
      '2007-12-15': ['block-device-mapping/'],
      '2008-02-01': ['placement/'],
      '2008-09-01': ['instance-action'],
    };
    let expected: readonly string[] = [];
    for (const version of EC2_VERSIONS) {
      expected = [...expected, ...(first[version] ?? [])].toSorted();
      assert.deepEqual(await lines(`/${version}/meta-data/`), expected, version);
    }
    assert.deepEqual(await lines('/latest/meta-data'), expected);
  });
  it('test_local_ipv4: the first that the network says, not the address that asks', async () => {
    const networks = [{ ip_address: 'fd00::5' }, { ip_address: '192.168.1.100' }];
    const facts = factsOf({ network: { ...NETWORK, networks }, fixedAddresses: ['192.168.1.7'] });
    assert.equal(await readText(facts, '/2009-04-04/meta-data/local-ipv4', { address: '10.1.1.1' }), '192.168.1.100');
  });
  it('test_local_ipv4_from_nw_info: the first of its own addresses where the network leaves it to DHCP', async () => {
    const facts = factsOf({ network: NETWORK, fixedAddresses: ['192.168.1.100', 'fd00::5'], floatingAddresses: ['203.0.113.7'] });
    assert.equal(await readText(facts, '/2009-04-04/meta-data/local-ipv4'), '192.168.1.100');
    assert.equal(await readText(facts, '/2009-04-04/meta-data/public-ipv4'), '203.0.113.7');
  });
  it('test_local_ipv4_from_address: the address that asks, where nothing else tells', async () => {
    assert.equal(await readText(factsOf(), '/2009-04-04/meta-data/local-ipv4', { address: '10.1.1.1' }), '10.1.1.1');
  });
});

describe("Nova's tests of the disk with metadata", () => {
  it('test_InstanceMetadata_invoke_metadata_for_config_drive: the same 44 files, in the same order but for EC2\'s two', () => {
    const versions = [...OPENSTACK_VERSIONS, 'latest'];
    const since = (version: string, first: string, name: string): readonly string[] => (version >= first ? [name] : []);
    const expected = [
      ...['2009-04-04', 'latest'].flatMap((version) => [`ec2/${version}/user-data`, `ec2/${version}/meta-data.json`]),
      ...versions.flatMap((version) => [
        'meta_data.json', 'user_data', ...since(version, '2013-10-17', 'vendor_data.json'), ...since(version, '2015-10-15', 'network_data.json'), ...since(version, '2016-10-06', 'vendor_data2.json'),
      ].map((name) => `openstack/${version}/${name}`)),
    ];
    assert.equal(expected.length, 44);
    assert.deepEqual(pathsOf(configDriveTree(factsOf(), NO_VENDOR_DATA)), expected);
  });
});

describe("Nova's tests of OpenStack's tree", () => {
  it('test_as_json: each version has its keys, in Nova\'s order', async () => {
    const base = ['uuid', 'meta', 'public_keys', 'keys', 'hostname', 'name', 'launch_index', 'availability_zone'];
    const later = [['2013-04-04', 'random_seed'], ['2015-10-15', 'project_id'], ['2016-06-30', 'devices'], ['2020-10-14', 'dedicated_cpus']] as const;
    for (const version of OPENSTACK_VERSIONS) {
      const document = await readMetaData(factsOf({ metadata: { a: 'b' } }), version);
      assert.deepEqual(Object.keys(document), [...base, ...later.filter(([first]) => version >= first).map(([, key]) => key)], version);
      assert.deepEqual([document['uuid'], document['hostname'], document['name'], document['launch_index'], document['availability_zone']],
        ['b65cee2f-8c69-4aeb-be2f-f79742548fc2', 'test.novalocal', 'my_displayname', 1, 'fake-az']);
    }
    assert.equal((await readMetaData(factsOf()))['meta'], undefined);
  });
  it('test_metadata_as_json_deleted_keypair: an instance with an empty list has no keys, whatever its row names', async () => {
    const document = await readMetaData(factsOf({ keyPairs: [] }));
    assert.deepEqual([document['keys'], document['public_keys']], [undefined, undefined]);
    await assert.rejects(read(factsOf({ keyPairs: [] }), '/latest/meta-data/public-keys/'), NOT_FOUND);
  });
  it('test_metadata_as_json_deleted_keypair (never migrated): the key of its row is told in both trees', async () => {
    const facts = factsOf({ keyPairs: null });
    assert.deepEqual((await readMetaData(facts))['keys'], [{ name: 'key', type: 'ssh', data: facts.keyData }]);
    assert.equal(await readText(facts, '/latest/meta-data/public-keys/0/openssh-key'), facts.keyData);
    const unkeyed = factsOf({ keyPairs: null, keyName: null, keyData: null });
    assert.equal((await readMetaData(unkeyed))['keys'], undefined);
  });
  it('test_metadata_as_json_numatopology: no guest has CPUs of its own', async () => {
    assert.deepEqual((await readMetaData(factsOf()))['dedicated_cpus'], []);
  });
  it('test_empty_device_metadata: an empty list', async () => assert.deepEqual((await readMetaData(factsOf()))['devices'], []));
  it('test_device_metadata: what a version knew of the interfaces that can be told apart; on an unknown bus none', async () => {
    const nic = { type: 'nic', mac: '00:00:00:00:00:00', bus: 'pci', address: '0000:00:01.0', tags: ['foo'] };
    const vlan = { type: 'nic', mac: 'e3:a0:d0:12:c5:10', bus: 'pci', address: '0000:80:01.0' };
    const trusted = { type: 'nic', mac: '00:11:22:33:44:55', bus: 'pci', address: '0000:00:02.0', tags: ['trusted'] };
    const devices = async (version: string): Promise<unknown> => (await readMetaData(factsOf({ network: NETWORK }), version))['devices'];
    assert.deepEqual(await devices('2016-06-30'), [nic, trusted]);
    assert.deepEqual(await devices('2017-02-22'), [nic, { ...vlan, vlan: 1000 }, trusted]);
    assert.deepEqual(await devices('2018-08-27'), [{ ...nic, vf_trusted: false }, { ...vlan, vlan: 1000, vf_trusted: false }, { ...trusted, vf_trusted: true }]);
  });
  it('test_top_level_listing: versions until today, without what is not listed', async () => {
    assert.deepEqual(await lines('/openstack'), [...OPENSTACK_VERSIONS, 'latest']);
    assert.equal(await readText(factsOf(), '/openstack/'), await readText(factsOf(), '/openstack'));
    const sources = { now: new Date('2016-06-30T00:00:00Z') };
    assert.equal(await readText(factsOf(), '/openstack', sources), '2012-08-10\n2013-04-04\n2013-10-17\n2015-10-15\n2016-06-30\nlatest');
    assert.equal((await read(factsOf(), '/openstack/2020-10-14/meta_data.json', sources)).type, 'application/json');
  });
  it('test_version_content_listing: the same by the name of version', async () => {
    assert.ok((await lines('/openstack/2012-08-10')).includes('meta_data.json'));
    for (const version of [...OPENSTACK_VERSIONS, 'latest']) assert.equal(await readText(factsOf(), `/openstack/${version}/version`), await readText(factsOf(), `/openstack/${version}/`));
  });
  const ALL = ['meta_data.json', 'user_data', 'password', 'vendor_data.json', 'network_data.json', 'vendor_data2.json'];
  for (const [release, version, count] of [['liberty', '2015-10-15', 5], ['havana', '2013-10-17', 4], ['folsom', '2012-08-10', 2], ['grizzly', '2013-04-04', 3]] as const) {
    it(`test_returns_apis_supported_in_${release}_version: its files and no more`, async () => assert.deepEqual(await lines(`/openstack/${version}`), ALL.slice(0, count)));
  }
  it('test_metadata_json: files for the guest are told with where they are, and are there', async () => {
    const contents = [['/etc/my.conf', 'content of my.conf'], ['/root/hello', 'content of /root/hello']] as const;
    const facts = factsOf({ injectedFiles: contents.map(([path, content]) => ({ path, contents: Buffer.from(content).toString('base64') })) });
    const { files } = (await readMetaData(facts)) as { files: { path: string; content_path: string }[] };
    for (const [path, content] of contents) assert.equal(await readText(facts, `/openstack${files.find((each) => each.path === path)?.content_path}`), content);
    assert.equal((await readMetaData(facts, '2012-08-10'))['launch_index'], 1);
    assert.deepEqual(pathsOf(configDriveTree(facts, NO_VENDOR_DATA)).slice(-2), ['openstack/content/0000', 'openstack/content/0001']);
  });
  it('test_x509_keypair: with its type, in the oldest version too', async () => {
    const facts = factsOf({ keyPairs: [keyPair('key', 'public_key', 'x509')] });
    assert.deepEqual((await readMetaData(facts, '2012-08-10'))['keys'], [{ name: 'key', type: 'x509', data: 'public_key' }]);
    assert.deepEqual((await readMetaData(facts))['public_keys'], { key: 'public_key' });
  });
  it('test_password: it is asked for at each request, from Grizzly on', async () => {
    let password = '';
    const sources = { password: async () => password };
    assert.equal(await readText(factsOf(), '/openstack/latest/password', sources), '');
    password = 'encrypted==';
    assert.equal(await readText(factsOf(), '/openstack/2013-04-04/password', sources), 'encrypted==');
    await assert.rejects(read(factsOf(), '/openstack/2012-08-10/password', sources), NOT_FOUND);
  });
  it('test_userdata: it is listed where it is, and is not there where it is not', async () => {
    assert.equal(await readText(factsOf(), '/openstack/2012-08-10/user_data'), USER_DATA);
    assert.ok((await lines('/openstack/2012-08-10')).includes('user_data'));
    const without = factsOf({ userData: null });
    assert.ok(!(await lines('/openstack/2012-08-10', without)).includes('user_data'));
    await assert.rejects(read(without, '/openstack/2012-08-10/user_data'), NOT_FOUND);
  });
  it('test_random_seed: 512 bytes from 2013-04-04 on', async () => {
    assert.equal(Buffer.from(String((await readMetaData(factsOf(), '2013-04-04'))['random_seed']), 'base64').length, 512);
    assert.ok(!('random_seed' in (await readMetaData(factsOf(), '2012-08-10'))));
  });
  it('test_project_id: from 2015-10-15 on', async () => {
    assert.equal((await readMetaData(factsOf(), '2015-10-15'))['project_id'], 'test');
    assert.ok(!('project_id' in (await readMetaData(factsOf(), '2013-10-17'))));
  });
  it('test_no_dashes_in_metadata: no key at the top has one', async () => {
    assert.deepEqual(Object.keys(await readMetaData(factsOf())).filter((key) => key.includes('-')), []);
  });
  it('test_network_data_presence: listed from 2015-10-15 on, served in all', async () => {
    assert.ok((await lines('/openstack/2015-10-15')).includes('network_data.json'));
    assert.ok(!(await lines('/openstack/2013-10-17')).includes('network_data.json'));
    assert.equal(await readText(factsOf(), '/openstack/2012-08-10/network_data.json'), '{}');
  });
  it('test_network_data_response: as it is known, without what stands among the devices', async () => {
    const network = { ...NETWORK, networks: [{ id: 'network0', ip_address: '10.10.0.2', type: 'ipv4' }], services: [{ address: '1.2.3.4', type: 'dns' }] };
    const { links, ...others } = JSON.parse(await readText(factsOf({ network }), '/openstack/2015-10-15/network_data.json')) as Record<string, unknown>;
    assert.deepEqual(others, { networks: network.networks, services: network.services });
    assert.deepEqual((links as object[]).map((link) => Object.keys(link)), LINKS.map(({ type }) => (type === undefined ? ['id', 'ethernet_mac_address'] : ['id', 'ethernet_mac_address', 'type'])));
  });
  it('test_network_data_matches_schema: also of a network that says all that one can', async () => {
    const network = {
      links: [{ ...LINKS[0], type: 'ovs', mtu: 1450, vif_id: 'v' }, { id: 'v', type: 'vlan', vlan_mac_address: 'fa:16:3e:00:00:01', vlan_link: 'a', vlan_id: 7 }],
      networks: [
        { id: 'network0', type: 'ipv4', link: 'a', network_id: 'n', ip_address: '10.0.0.5', netmask: '255.255.255.0', routes: [{ network: '0.0.0.0', netmask: '0.0.0.0', gateway: '10.0.0.1' }] },
        { id: 'network1', type: 'ipv6_slaac', link: 'a', network_id: 'n', ip_address: 'fd00:1::5', netmask: 'ffff:ffff:ffff:ffff::', routes: [] },
      ],
      services: [{ type: 'dns', address: '10.0.0.2' }],
    };
    assert.deepEqual(faultsOfNetworkData(JSON.parse(await readText(factsOf({ network }), '/openstack/latest/network_data.json'))), []);
    assert.ok(faultsOfNetworkData({ ...network, links: [{ id: 'a' }] }).length > 0);
    assert.ok(faultsOfNetworkData({ links: [], networks: [] }).length > 0);
  });
});
