/**
 * What a stored public key is: its type, its fingerprint as Nova shows it, and whether two texts are one key. Lenient, unlike
 * an import: these keys are in use, however they were written.
 */
import { X509Certificate, createHash } from 'node:crypto';

/** In characters: what an import takes at most. */
export const PUBLIC_KEY_CHARS_MAX = 98_304;

const PEM = /-----BEGIN CERTIFICATE-----/;
/** Algorithm and blob of one line; a blob begins with the length of its algorithm's name, so with AAAA. */
const SSH_LINE = /^\s*(\S+)\s+(AAAA[A-Za-z0-9+/]+={0,2})(?:\s|$)/;

export function typeOf(publicKey: string): 'ssh' | 'x509' {
  return PEM.test(publicKey) ? 'x509' : 'ssh';
}

/** MD5 of an ssh key's blob, SHA-1 of a certificate, as hex pairs with colons; null where the text cannot be read. */
export function fingerprintOf(publicKey: string): string | null {
  if (typeOf(publicKey) === 'x509') return certificateFingerprint(publicKey);
  const blob = SSH_LINE.exec(publicKey)?.[2];
  if (blob === undefined) return null;
  return (createHash('md5').update(Buffer.from(blob, 'base64')).digest('hex').match(/../g) ?? []).join(':');
}

function certificateFingerprint(pem: string): string | null {
  try {
    return new X509Certificate(pem).fingerprint.toLowerCase();
  } catch {
    return null;
  }
}

/** Comments and blanks apart. */
export function isSameMaterial(one: string, other: string): boolean {
  return one === other || materialOf(one) === materialOf(other);
}

function materialOf(publicKey: string): string {
  if (typeOf(publicKey) === 'x509') return publicKey.replace(/\s+/g, '');
  const lines = publicKey.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== '');
  return lines.map((line) => SSH_LINE.exec(line)?.slice(1, 3).join(' ') ?? line).join('\n');
}
