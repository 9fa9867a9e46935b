/**
 * A new RSA key for those whose microversion still lets the service make one. The private key goes back to
 * the caller in this one answer and is kept nowhere.
 */
import { createPublicKey, generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { ServiceError } from '@gatehouse/errors/service-error';

export interface GeneratedKey {
  readonly publicKey: string;
  /** PEM, PKCS#1 (`BEGIN RSA PRIVATE KEY`), as Nova gives it. */
  readonly privateKey: string;
}

const RSA_BITS = 3072;
/** Generations under way at once; each keeps one thread of the pool busy for a good part of a second. */
const GENERATIONS_MAX = 4;

let underWay = 0;

/** Throws RESOURCE_EXHAUSTED where too many are being made already. */
export async function generateSshKey(): Promise<GeneratedKey> {
  if (underWay >= GENERATIONS_MAX) {
    throw new ServiceError('RESOURCE_EXHAUSTED', 'Too many key pairs are being generated; try again in a second');
  }
  underWay += 1;
  try {
    const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', {
      modulusLength: RSA_BITS,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    });
    return { publicKey: `${authorizedKey(publicKey)} Generated-by-Gatehouse`, privateKey };
  } finally {
    underWay -= 1;
  }
}

function authorizedKey(spki: string): string {
  const jwk = createPublicKey(spki).export({ format: 'jwk' });
  const exponent = mpint(Buffer.from(jwk.e ?? '', 'base64url'));
  const modulus = mpint(Buffer.from(jwk.n ?? '', 'base64url'));
  const blob = Buffer.concat([lengthAnd(Buffer.from('ssh-rsa')), exponent, modulus]);
  return `ssh-rsa ${blob.toString('base64')}`;
}

function mpint(magnitude: Buffer): Buffer {
  const signed = (magnitude[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), magnitude]) : magnitude;
  return lengthAnd(signed);
}

function lengthAnd(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
