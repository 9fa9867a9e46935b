/** What Nova's schema (doc/api_schemas/network_data.json) asks of network_data.json, in our words: what must be there, and of what kind it is. */
import { isIPv4, isIPv6 } from 'node:net';

type Check = (value: unknown) => boolean;
type Rules = Readonly<Record<string, Check>>;

const text: Check = (value) => typeof value === 'string';
const mac: Check = (value) => typeof value === 'string' && /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(value);
const mtu: Check = (value) => value === null || (typeof value === 'number' && value >= 1 && value <= 65_535);
const oneOf = (...values: readonly unknown[]): Check => (value) => values.includes(value);
const ipv4: Check = (value) => typeof value === 'string' && isIPv4(value);
const ipv6: Check = (value) => typeof value === 'string' && isIPv6(value.replace(/\/\d{1,2}$/, ''));
const listOf = (check: Check): Check => (value) => Array.isArray(value) && value.every(check);

/** An object with all of `required`; of `optional` each that is there. */
const record = (required: Rules, optional: Rules = {}): Check => (value) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const members = value as Readonly<Record<string, unknown>>;
  return Object.entries(required).every(([name, check]) => name in members && check(members[name]))
    && Object.entries(optional).every(([name, check]) => !(name in members) || check(members[name]));
};

const LINK = record({ id: text, ethernet_mac_address: mac, type: oneOf('bridge', 'dvs', 'hw_veb', 'hyperv', 'ovs', 'tap', 'vhostuser', 'vif', 'phy') }, { mtu, vif_id: text });
const BOND = record({ id: text, ethernet_mac_address: mac, type: oneOf('bond'), bond_mode: text, bond_links: listOf(text) }, { mtu, vif_id: text });
const VLAN = record({ id: text, vlan_mac_address: mac, type: oneOf('vlan'), vlan_link: text, vlan_id: Number.isInteger }, { mtu, vif_id: text });

const networkOf = (address: Check, ...types: readonly string[]): Check => record(
  { id: text, link: text, network_id: text, type: oneOf(...types) },
  { ip_address: address, netmask: address, routes: listOf(record({ network: address, netmask: address, gateway: address })) },
);
const serviceOf = (address: Check): Check => record({ type: oneOf('dns'), address });

const LISTS: readonly (readonly [name: string, kinds: readonly Check[]])[] = [
  ['links', [LINK, BOND, VLAN]],
  ['networks', [networkOf(ipv4, 'ipv4', 'ipv4_dhcp'), networkOf(ipv6, 'ipv6', 'ipv6_dhcp', 'ipv6_slaac')]],
  ['services', [serviceOf(ipv4), serviceOf(ipv6)]],
];

/** One line for each entry that is of no kind there is. */
export function faultsOfNetworkData(document: unknown): readonly string[] {
  const lists = document as Readonly<Record<string, unknown>>;
  return LISTS.flatMap(([name, kinds]) => {
    const entries = lists[name];
    if (!Array.isArray(entries)) return [`${name} is no list`];
    return entries.flatMap((entry: unknown, index) => (kinds.some((isOfKind) => isOfKind(entry)) ? [] : [`${name}[${index}] is of no kind that the schema knows`]));
  });
}
