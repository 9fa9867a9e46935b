/**
 * Fields of networks and devices: IP addresses, networks, MAC and PCI addresses. Their values are texts in oslo's own
 * form, and what comes in another form of the same address is taken and written in that one.
 */
import { field } from './field.ts';
import type { Field } from './field.ts';
import { canonicalIp } from './ip-text.ts';
import { refuse, shown } from './refusal.ts';

type Version = 4 | 6;

export function ipAddress(): Field<string> {
  return address('IPAddress', [4, 6]);
}

export function ipv4Address(): Field<string> {
  return address('IPV4Address', [4]);
}

export function ipv6Address(): Field<string> {
  return address('IPV6Address', [6]);
}

/** oslo's other name for ipAddress. */
export function ipv4AndV6Address(): Field<string> {
  return address('IPV4AndV6Address', [4, 6]);
}

/** `192.0.2.5/24`: the bits of the host stay; an address alone is a network of one. */
export function ipNetwork(): Field<string> {
  return network('IPNetwork', [4, 6]);
}

export function ipv4Network(): Field<string> {
  return network('IPV4Network', [4]);
}

export function ipv6Network(): Field<string> {
  return network('IPV6Network', [6]);
}

/** Six pairs of digits, in lower case and with colons. */
export function macAddress(): Field<string> {
  return canonical('MACAddress', 'a MAC address like c6:df:11:a5:c8:5d', (text) => matching(text.toLowerCase().replaceAll('-', ':'), MAC));
}

export function pciAddress(): Field<string> {
  return canonical('PCIAddress', 'a PCI address like 0000:02:1f.7', (text) => matching(text.toLowerCase(), PCI));
}

const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/;
// The dot of oslo's own pattern stands for any character; no device is named so.
const PCI = /^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/;
const PREFIX = /^\d{1,3}$/;
const TEXT_LENGTH_MAX = 64;

function address(typeName: string, versions: readonly Version[]): Field<string> {
  return canonical(typeName, `an ${versionsText(versions)} address`, (text) => {
    const ip = canonicalIp(text);
    return ip !== null && versions.includes(ip.version) ? ip.text : null;
  });
}

function network(typeName: string, versions: readonly Version[]): Field<string> {
  return canonical(typeName, `an ${versionsText(versions)} network like ${versions[0] === 4 ? '192.0.2.0/24' : '2001:db8::/32'}`, (text) => {
    const [before = '', prefix, ...more] = text.split('/');
    const ip = canonicalIp(before);
    if (ip === null || !versions.includes(ip.version) || more.length > 0) return null;
    const bits = ip.version === 4 ? 32 : 128;
    if (prefix === undefined) return `${ip.text}/${bits}`;
    return PREFIX.test(prefix) && Number(prefix) <= bits ? `${ip.text}/${Number(prefix)}` : null;
  });
}

function versionsText(versions: readonly Version[]): string {
  return versions.length === 2 ? 'IP' : `IPv${versions[0]}`;
}

function canonical(typeName: string, wanted: string, form: (text: string) => string | null): Field<string> {
  const check = (value: unknown, path: string): string => {
    const text = typeof value === 'string' && value.length <= TEXT_LENGTH_MAX ? form(value) : null;
    return text ?? refuse(path, `expected ${wanted}, got ${shown(value)}`);
  };
  return field<string>({ typeName, fromWire: check, toWire: check });
}

function matching(text: string, pattern: RegExp): string | null {
  return pattern.test(text) ? text : null;
}
