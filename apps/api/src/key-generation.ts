/**
 * New keys for those whose microversion still lets the service make them. The private key goes back to the caller in
 * this one answer and is kept nowhere. Finding an RSA key takes a thread of Node's pool a good part of a second, so few are
 * looked for at one time and few may wait.
 */
import { generateKeyPair, randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { ServiceError } from '@gatehouse/errors/service-error';
import { sshBytes, sshPositive, uint32 } from './ssh-wire.ts';
import { certificatePem, selfSigned } from './x509-generation.ts';
import { pkcs12 } from './x509-pkcs12.ts';

export interface GeneratedKey {
  /** A line of authorized_keys, or a PEM certificate. */
  readonly publicKey: string;
  /** PEM, or base64 of a PKCS#12 file without a password. */
  readonly privateKey: string;
}

export const GENERATED_SSH_KEYS = ['rsa', 'ed25519'] as const;
export type GeneratedSshKeys = (typeof GENERATED_SSH_KEYS)[number];

const RSA_BITS = 3072;
const COMMENT = 'Generated-by-Gatehouse';
/** Half of Node's pool: the other half is for what every request needs. */
const AT_ONCE_MAX = 2;
const WAITING_MAX = 16;

export class KeyGenerator {
  readonly #sshKeys: GeneratedSshKeys;
  readonly #waiting: (() => void)[] = [];
  #underWay = 0;

  constructor(sshKeys: GeneratedSshKeys) {
    this.#sshKeys = sshKeys;
  }

  /**
   * RSA of 3,072 bits as PKCS#1 (`BEGIN RSA PRIVATE KEY`, which every ssh reads and Nova's get-password needs), or Ed25519 as
   * OpenSSH's own form. Throws RESOURCE_EXHAUSTED where too many are waiting already.
   */
  ssh(): Promise<GeneratedKey> {
    return this.#inTurn(this.#sshKeys === 'rsa' ? sshRsa : sshEd25519);
  }

  /** RSA of 3,072 bits, certified for the user. Throws RESOURCE_EXHAUSTED where too many are waiting already. */
  x509(userId: string, now: Date): Promise<GeneratedKey> {
    return this.#inTurn(async () => {
      const keys = await rsa();
      const certificate = await selfSigned(userId, keys, now);
      const file = pkcs12(keys.privateKey.export({ type: 'pkcs8', format: 'der' }), certificate);
      return { publicKey: certificatePem(certificate), privateKey: file.toString('base64') };
    });
  }

  async #inTurn(generate: () => Promise<GeneratedKey>): Promise<GeneratedKey> {
    if (this.#underWay < AT_ONCE_MAX) this.#underWay += 1;
    else if (this.#waiting.length < WAITING_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else throw new ServiceError('RESOURCE_EXHAUSTED', 'Too many key pairs are being generated; try again in a second, or send a public key of your own');
    try {
      return await generate();
    } finally {
      // The next one takes over the place.
      const next = this.#waiting.shift();
      if (next === undefined) this.#underWay -= 1;
      else next();
    }
  }
}

function rsa(): Promise<{ publicKey: KeyObject; privateKey: KeyObject }> {
  return promisify(generateKeyPair)('rsa', { modulusLength: RSA_BITS });
}

async function sshRsa(): Promise<GeneratedKey> {
  const { publicKey, privateKey } = await rsa();
  const { e = '', n = '' } = publicKey.export({ format: 'jwk' });
  const blob = Buffer.concat([sshBytes('ssh-rsa'), ...[e, n].map((number) => sshPositive(Buffer.from(number, 'base64url')))]);
  return { publicKey: `ssh-rsa ${blob.toString('base64')} ${COMMENT}`, privateKey: privateKey.export({ type: 'pkcs1', format: 'pem' }).toString() };
}

async function sshEd25519(): Promise<GeneratedKey> {
  const { privateKey } = await promisify(generateKeyPair)('ed25519');
  const { d = '', x = '' } = privateKey.export({ format: 'jwk' });
  const [seed, point] = [Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')];
  const publicBlob = Buffer.concat([sshBytes('ssh-ed25519'), sshBytes(point)]);
  const secrets = Buffer.concat([publicBlob, sshBytes(Buffer.concat([seed, point])), sshBytes(COMMENT)]);
  return { publicKey: `ssh-ed25519 ${publicBlob.toString('base64')} ${COMMENT}`, privateKey: opensshPem(publicBlob, secrets) };
}

/** Without a passphrase. Format: OpenSSH PROTOCOL.key. */
function opensshPem(publicBlob: Buffer, secrets: Buffer): string {
  const check = randomBytes(4);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7]).subarray(0, (8 - (secrets.length % 8)) % 8);
  const head = [Buffer.from('openssh-key-v1\0'), sshBytes('none'), sshBytes('none'), sshBytes(''), uint32(1), sshBytes(publicBlob)];
  const file = Buffer.concat([...head, sshBytes(Buffer.concat([check, check, secrets, padding]))]);
  const lines = file.toString('base64').match(/.{1,70}/g) ?? [];
  return ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join('\n');
}
