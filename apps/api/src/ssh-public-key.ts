/**
 * One line of an authorized_keys file, read strictly: `algorithm base64-blob [comment]`, the blob's own
 * first field naming the same algorithm, every field of the blob accounted for, and nothing but this one
 * key in the text. What is stored ends up verbatim in a guest's authorized_keys, so a second line, an
 * options prefix or a control character is refused rather than passed on.
 * Format: RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4, OpenSSH PROTOCOL.u2f and PROTOCOL.certkeys.
 */
import { createHash, createPublicKey } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';
import { SshReader } from './ssh-reader.ts';

export interface SshPublicKey {
  readonly algorithm: string;
  readonly comment: string;
  /** MD5 of the blob, 16 hex pairs with colons: the form Nova stores and shows. */
  readonly fingerprintMd5: string;
  /** `SHA256:` and unpadded base64, as ssh-keygen -l shows it. */
  readonly fingerprintSha256: string;
  /** Key strength in bits as ssh-keygen counts them. */
  readonly bits: number;
  /** Why it should not be trusted any more, or null. */
  readonly weakness: string | null;
}

/** Longest text of a public key, in characters. */
export const PUBLIC_KEY_CHARS_MAX = 98_304;

const RSA_BITS_MIN = 2048;
const RSA_BITS_MAX = 16_384;

const LINE = /^(\S+)[ \t]+(\S+)(?:[ \t]+(.*))?$/u;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f\u2028\u2029]/;

/**
 * Parses the text of one SSH public key (a trailing line end is allowed). Throws INVALID_ARGUMENT in
 * Nova's words where Nova too refuses it. A weak key is parsed and marked: whether to take it is the
 * caller's rule.
 */
export function parseSshPublicKey(text: string): SshPublicKey {
  if (text.length > PUBLIC_KEY_CHARS_MAX) throw tooLong();
  const [line = '', ...more] = text.split(/\r?\n/);
  const match = LINE.exec(line);
  if (match === null || CONTROL.test(line)) throw unreadable();
  const [, algorithm = '', encoded = '', comment = ''] = match;
  const blob = decodeBlob(encoded);
  const { bits, weakness } = readBlob(algorithm, blob);
  if (more.some((rest) => rest !== '')) throw severalLines();
  return {
    algorithm,
    comment,
    bits,
    weakness,
    fingerprintMd5: (createHash('md5').update(blob).digest('hex').match(/../g) ?? []).join(':'),
    fingerprintSha256: `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`,
  };
}

interface Strength {
  readonly bits: number;
  readonly weakness: string | null;
}

/** Reads the fields after a key's name (and, in a certificate, after its nonce). */
type FieldsReader = (reader: SshReader) => Strength;

const STRONG = (bits: number): Strength => ({ bits, weakness: null });

const KEY_FIELDS: Readonly<Record<string, FieldsReader>> = {
  'ssh-rsa': readRsa,
  'ssh-dss': readDsa,
  'ssh-ed25519': readEd25519,
  'ecdsa-sha2-nistp256': (reader) => readEcdsa(reader, 'nistp256', 'P-256', 256),
  'ecdsa-sha2-nistp384': (reader) => readEcdsa(reader, 'nistp384', 'P-384', 384),
  'ecdsa-sha2-nistp521': (reader) => readEcdsa(reader, 'nistp521', 'P-521', 521),
  'sk-ssh-ed25519@openssh.com': (reader) => withApplication(reader, readEd25519),
  'sk-ecdsa-sha2-nistp256@openssh.com': (reader) =>
    withApplication(reader, (fields) => readEcdsa(fields, 'nistp256', 'P-256', 256)),
};

const CERTIFICATE = '-cert-v01@openssh.com';

