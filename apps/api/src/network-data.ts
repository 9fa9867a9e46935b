/**
 * What an operator may say of an instance's network: network_data.json as the guest will read it, by Nova's schema for it
 * (doc/api_schemas/network_data.json) with what cloud-init reads besides, and the addresses. Strict: what is refused here
 * would otherwise be found out by a guest that does not come up.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { canonicalIp } from '@gatehouse/objects/ip-text';
import { z } from 'zod';
import type { InstanceNetwork } from '@gatehouse/cell-db/instance-networks-store';

const LINKS_MAX = 64;
const NETWORKS_MAX = 128;
const SERVICES_MAX = 64;
const ROUTES_MAX = 128;
const ADDRESSES_MAX = 256;
/** Of the whole, as JSON. */
export const NETWORK_BYTES_MAX = 65_536;

const PHYSICAL = ['bgpovs', 'bridge', 'cascading', 'dvs', 'ethernet', 'hw_veb', 'hyperv', 'ovs', 'phy', 'tap', 'vhostuser', 'vif'] as const;
const LINK_TYPES = [...PHYSICAL, 'bond', 'vlan'];
const BOND_MODES = ['802.3ad', 'active-backup', 'balance-alb', 'balance-rr', 'balance-tlb', 'balance-xor', 'broadcast'] as const;
const IPV4_TYPES = ['ipv4', 'ipv4_dhcp'] as const;
const IPV6_TYPES = ['ipv6', 'ipv6_dhcp', 'ipv6_dhcpv6-stateful', 'ipv6_dhcpv6-stateless', 'ipv6_slaac'] as const;

/** A list that is measured before its items are looked at. */
const listOf = <T extends z.ZodType>(item: T, max: number) => z.array(z.unknown()).max(max, `holds more than ${max} items`).pipe(z.array(item));
const oneOf = (types: readonly string[]) => ({ error: () => `must be one of ${types.join(', ')}` });

const NAME = z.string().min(1).max(255).regex(/^[^\p{C}]+$/u, 'must be printable');
const MAC = z.string().regex(/^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$/, 'must be six pairs of hexadecimal digits, as fa:16:3e:00:00:01');
const MTU = z.int().min(1).max(65_535).nullable();
const IPV4 = z.string().refine(isIPv4, 'must be an IPv4 address');
const IPV6 = z.string().refine((text) => isIPv6(text) && !text.includes('%'), 'must be an IPv6 address');
const ANY_IP = z.string().refine((text) => canonicalIp(text) !== null, 'must be an IP address');
const MASK4 = IPV4.refine((text) => isMask(text.split('.').map(Number), 8), 'must be a network mask, as 255.255.255.0');
const MASK6 = IPV6.refine((text) => isMask(wordsOf(text), 16), 'must be a network mask, as ffff:ffff:ffff:ffff::');
const SERVICE = z.strictObject({ type: z.literal('dns', oneOf(['dns'])), address: ANY_IP });

const link = { id: NAME, name: NAME.optional(), vif_id: NAME.nullable().optional() };
const LINK = z.discriminatedUnion('type', [
  z.strictObject({ ...link, type: z.enum(PHYSICAL), mtu: MTU.optional(), ethernet_mac_address: MAC }),
  z.strictObject({
    ...link, type: z.literal('bond'), mtu: MTU.optional(), ethernet_mac_address: MAC,
    bond_mode: z.enum(BOND_MODES, oneOf(BOND_MODES)), bond_links: listOf(NAME, LINKS_MAX),
    bond_miimon: z.int().min(0).max(60_000).optional(), bond_xmit_hash_policy: NAME.optional(),
  }),
  z.strictObject({ ...link, type: z.literal('vlan'), mtu: MTU.optional(), vlan_mac_address: MAC, vlan_id: z.int().min(1).max(4_094), vlan_link: NAME }),
], oneOf(LINK_TYPES));

