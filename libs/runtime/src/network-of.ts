/**
 * Who is one when strangers are counted. Who holds an IPv6 prefix has as many addresses as they like, and a /64 is the least
 * that a network hands out: its addresses count as one. Where single addresses are too many to count, their networks are: an
 * IPv4 /24, and an IPv6 /48, which is the most that one customer is given.
 */
import { isIP } from 'node:net';

const GROUPS = 8;

/** The address itself, or the /64 of an IPv6 one. */
export function networkOf(address: string): string {
  return isIP(address) === 6 ? prefixOf(address, 4) : address;
}

/** The /24 of an IPv4 address, the /48 of an IPv6 one; what is no address is its own. */
export function wideNetworkOf(address: string): string {
  const family = isIP(address);
  if (family === 6) return prefixOf(address, 3);
  return family === 4 ? `${address.slice(0, address.lastIndexOf('.'))}.0/24` : address;
}

function prefixOf(address: string, groups: number): string {
  const [left = [], right = []] = address.split('::').map((side) => side.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: GROUPS - left.length - right.length }, () => '0');
  return `${[...left, ...zeros, ...right].slice(0, groups).join(':')}::/${groups * 16}`;
}
