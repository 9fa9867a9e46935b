/** Whether a row of a cell's legacy table can be one of the API database, and as what. */
import type { AdoptedKeyPair } from '@gatehouse/api-db/key-pair-adoptions-store';
import type { LegacyKeyPair } from '@gatehouse/cell-db/key-pair-moves-store';
import { PUBLIC_KEY_CHARS_MAX } from '@gatehouse/objects/public-key-text';
import { fingerprintOf } from './key-material.ts';

const TEXT_CHARS_MAX = 255;

/** The row as the API database takes it, or the reason why it cannot. `now`: where it never said when it was made. */
export function adoptable(row: LegacyKeyPair, now: Date): AdoptedKeyPair | string {
  const { id, userId, name, publicKey, type } = row;
  if (id < 1) return 'its id is not a positive number';
  if (userId === null || userId === '') return 'it has no user';
  if (isTooLong(userId)) return `its user id is longer than ${TEXT_CHARS_MAX} characters`;
  if (name === '') return 'it has no name';
  if (isTooLong(name)) return `its name is longer than ${TEXT_CHARS_MAX} characters`;
  if (type !== 'ssh' && type !== 'x509') return 'its type is neither ssh nor x509';
  if (publicKey === null && row.publicKeyChars > 0) return `its public key has ${row.publicKeyChars} characters; at most ${PUBLIC_KEY_CHARS_MAX} are accepted`;
  if (publicKey === null || publicKey.trim() === '') return 'it has no public key';
  if (!row.hasMoments) return 'its created_at or updated_at is outside of the years 1 to 9999';
  const fingerprint = row.fingerprint === null || row.fingerprint === '' ? fingerprintOf(publicKey) : row.fingerprint;
  if (fingerprint === null) return 'it has no fingerprint, and its public key cannot be read to make one';
  return { id, userId, name, fingerprint, publicKey, type, createdAt: row.createdAt ?? row.updatedAt ?? now.toISOString(), updatedAt: row.updatedAt };
}

/** Characters as the database counts them, which are never more than JavaScript's. */
function isTooLong(text: string): boolean {
  return text.length > TEXT_CHARS_MAX && [...text].length > TEXT_CHARS_MAX;
}

/** Of two keys of one user and name. */
export function otherMaterial(kept: string, own: string): string {
  return `the API database has another key of this user and name: fingerprint ${kept}; this row's is ${own}`;
}

/** Rows by user and name. */
export function byUserAndName<T extends { readonly userId: string | null; readonly name: string }>(rows: readonly T[]): ReadonlyMap<string, T> {
  return new Map(rows.map((row) => [userAndName(row.userId, row.name), row]));
}

export function userAndName(userId: string | null, name: string): string {
  return JSON.stringify([userId, name]);
}
