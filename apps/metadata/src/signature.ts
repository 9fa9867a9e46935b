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

/** Throws INVALID_ARGUMENT for no secret or an empty one: anybody could sign with it. */
export function signatureCheck(secrets: readonly string[]): SignatureCheck {
  if (secrets.length === 0 || secrets.some((secret) => secret.trim() === '')) {
    throw new ServiceError('INVALID_ARGUMENT', 'GATEHOUSE_METADATA_SECRETS holds an empty secret: anybody could sign with it');
  }
  return (instanceId, signature) => {
    let isGood = false;
    if (SIGNATURE.test(signature)) {
      const given = Buffer.from(signature, 'hex');
      // Every secret is tried, and whole digests are compared, so that the time taken says nothing.
      for (const secret of secrets) isGood = timingSafeEqual(hmac(secret, instanceId).digest(), given) || isGood;
    }
    if (!isGood) throw new ServiceError('PERMISSION_DENIED', 'Invalid proxy request signature.');
  };
}

export function sign(secret: string, instanceId: string): string {
  return hmac(secret, instanceId).digest('hex');
}

function hmac(secret: string, instanceId: string) {
  return createHmac('sha256', secret).update(instanceId);
}
