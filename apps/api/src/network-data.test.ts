import assert from 'node:assert/strict';
import { cpuMsOf } from '../../../test/servers/running-time.ts';
import { readBody } from './rest/v1/request-body.ts';
import type { JsonValue } from './rest/json.ts';
import { instanceNetwork, NETWORK_BODY } from './network-data.ts';

const MAC = 'fa:16:3e:00:00:01';
const PORT = { id: 'tap1', vif_id: '093a70fc', type: 'ovs', mtu: 1450, ethernet_mac_address: MAC };
const ROUTE4 = { network: '0.0.0.0', netmask: '0.0.0.0', gateway: '10.0.0.1' };
const STATIC4 = { id: 'network0', type: 'ipv4', link: 'tap1', ip_address: '10.0.0.5', netmask: '255.255.255.0', routes: [ROUTE4], network_id: '63be97b8', services: [{ type: 'dns', address: '10.0.0.2' }] };
const SLAAC = { id: 'network1', type: 'ipv6_slaac', link: 'tap1', ip_address: 'FD00:1:0::5', netmask: 'ffff:ffff:ffff:ffff::', routes: [{ network: '::', netmask: '::', gateway: 'fd00:1::1' }], network_id: '63be97b8', services: [] };
const DHCP = { id: 'network2', type: 'ipv4_dhcp', link: 'tap1', network_id: '63be97b8' };
const EMPTY = { links: [], networks: [], services: [] };

const read = (body: unknown) => readBody(NETWORK_BODY, body as JsonValue);
const data = (changes: object): object => ({ network_data: { ...EMPTY, ...changes } });
const links = (...all: object[]): object => data({ links: all });
const networks = (...all: object[]): object => data({ links: [PORT], networks: all });

