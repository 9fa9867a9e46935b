/** How a key pair looks to a REST client, by microversion; the order of keys is Nova's. */
import type { KeyPair } from '@gatehouse/objects/key-pair';
import type { JsonObject } from './json.ts';
import type { Microversion } from './microversion.ts';

/** The type is shown from this microversion on. */
const TYPES: Microversion = 2;

export function createdKeyPair(keyPair: KeyPair, privateKey: string | null, version: Microversion): JsonObject {
  const secret = privateKey === null ? {} : { private_key: privateKey };
  const type = version >= TYPES ? { type: keyPair.type } : {};
  const { name, publicKey = null, fingerprint = null, userId = null } = keyPair;
  return { keypair: { ...secret, ...type, name, public_key: publicKey, fingerprint, user_id: userId } };
}

export function listedKeyPair(keyPair: KeyPair, version: Microversion): JsonObject {
  const { name, publicKey = null, fingerprint = null, type } = keyPair;
  // Spelled out: a list has a thousand of them.
  return version >= TYPES ? { keypair: { name, public_key: publicKey, fingerprint, type } } : { keypair: { name, public_key: publicKey, fingerprint } };
}

export function shownKeyPair(keyPair: KeyPair, version: Microversion): JsonObject {
  const type = version >= TYPES ? { type: keyPair.type } : {};
  const { name, publicKey = null, fingerprint = null, userId = null, id = null } = keyPair;
  return {
    keypair: {
      name,
      public_key: publicKey,
      fingerprint,
      user_id: userId,
      created_at: pythonTime(keyPair.createdAt),
      deleted: false,
      deleted_at: null,
      id,
      updated_at: pythonTime(keyPair.updatedAt),
      ...type,
    },
  };
}

/** `2026-11-21T21:44:36.783000`: Python's isoformat of a naive UTC time. */
export function pythonTime(time: Date | null | undefined): string | null {
  return time == null ? null : `${time.toISOString().slice(0, -1)}000`;
}
