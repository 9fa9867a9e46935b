/**
 * What opens a session again after its client was cut off: 256 random bits that the first connect is answered, kept as
 * their SHA-256 and good for as long as the session is. Whoever shows it is the session's client.
 */
import { timingSafeEqual } from 'node:crypto';
import type { StoredSession } from '@gatehouse/cell-db/console-session-row';
import { hashSecret } from './console-token.ts';

const FORM = /^[\w-]{43}$/;

/** What the session's row holds of a grant; null for a text that is none. */
export function resumeHashOf(grant: string | undefined): string | null {
  return grant !== undefined && FORM.test(grant) ? hashSecret(grant) : null;
}

/** In a time that tells nothing of how much was right. */
export function isResumedBy({ resumeHash }: StoredSession, hash: string): boolean {
  return resumeHash !== null && resumeHash.length === hash.length && timingSafeEqual(Buffer.from(resumeHash), Buffer.from(hash));
}
