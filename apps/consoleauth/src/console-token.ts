/** A console token: 256 random bits, clear only in the answer that issues it; everything else knows its hash. */
import { hash, randomBytes } from 'node:crypto';

export const HASH_ALGORITHMS = ['sha256', 'sha1'] as const;
export type HashAlgorithm = (typeof HASH_ALGORITHMS)[number];

const TOKEN_BYTES = 32;

/** 43 characters of base64url: legal in a URL fragment, a query and a WebSocket subprotocol. */
export function mintSecret(): string {
  return randomBytes(TOKEN_BYTES).toString('base64url');
}

/** Hexadecimal; sha1 exists because the seed specification stored it. */
export function hashSecret(secret: string, algorithm: HashAlgorithm = 'sha256'): string {
  return hash(algorithm, secret);
}

/** When a token made now stops opening its console: at a whole second, which is what the wire can say. */
export function tokenExpiry(now: Date, ttlSeconds: number): Date {
  return new Date(Math.floor(now.getTime() / 1_000 + ttlSeconds) * 1_000);
}
