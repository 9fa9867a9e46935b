/**
 * One line of an authorized_keys file, read strictly: `algorithm base64-blob [comment]`, the blob's own
 * first field naming the same algorithm, every field of the blob accounted for, and nothing but this one
 * key in the text. What is stored ends up verbatim in a guest's authorized_keys, so a second line, an
 * options prefix, a control character or what lets nobody in there is refused rather than passed on. A refusal
 * repeats nothing of the text: it may be a private key.
 * Format: RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4, OpenSSH PROTOCOL.u2f.
 */
import { createHash, createPublicKey } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';
import { PUBLIC_KEY_CHARS_MAX, sshFingerprint } from '@gatehouse/objects/public-key-text';
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

const RSA_BITS_MIN = 2048;
const RSA_BITS_MAX = 16_384;

const LINE = /^(\S+) (\S+)(?:[ \t]+(.*))?$/u;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f\u2028\u2029]/;

/**
 * Parses the text of one SSH public key (a line end after it is allowed). Throws INVALID_ARGUMENT, which begins
 * in Nova's words and says why. A weak key is parsed and marked: whether to take it is the caller's rule.
 */
export function parseSshPublicKey(text: string): SshPublicKey {
  if (text.length > PUBLIC_KEY_CHARS_MAX) throw unreadable(`a public key has at most ${PUBLIC_KEY_CHARS_MAX} characters`);
  const [line = '', ...more] = text.split(/\r?\n/);
  if (CONTROL.test(line)) throw unreadable('a control character stands in the text');
  const match = LINE.exec(line);
  if (match === null || !Object.hasOwn(KEY_FIELDS, match[1] ?? '')) throw unreadable(whatElse(line));
  const [, algorithm = '', encoded = '', comment = ''] = match;
  const blob = decodeBlob(encoded);
  const { bits, weakness } = readBlob(algorithm, blob);
  if (more.some((rest) => rest !== '')) throw unreadable('one public key on one line is accepted, the text has more lines');
  return {
    algorithm,
    comment,
    bits,
    weakness,
    fingerprintMd5: sshFingerprint(blob),
    fingerprintSha256: `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`,
  };
}

const WHAT_ELSE: readonly (readonly [is: RegExp, reason: string])[] = [
  [/^\s*$/, 'the text is empty'],
  [/^\s*-----BEGIN [A-Z0-9 ]*PRIVATE KEY/, 'this is a private key, which should never leave its machine: send the public one, of the file that ends in .pub'],
  [/^\s*-----BEGIN CERTIFICATE/, 'this is an X.509 certificate: send it with the type x509'],
  [/^\s*---- BEGIN SSH2/, 'this is the form of RFC 4716: ssh-keygen -i makes one line of it'],
  [/^\s*-----BEGIN [A-Z0-9 ]*PUBLIC KEY/, 'this is PEM: ssh-keygen -i -m PKCS8 makes one line of it'],
  [/^\s/, 'the text begins with a space'],
  [/^\S+-cert-v01@openssh\.com\s/, 'this is a certificate, which lets nobody in: send the public key that it certifies'],
];

/** Why a line that does not begin with an algorithm and one space is refused. */
function whatElse(line: string): string {
  const known = WHAT_ELSE.find(([is]) => is.test(line));
  if (known !== undefined) return known[1];
  const [first = '', ...others] = line.split(/[ \t]/, 50);
  if (Object.hasOwn(KEY_FIELDS, first)) return 'one space, and then the key in base64, must follow the algorithm';
  if (others.some((word) => Object.hasOwn(KEY_FIELDS, word))) return 'options before the key are not accepted: begin with the algorithm';
  return `the text must begin with the algorithm, one of ${Object.keys(KEY_FIELDS).join(', ')}`;
}

interface Strength {
  readonly bits: number;
  readonly weakness: string | null;
}

/** Reads the fields after a key's name; throws RangeError with the reason. */
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

function readBlob(algorithm: string, blob: Buffer): Strength {
  try {
    const reader = new SshReader(blob);
    if (reader.text() !== algorithm) throw new RangeError(`${algorithm} stands before it, another name in it`);
    const strength = (KEY_FIELDS[algorithm] ?? readEd25519)(reader);
    reader.end();
    return strength;
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw unreadable(`the key is damaged: ${cause.message}`, cause);
  }
}

function readRsa(reader: SshReader): Strength {
  const exponent = reader.positive();
  const bits = bitLength(reader.positive());
  const isOdd = ((exponent.at(-1) ?? 0) & 1) === 1;
  if (!isOdd || bitLength(exponent) < 2 || bitLength(exponent) > 64) throw new RangeError('its exponent is not odd, or not one of 2 to 64 bits');
  if (bits > RSA_BITS_MAX) throw new RangeError(`it has ${bits} bits, at most ${RSA_BITS_MAX} are accepted`);
  return { bits, weakness: rsaWeakness(bits) };
}

/** Why an RSA key of so many bits should not be trusted any more, or null. */
export function rsaWeakness(bits: number): string | null {
  return bits < RSA_BITS_MIN ? `an RSA key of ${bits} bits is too short, ${RSA_BITS_MIN} is the least` : null;
}

function readDsa(reader: SshReader): Strength {
  const bits = bitLength(reader.positive());
  for (let number = 0; number < 3; number += 1) reader.positive();
  return { bits, weakness: 'ssh-dss keys are no longer accepted by OpenSSH servers; use ssh-ed25519' };
}

function readEd25519(reader: SshReader): Strength {
  if (reader.bytes().length !== 32) throw new RangeError('an Ed25519 key has 32 bytes');
  return STRONG(256);
}

function readEcdsa(reader: SshReader, curve: string, crv: string, bits: number): Strength {
  if (reader.text() !== curve) throw new RangeError(`its curve is not ${curve}`);
  const point = reader.bytes();
  const size = Math.ceil(bits / 8);
  if (point.length !== 1 + 2 * size || point[0] !== 4) throw new RangeError(`a point of ${curve} is written in ${1 + 2 * size} bytes, uncompressed`);
  const [x, y] = [point.subarray(1, 1 + size), point.subarray(1 + size)].map((number) => number.toString('base64url'));
  try {
    createPublicKey({ key: { kty: 'EC', crv, x, y }, format: 'jwk' });
  } catch (cause) {
    throw new RangeError(`its point is not on ${curve}`, { cause });
  }
  return STRONG(bits);
}

/** On a FIDO token. */
function withApplication(reader: SshReader, fields: FieldsReader): Strength {
  const strength = fields(reader);
  if (reader.bytes().length === 0) throw new RangeError('the application that a FIDO key is bound to is missing');
  return strength;
}

function decodeBlob(encoded: string): Buffer {
  const blob = Buffer.from(encoded, 'base64');
  if (!BASE64.test(encoded) || blob.toString('base64') !== encoded) throw unreadable('what follows the algorithm is not whole base64');
  return blob;
}

function bitLength(magnitude: Uint8Array): number {
  const first = magnitude[0] ?? 0;
  return magnitude.length * 8 - Math.clz32(first) + 24;
}

function unreadable(reason: string, cause?: unknown): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', `Keypair data is invalid: failed to generate fingerprint: ${reason}`, { cause });
}
