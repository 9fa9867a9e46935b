/**
 * The proxy's word for which instance asks: X-Instance-ID, signed with a secret that the proxy shares with this
 * service (Nova's scheme). Several secrets are accepted at once, so that they can be changed without a gap.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';

export interface SignatureCheck {
  /** Throws PERMISSION_DENIED unless `signature` is the hex HMAC-SHA256 of the id with one of the secrets. */
  (instanceId: string, signature: string): void;
}

const SIGNATURE = /^[0-9a-f]{64}$/;
/** A guest's requests all carry the same signature; of so many instances the last good one is remembered. */
const PROVEN_MAX = 10_000;

/** Throws INVALID_ARGUMENT for no secret or an empty one: anybody could sign with it. */
export function signatureCheck(secrets: readonly string[]): SignatureCheck {
  if (secrets.length === 0 || secrets.some((secret) => secret.trim() === '')) {
    throw new ServiceError('INVALID_ARGUMENT', 'GATEHOUSE_METADATA_SECRETS holds an empty secret: anybody could sign with it');
  }
  const proven = new Map<string, Buffer>();
  return (instanceId, signature) => {
    if (!SIGNATURE.test(signature)) throw invalid();
    const given = Buffer.from(signature, 'hex');
    const known = proven.get(instanceId);
    if (known !== undefined && timingSafeEqual(known, given)) return;
    // Every secret is tried, and whole digests are compared, so that the time taken says nothing.
    let isGood = false;
    for (const secret of secrets) isGood = timingSafeEqual(hmac(secret, instanceId).digest(), given) || isGood;
    if (!isGood) throw invalid();
    const [oldest] = proven.keys();
    if (oldest !== undefined && proven.size >= PROVEN_MAX) proven.delete(oldest);
    proven.set(instanceId, given);
  };
}

export function sign(secret: string, instanceId: string): string {
  return hmac(secret, instanceId).digest('hex');
}

function invalid(): ServiceError {
  return new ServiceError('PERMISSION_DENIED', 'Invalid proxy request signature.');
}

function hmac(secret: string, instanceId: string) {
  return createHmac('sha256', secret).update(instanceId);
}
