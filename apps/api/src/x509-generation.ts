/**
 * A certificate that signs itself, by which a user logs in to Windows over WinRM: for client authentication, with the
 * user's principal name, which is what WinRM maps to an account (RFC 5280; the fields are those of Nova's certificates).
 */
import { createHash, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { NULL, bits, octets, oid, sequence, set, small, tagged, time, unsigned, utf8 } from './x509-der.ts';

const COMMON_NAME = oid('2.5.4.3');
/** In bytes, so that it is so in characters too; a longer user id stands whole in the principal name alone. */
const COMMON_NAME_MAX = 64;
const PRINCIPAL_NAME = oid('1.3.6.1.4.1.311.20.2.3');
const SHA256_WITH_RSA = sequence(oid('1.2.840.113549.1.1.11'), NULL);
const SUBJECT_KEY_ID = oid('2.5.29.14');
const SUBJECT_ALTERNATIVE_NAME = oid('2.5.29.17');
const EXTENDED_KEY_USAGE = oid('2.5.29.37');
const CLIENT_AUTHENTICATION = oid('1.3.6.1.5.5.7.3.2');
/** As Nova's. */
const VALID_MS = 3_650 * 86_400_000;

export interface RsaKeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** DER of a certificate of the user's RSA key, valid for ten years from now. */
export async function selfSigned(userId: string, keys: RsaKeyPair, now: Date): Promise<Buffer> {
  const name = sequence(set(sequence(COMMON_NAME, utf8(shortened(userId)))));
  const publicKey = keys.publicKey.export({ type: 'spki', format: 'der' });
  const validity = sequence(time(now), time(new Date(now.getTime() + VALID_MS)));
  const body = sequence(
    tagged(0, small(2)), // version 3
    serialNumber(),
    SHA256_WITH_RSA,
    name,
    validity,
    name,
    publicKey,
    tagged(3, extensions(userId, keys.publicKey)),
  );
  const signature = await promisify(sign)('sha256', body, keys.privateKey);
  return sequence(body, SHA256_WITH_RSA, bits(signature));
}

function extensions(userId: string, publicKey: KeyObject): Buffer {
  const principal = tagged(0, PRINCIPAL_NAME, tagged(0, utf8(`${userId}@localhost`)));
  const keyId = createHash('sha1').update(publicKey.export({ type: 'pkcs1', format: 'der' })).digest();
  return sequence(
    sequence(EXTENDED_KEY_USAGE, octets(sequence(CLIENT_AUTHENTICATION))),
    sequence(SUBJECT_ALTERNATIVE_NAME, octets(sequence(principal))),
    sequence(SUBJECT_KEY_ID, octets(octets(keyId))),
  );
}

/** As many whole characters as fit. */
function shortened(userId: string): string {
  let name = '';
  for (const character of userId) {
    if (Buffer.byteLength(name + character) > COMMON_NAME_MAX) break;
    name += character;
  }
  return name;
}

/** Twenty bytes at most, and above zero. */
function serialNumber(): Buffer {
  const bytes = randomBytes(20);
  bytes[0] = 0x40 | ((bytes[0] ?? 0) & 0x3f);
  return unsigned(bytes);
}

/** `-----BEGIN CERTIFICATE-----`, with a line end at its end. */
export function certificatePem(certificate: Buffer): string {
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
