/**
 * What a stored public key is: its fingerprint as Nova shows it, and whether two texts are one key. Lenient, unlike an
 * import: these keys are in use, however they were written.
 */
import { X509Certificate } from 'node:crypto';
import { publicKeyType, sshFingerprint } from '@gatehouse/objects/public-key-text';

/** Algorithm and blob of one line; a blob begins with the length of its algorithm's name, so with AAAA. */
const SSH_LINE = /^\s*(\S+)\s+(AAAA[A-Za-z0-9+/]+={0,2})(?:\s|$)/;

/** MD5 of an ssh key's blob, SHA-1 of a certificate, as hex pairs with colons; null where the text cannot be read. */
export function fingerprintOf(publicKey: string): string | null {
  if (publicKeyType(publicKey) === 'x509') return certificateFingerprint(publicKey);
  const blob = SSH_LINE.exec(publicKey)?.[2];
  return blob === undefined ? null : sshFingerprint(Buffer.from(blob, 'base64'));
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
  if (publicKeyType(publicKey) === 'x509') return publicKey.replace(/\s+/g, '');
  const lines = publicKey.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== '');
  return lines.map((line) => SSH_LINE.exec(line)?.slice(1, 3).join(' ') ?? line).join('\n');
}
