/**
 * The proxy's word for which instance asks: X-Instance-ID, signed with a secret that the proxy shares with this
 * service (Nova's scheme). Several secrets are accepted at once, so that they can be changed without a gap.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';

export interface SignatureCheck {
  /** Throws PERMISSION_DENIED unless `signature` is the hex HMAC-SHA256 of the id with one of the secrets. */
  (instanceId: string, signature: string): void;
}

/** Throws INVALID_ARGUMENT for no secret or an empty one: anybody could sign with it. */
export function signatureCheck(secrets: readonly string[]): SignatureCheck {
  if (secrets.length === 0 || secrets.some((secret) => secret.trim() === '')) {
    throw new ServiceError('INVALID_ARGUMENT', 'GATEHOUSE_METADATA_SECRETS holds an empty secret: anybody could sign with it');
  }
  return (instanceId, signature) => {
    // Every secret is tried, and digests are compared, so that the time taken says nothing.
    const given = digest(signature);
    let isGood = false;
    for (const secret of secrets) {
      const isEqual = timingSafeEqual(digest(sign(secret, instanceId)), given);
      isGood = isEqual || isGood;
    }
    if (!isGood) throw new ServiceError('PERMISSION_DENIED', 'Invalid proxy request signature.');
  };
}

export function sign(secret: string, instanceId: string): string {
  return createHmac('sha256', secret).update(instanceId).digest('hex');
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