describe("an instance's network is refused", () => {
  const cases: readonly (readonly [what: string, body: unknown, words: RegExp])[] = [
    ['as nothing', null, /^the body: Invalid input: expected object/],
    ['without its document', {}, /^network_data: Invalid input/],
    ['without one of its lists', { network_data: { links: [], networks: [] } }, /^network_data\.services: Invalid input/],
    ['with a property of another document', { network_data: EMPTY, network: {} }, /Unrecognized key: "network"/],
    ['with a link of an unknown type', links({ ...PORT, type: 'wifi' }), /^network_data\.links\[0\]\.type: must be one of bgpovs, bridge, cascading, dvs, ethernet, hw_veb, hyperv, ovs, phy, tap, vhostuser, vif, bond, vlan$/],
    ['with a link of no type', links({ id: 'a' }), /links\[0\]\.type: must be one of/],
    ['with a link that is none', links(7 as unknown as object), /links\[0\]: must be one of/],
    ['with a link without its address', links({ id: 'a', type: 'phy' }), /links\[0\]\.ethernet_mac_address: Invalid input/],
    ['with a malformed address of a link', links({ ...PORT, ethernet_mac_address: 'fa:16:3e:00:00' }), /must be six pairs of hexadecimal digits/],
    ['with an MTU of 0', links({ ...PORT, mtu: 0 }), /links\[0\]\.mtu/],
    ['with a link that stands twice', links(PORT, PORT), /^network_data\.links\[1\]\.id: "tap1" stands twice$/],
    ['with a link of more properties', links({ ...PORT, colour: 'red' }), /^network_data\.links\[0\]: Unrecognized key: "colour"$/],
    ['with a control character in an id', links({ ...PORT, id: 'a\0' }), /links\[0\]\.id: must be printable/],
    ['with a bond of links that are not there', links({ id: 'b', type: 'bond', ethernet_mac_address: MAC, bond_mode: '802.3ad', bond_links: ['tap1'] }), /bond_links\[0\]: "tap1" is not the id of a link/],
    ['with a bond of an unknown mode', links({ id: 'b', type: 'bond', ethernet_mac_address: MAC, bond_mode: 'x', bond_links: [] }), /bond_mode: must be one of 802\.3ad/],
    ['with a vlan of 4095', links(PORT, { id: 'v', type: 'vlan', vlan_mac_address: MAC, vlan_id: 4_095, vlan_link: 'tap1' }), /vlan_id/],
    ['with a network of an unknown type', networks({ ...DHCP, type: 'ipx' }), /^network_data\.networks\[0\]\.type: must be one of ipv4, ipv4_dhcp, ipv6, ipv6_dhcp, ipv6_dhcpv6-stateful, ipv6_dhcpv6-stateless, ipv6_slaac$/],
    ['with a network on no link', networks({ ...DHCP, link: 'tap9' }), /^network_data\.networks\[0\]\.link: "tap9" is not the id of a link$/],
    ['with an IPv6 address on an IPv4 network', networks({ ...STATIC4, ip_address: 'fd00::5' }), /ip_address: must be an IPv4 address/],
    ['with a static network without its address', networks({ ...STATIC4, ip_address: undefined }), /has ip_address and netmask/],
    ['with a mask with a hole', networks({ ...STATIC4, netmask: '255.0.255.0' }), /netmask: must be a network mask/],
    ['with an IPv6 mask with a hole', networks({ ...SLAAC, netmask: 'ffff:0:ffff::' }), /netmask: must be a network mask/],
    ['with an address of a scope', networks({ ...SLAAC, ip_address: 'fe80::1%eth0' }), /must be an IPv6 address/],
    ['with a service that is not dns', data({ services: [{ type: 'ntp', address: '10.0.0.1' }] }), /services\[0\]\.type: must be one of dns/],
    ['with more links than a guest has', links(...Array.from({ length: 65 }, (_, index) => ({ ...PORT, id: `l${index}` }))), /^network_data\.links: holds more than 64 items$/],
    ['with more routes than a table', networks({ ...STATIC4, routes: Array.from({ length: 129 }, () => ROUTE4) }), /routes: holds more than 128 items/],
    ['with a floating address that is none', { network_data: EMPTY, floating_addresses: ['203.0.113.7/32'] }, /^floating_addresses\[0\]: must be an IP address$/],
    ['with an address that is both', { network_data: null, fixed_addresses: ['::1'], floating_addresses: ['0::1'] }, /^floating_addresses: ::1 is a fixed address too$/],
  ];
  for (const [what, body, words] of cases) {
    it(what, () => assert.throws(() => read(body), { code: 'INVALID_ARGUMENT', message: words }));
  }

  it('at once, however much there is of it', () => {
    const ms = cpuMsOf(() => {
      assert.throws(() => read(data({ links: Array.from({ length: 50_000 }, () => ({})) })), { message: /more than 64/ });
      assert.throws(() => read(Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`k${index}`, 1]))), { code: 'INVALID_ARGUMENT' });
    });
    assert.ok(ms < 1_000, `${ms} ms`);
  });
});

describe("an instance's network", () => {
  it("is taken as Nova writes it, with a bond and a vlan, and gives the guest's addresses in one form", () => {
    const bond = { id: 'b', type: 'bond', ethernet_mac_address: MAC, bond_mode: '802.3ad', bond_links: ['tap1'] };
    const vlan = { id: 'v', type: 'vlan', vlan_mac_address: MAC, vlan_id: 7, vlan_link: 'b' };
    const document = { links: [{ ...PORT, mtu: null }, bond, vlan], networks: [STATIC4, SLAAC, DHCP], services: [{ type: 'dns', address: '10.0.0.2' }] };
    const body = read({ network_data: document, fixed_addresses: ['10.0.0.6', '10.0.0.5'], floating_addresses: ['203.0.113.7', '203.0.113.7'] });
    assert.deepEqual(body.network_data, document);
    assert.deepEqual(instanceNetwork(body), { data: document, fixed: ['10.0.0.5', '10.0.0.6', 'fd00:1::5'], floating: ['203.0.113.7'] });
  });

  it('is forgotten by null', () => {
    assert.deepEqual(instanceNetwork(read({ network_data: null })), { data: null, fixed: [], floating: [] });
  });
});