function readBlob(algorithm: string, blob: Buffer): Strength {
  try {
    const reader = new SshReader(blob);
    if (reader.text() !== algorithm) throw unreadable();
    const strength = algorithm.endsWith(CERTIFICATE)
      ? readCertificate(reader, plainName(algorithm))
      : fieldsOf(algorithm)(reader);
    reader.end();
    return strength;
  } catch (error) {
    throw error instanceof ServiceError ? error : unreadable(error);
  }
}

function fieldsOf(algorithm: string): FieldsReader {
  const fields = Object.hasOwn(KEY_FIELDS, algorithm) ? KEY_FIELDS[algorithm] : undefined;
  if (fields === undefined) throw unreadable();
  return fields;
}

/** `ssh-rsa-cert-v01@openssh.com` -> `ssh-rsa`; the FIDO forms keep their domain. */
function plainName(certificate: string): string {
  const name = certificate.slice(0, -CERTIFICATE.length);
  return name.startsWith('sk-') ? `${name}@openssh.com` : name;
}

function readCertificate(reader: SshReader, name: string): Strength {
  reader.bytes(); // nonce
  const strength = fieldsOf(name)(reader);
  reader.skip(8); // serial
  reader.skip(4); // type: user or host
  reader.bytes(); // key id
  reader.bytes(); // principals
  reader.skip(16); // valid after, valid before
  reader.bytes(); // critical options
  reader.bytes(); // extensions
  reader.bytes(); // reserved
  reader.bytes(); // signature key
  reader.bytes(); // signature
  return strength;
}

function readRsa(reader: SshReader): Strength {
  const exponent = reader.positive();
  const bits = bitLength(reader.positive());
  const odd = ((exponent.at(-1) ?? 0) & 1) === 1;
  if (!odd || bitLength(exponent) < 2 || bitLength(exponent) > 64 || bits > RSA_BITS_MAX) throw unreadable();
  const weakness = bits < RSA_BITS_MIN ? `an RSA key of ${bits} bits is too short, ${RSA_BITS_MIN} is the least` : null;
  return { bits, weakness };
}

function readDsa(reader: SshReader): Strength {
  const bits = bitLength(reader.positive());
  reader.positive();
  reader.positive();
  reader.positive();
  return { bits, weakness: 'ssh-dss keys are no longer accepted by OpenSSH servers; use ssh-ed25519' };
}

function readEd25519(reader: SshReader): Strength {
  if (reader.bytes().length !== 32) throw unreadable();
  return STRONG(256);
}

function readEcdsa(reader: SshReader, curve: string, crv: string, bits: number): Strength {
  if (reader.text() !== curve) throw unreadable();
  const point = reader.bytes();
  const size = Math.ceil(bits / 8);
  if (point.length !== 1 + 2 * size || point[0] !== 4) throw unreadable();
  const x = point.subarray(1, 1 + size).toString('base64url');
  const y = point.subarray(1 + size).toString('base64url');
  createPublicKey({ key: { kty: 'EC', crv, x, y }, format: 'jwk' }); // throws off the curve
  return STRONG(bits);
}

function withApplication(reader: SshReader, fields: FieldsReader): Strength {
  const strength = fields(reader);
  if (reader.bytes().length === 0) throw unreadable();
  return strength;
}

function decodeBlob(encoded: string): Buffer {
  const blob = Buffer.from(encoded, 'base64');
  if (!BASE64.test(encoded) || encoded.length % 4 !== 0 || blob.toString('base64') !== encoded) throw unreadable();
  return blob;
}

function bitLength(magnitude: Uint8Array): number {
  const first = magnitude[0] ?? 0;
  return magnitude.length * 8 - Math.clz32(first) + 24;
}

function unreadable(cause?: unknown): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', 'Keypair data is invalid: failed to generate fingerprint', { cause });
}

function severalLines(): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', 'Keypair data is invalid: one public key on one line is accepted, the text has more');
}

function tooLong(): ServiceError {
  return new ServiceError(
    'INVALID_ARGUMENT',
    `Keypair data is invalid: a public key has at most ${PUBLIC_KEY_CHARS_MAX} characters`,
  );
}
