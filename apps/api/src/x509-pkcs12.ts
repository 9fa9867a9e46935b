/**
 * A private key and its certificate as one PKCS#12 file without a password, for those who log in to Windows by WinRM.
 * The file is encrypted all the same, because Windows asks for that, and with triple DES and SHA-1, because every Windows
 * reads those (AES only from Server 2019 on): with an empty password neither protects anything, and neither would stretching
 * it. The answer of the request is all the protection that the key has.
 * Format: RFC 7292; the password's key by its appendix B.
 */
import { createCipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import { NULL, octets, oid, sequence, set, small, tagged, retagged } from './x509-der.ts';

const DATA = oid('1.2.840.113549.1.7.1');
const ENCRYPTED_DATA = oid('1.2.840.113549.1.7.6');
const SHA1 = oid('1.3.14.3.2.26');
const SHA1_AND_TRIPLE_DES = oid('1.2.840.113549.1.12.1.3');
const SHROUDED_KEY_BAG = oid('1.2.840.113549.1.12.10.1.2');
const CERTIFICATE_BAG = oid('1.2.840.113549.1.12.10.1.3');
const X509_CERTIFICATE = oid('1.2.840.113549.1.9.22.1');
const LOCAL_KEY_ID = oid('1.2.840.113549.1.9.21');

const SALT_BYTES = 8;
/** The empty password as the format has it: UTF-16 with its end. */
const PASSWORD = Buffer.alloc(2);
/** What a derived key is for. */
const [FOR_KEY, FOR_IV, FOR_MAC] = [1, 2, 3];

/** DER of a PKCS#12 file with an empty password; `privateKey` is PKCS#8, `certificate` X.509, both DER. */
export function pkcs12(privateKey: Buffer, certificate: Buffer): Buffer {
  // Ties the two together for the reader.
  const keyId = set(sequence(LOCAL_KEY_ID, set(octets(createHash('sha1').update(certificate).digest()))));
  const certificateBag = sequence(CERTIFICATE_BAG, tagged(0, sequence(X509_CERTIFICATE, tagged(0, octets(certificate)))), keyId);
  const hidden = encrypted(sequence(certificateBag));
  const certificates = sequence(ENCRYPTED_DATA, tagged(0, sequence(small(0), sequence(DATA, hidden.algorithm, retagged(0, hidden.bytes)))));
  const shrouded = encrypted(privateKey);
  const keyBag = sequence(SHROUDED_KEY_BAG, tagged(0, sequence(shrouded.algorithm, octets(shrouded.bytes))), keyId);
  const keys = sequence(DATA, tagged(0, octets(sequence(keyBag))));
  const content = sequence(certificates, keys);
  return sequence(small(3), sequence(DATA, tagged(0, octets(content))), macOf(content));
}

interface Encrypted {
  readonly algorithm: Buffer;
  readonly bytes: Buffer;
}

function encrypted(plain: Buffer): Encrypted {
  const salt = randomBytes(SALT_BYTES);
  const cipher = createCipheriv('des-ede3-cbc', derived(salt, FOR_KEY, 24), derived(salt, FOR_IV, 8));
  const bytes = Buffer.concat([cipher.update(plain), cipher.final()]);
  return { algorithm: sequence(SHA1_AND_TRIPLE_DES, sequence(octets(salt), small(1))), bytes };
}

function macOf(content: Buffer): Buffer {
  const salt = randomBytes(SALT_BYTES);
  const mac = createHmac('sha1', derived(salt, FOR_MAC, 20)).update(content).digest();
  // One iteration is what a reader takes where none is named.
  return sequence(sequence(sequence(SHA1, NULL), octets(mac)), octets(salt));
}

/** RFC 7292 B.2 with SHA-1 and one iteration. */
function derived(salt: Buffer, purpose: number, length: number): Buffer {
  const block = 64;
  let input = Buffer.concat([Buffer.alloc(block, salt), Buffer.alloc(block, PASSWORD)]);
  let key = Buffer.alloc(0);
  while (key.length < length) {
    const hash = createHash('sha1').update(Buffer.alloc(block, purpose)).update(input).digest();
    key = Buffer.concat([key, hash]);
    const step = BigInt(`0x${Buffer.alloc(block, hash).toString('hex')}`) + 1n;
    input = Buffer.concat([input.subarray(0, block), input.subarray(block)].map((part) => plus(part, step)));
  }
  return key.subarray(0, length);
}

/** Big-endian, in as many bytes as before. */
function plus(number: Buffer, addend: bigint): Buffer {
  const sum = BigInt.asUintN(number.length * 8, BigInt(`0x${number.toString('hex')}`) + addend);
  return Buffer.from(sum.toString(16).padStart(number.length * 2, '0'), 'hex');
}
