/** What is said of a public key's text in several places, and must be the same in all: its greatest length, its type, and how a fingerprint is spelled. */
import { createHash } from 'node:crypto';

/** In characters: what an import takes at most, and what is moved at most. */
export const PUBLIC_KEY_CHARS_MAX = 98_304;

/** Words may stand before a certificate, as openssl writes them; an ssh key whose comment names one is none. */
const CERTIFICATE = /^[ \t]*-----BEGIN CERTIFICATE-----/m;

/** Of a text that comes without its type: what Nova keeps in an instance's key_data. */
export function publicKeyType(text: string): 'ssh' | 'x509' {
  return CERTIFICATE.test(text) ? 'x509' : 'ssh';
}

/** MD5 of an ssh key's blob, 16 hex pairs with colons: the form that Nova stores and shows. */
export function sshFingerprint(blob: Uint8Array): string {
  return (createHash('md5').update(blob).digest('hex').match(/../g) ?? []).join(':');
}
