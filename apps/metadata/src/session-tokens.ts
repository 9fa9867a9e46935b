/**
 * Session tokens as EC2's IMDSv2 has them: who may send a PUT and read its answer gets one, and reads with it; a guest's web
 * server that was talked into fetching a URL can do neither. A token is the moment until which it is good and a proof of who
 * issued it to which instance; nothing is stored, so that every metadata service of the same secrets accepts it.
 */
import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '@gatehouse/runtime/clock';

/** EC2's own bounds. */
export const TOKEN_TTL_SECONDS_MIN = 1;
export const TOKEN_TTL_SECONDS_MAX = 21_600;

/** Layout of a token: this, six bytes of expiry in ms, the proof. */
const LAYOUT = 1;
const EXPIRY_BYTES = 6;
const PROOF_BYTES = 32;
const HEAD_BYTES = 1 + EXPIRY_BYTES;
const TOKEN = /^[A-Za-z0-9_-]{52}$/;
/** The secrets also sign instance ids: keys for tokens are derived, so that neither serves as the other. */
const PURPOSE = 'gatehouse metadata session token';

export class SessionTokens {
  readonly #keys: readonly Buffer[];
  readonly #clock: Clock;

  /** The first of the secrets issues, all are accepted. Without any the key is random: tokens are then good at this process alone. */
  constructor(secrets: readonly string[], clock: Clock) {
    const keys = secrets.map((secret) => Buffer.from(hkdfSync('sha256', secret, '', PURPOSE, PROOF_BYTES)));
    this.#keys = keys.length > 0 ? keys : [randomBytes(PROOF_BYTES)];
    this.#clock = clock;
  }

  issue(instanceUuid: string, ttlSeconds: number): string {
    const head = Buffer.alloc(HEAD_BYTES, LAYOUT);
    head.writeUIntBE(this.#clock.now().getTime() + ttlSeconds * 1_000, 1, EXPIRY_BYTES);
    return Buffer.concat([head, proofOf(this.#keys[0] ?? Buffer.alloc(0), instanceUuid, head)]).toString('base64url');
  }

  /** Whole seconds for which it is still good, rounded up; null: it is no token of this instance, or no longer good. */
  secondsLeft(instanceUuid: string, token: string): number | null {
    if (!TOKEN.test(token)) return null;
    const bytes = Buffer.from(token, 'base64url');
    const [head, given] = [bytes.subarray(0, HEAD_BYTES), bytes.subarray(HEAD_BYTES)];
    // Every key is tried, so that the time taken says nothing.
    let isGood = false;
    for (const key of this.#keys) isGood = timingSafeEqual(proofOf(key, instanceUuid, head), given) || isGood;
    if (!isGood || head[0] !== LAYOUT) return null;
    const leftMs = head.readUIntBE(1, EXPIRY_BYTES) - this.#clock.now().getTime();
    return leftMs > 0 ? Math.ceil(leftMs / 1_000) : null;
  }
}

function proofOf(key: Buffer, instanceUuid: string, head: Buffer): Buffer {
  return createHmac('sha256', key).update(head).update(instanceUuid.toLowerCase()).digest();
}