function networkOf<T extends string>(types: readonly [T, ...T[]], ip: z.ZodType<string>, mask: z.ZodType<string>) {
  return z.strictObject({
    id: NAME, type: z.enum(types), link: NAME, ip_address: ip.optional(), netmask: mask.optional(),
    routes: listOf(z.strictObject({ network: ip, netmask: mask, gateway: ip, services: listOf(SERVICE, SERVICES_MAX).optional() }), ROUTES_MAX).optional(),
    network_id: NAME, gateway: ip.nullable().optional(), dns_nameservers: listOf(ip, SERVICES_MAX).optional(), services: listOf(SERVICE, SERVICES_MAX).optional(),
  });
}
const NETWORK = z.discriminatedUnion('type', [networkOf(IPV4_TYPES, IPV4, MASK4), networkOf(IPV6_TYPES, IPV6, MASK6)], oneOf([...IPV4_TYPES, ...IPV6_TYPES]))
  .refine(({ type, ip_address: address, netmask }) => !STATIC.has(type) || (address !== undefined && netmask !== undefined), 'a network of type ipv4 or ipv6 has ip_address and netmask');
const STATIC: ReadonlySet<string> = new Set(['ipv4', 'ipv6']);

const DATA = z.strictObject({ links: listOf(LINK, LINKS_MAX), networks: listOf(NETWORK, NETWORKS_MAX), services: listOf(SERVICE, SERVICES_MAX) });
type Data = z.output<typeof DATA>;

/** Body of PUT /v1/instances/{id}/network. */
export const NETWORK_BODY = z.strictObject({
  network_data: DATA.superRefine((data, context) => {
    for (const { path, message } of loseEnds(data)) context.addIssue({ code: 'custom', path: [...path], message });
  }).nullable(),
  fixed_addresses: listOf(ANY_IP, ADDRESSES_MAX).default([]),
  floating_addresses: listOf(ANY_IP, ADDRESSES_MAX).default([]),
}).superRefine((body, context) => {
  const { fixed, floating } = instanceNetwork(body);
  const both = floating.find((address) => fixed.includes(address));
  if (both !== undefined) context.addIssue({ code: 'custom', path: ['floating_addresses'], message: `${both} is a fixed address too` });
});
export type NetworkBody = z.output<typeof NETWORK_BODY>;

/** Fixed are those that its networks name, and those that are said besides: a network of type dhcp names none in Nova's documents. */
export function instanceNetwork({ network_data: data, fixed_addresses: fixed, floating_addresses: floating }: NetworkBody): InstanceNetwork {
  const named = (data?.networks ?? []).flatMap(({ ip_address: address }) => (address === undefined ? [] : [address]));
  return { data, fixed: canonical([...named, ...fixed]), floating: canonical(floating) };
}

function canonical(addresses: readonly string[]): readonly string[] {
  return [...new Set(addresses.map((address) => canonicalIp(address)?.text ?? address))].sort();
}

interface LooseEnd {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Ids that stand twice, and names of links that are not there. */
function loseEnds({ links, networks }: Data): readonly LooseEnd[] {
  const linkIds = links.map(({ id }) => id);
  const known = new Set(linkIds);
  const lost = (path: LooseEnd['path'], id: string): readonly LooseEnd[] => (known.has(id) ? [] : [{ path, message: `${JSON.stringify(id)} is not the id of a link` }]);
  return [
    ...twice('links', linkIds),
    ...twice('networks', networks.map(({ id }) => id)),
    ...networks.flatMap((network, index) => lost(['networks', index, 'link'], network.link)),
    ...links.flatMap((each, index) => {
      if (each.type === 'vlan') return lost(['links', index, 'vlan_link'], each.vlan_link);
      return each.type === 'bond' ? each.bond_links.flatMap((id, at) => lost(['links', index, 'bond_links', at], id)) : [];
    }),
  ];
}

function twice(list: string, ids: readonly string[]): readonly LooseEnd[] {
  return ids.flatMap((id, index) => (ids.indexOf(id) === index ? [] : [{ path: [list, index, 'id'], message: `${JSON.stringify(id)} stands twice` }]));
}

/** Ones, then zeros. */
function isMask(parts: readonly number[], bits: number): boolean {
  return /^1*0*$/.test(parts.map((part) => part.toString(2).padStart(bits, '0')).join(''));
}

function wordsOf(ipv6: string): readonly number[] {
  const [head = '', tail] = (canonicalIp(ipv6)?.text ?? '').split('::');
  const words = (text: string): readonly number[] => (text === '' ? [] : text.split(':').map((word) => parseInt(word, 16)));
  const after = words(tail ?? '');
  return [...words(head), ...new Array<number>(Math.max(0, 8 - words(head).length - after.length)).fill(0), ...after];
}
