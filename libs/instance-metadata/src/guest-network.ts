/**
 * What a guest is told of its network. A link of `facts.network` may say, beside what network_data.json says of it, how the guest can tell
 * its device from others: `tags`, `vlan`, `vf_trusted`, and the `bus` and `address` it sits at. Those stand in meta_data.json, under devices.
 */
import { isIPv4 } from 'node:net';
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { OCATA, ROCKY } from './versions.ts';
import type { OpenstackVersion } from './versions.ts';

type Link = Readonly<Record<string, unknown>>;

const BUSES: readonly unknown[] = ['pci', 'usb', 'scsi', 'ide', 'xen'];
const OF_ITS_DEVICE: ReadonlySet<string> = new Set(['tags', 'vlan', 'vf_trusted', 'bus', 'address']);

/** network_data.json; an empty object where nothing is known, as Nova has it. */
export function networkData({ network }: InstanceFacts): object {
  if (network === null) return {};
  const { links, networks, services } = network;
  return { links: links.map(withoutItsDevice), networks, services };
}

function withoutItsDevice(link: Link): Link {
  return Object.fromEntries(Object.entries(link).filter(([member]) => !OF_ITS_DEVICE.has(member)));
}

/** The interfaces of which a link says more than that they are there. */
export function nicDevices({ network }: InstanceFacts, version: OpenstackVersion): readonly object[] {
  return (network?.links ?? []).flatMap((link) => nicDevice(link, version) ?? []);
}

function nicDevice(link: Link, version: OpenstackVersion): object | null {
  const { ethernet_mac_address: mac, vlan, vf_trusted: trusted, tags, bus = 'none', address = 'none' } = link;
  const hasVlan = version >= OCATA && typeof vlan === 'number';
  const isTold = tags !== undefined || hasVlan || (version >= ROCKY && trusted !== undefined);
  const isOnKnownBus = bus === 'none' || BUSES.includes(bus);
  if (typeof mac !== 'string' || !isTold || !isOnKnownBus) return null;
  return {
    ...(hasVlan ? { vlan } : {}),
    ...(version >= ROCKY ? { vf_trusted: trusted === true } : {}),
    type: 'nic',
    mac,
    bus,
    address: bus === 'none' ? 'none' : address,
    ...(Array.isArray(tags) ? { tags } : {}),
  };
}

/** The first one, as EC2's guests know themselves; null where nothing tells. */
export function firstIpv4({ network, fixedAddresses }: InstanceFacts): string | null {
  const told = (network?.networks ?? []).map(({ ip_address: address }) => address);
  return [...told, ...fixedAddresses].find((address) => typeof address === 'string' && isIPv4(address)) as string | undefined ?? null;
}
