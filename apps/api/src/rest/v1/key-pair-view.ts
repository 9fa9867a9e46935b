/** A key pair as /v1 shows it, wherever it is shown. */
import { isServiceError } from '@gatehouse/errors/service-error';
import type { KeyPair } from '@gatehouse/objects/key-pair';
import { parseSshPublicKey } from '../../ssh-public-key.ts';
import { parseX509 } from '../../x509-certificate.ts';
import type { JsonObject } from '../json.ts';

export function keyPairView({ name, type, publicKey, fingerprint, userId, createdAt }: KeyPair): JsonObject {
  const shown = { name, type, user_id: userId ?? null, public_key: publicKey ?? null, fingerprint: fingerprint ?? null };
  return { ...shown, ...read(type, publicKey ?? ''), created_at: createdAt?.toISOString() ?? null };
}

/** Nulls for a key that was stored before keys were read strictly. */
function read(type: string, publicKey: string): JsonObject {
  try {
    if (type === 'x509') return { fingerprint_sha256: parseX509(publicKey).fingerprintSha256, algorithm: 'x509', bits: null };
    const { fingerprintSha256, algorithm, bits } = parseSshPublicKey(publicKey);
    return { fingerprint_sha256: fingerprintSha256, algorithm, bits };
  } catch (error) {
    if (!isServiceError(error)) throw error;
    return { fingerprint_sha256: null, algorithm: null, bits: null };
  }
}
