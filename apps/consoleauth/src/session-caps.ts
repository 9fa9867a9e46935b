/**
 * How many consoles may be open at one time: of one instance, of one user, through one proxy. Decided where a session
 * is made, and behind a lock for each count, so that connects at the same moment, at whichever consoleauth, cannot
 * pass together. Sessions whose lease has run out do not count.
 */
import type { ConsoleSessionClaimsStore, CountedSessions } from '@gatehouse/cell-db/console-session-claims-store';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleAuthConfig } from './config.ts';

export type SessionCaps = Pick<ConsoleAuthConfig, 'consoleSessionsPerInstance' | 'consoleSessionsPerUser' | 'consoleSessionsPerProxy'>;

/** In the order in which they are locked, the same for all, so that no two connects wait for each other. */
const CAPS = [
  { cap: 'instance', whose: 'instanceUuid', setting: 'consoleSessionsPerInstance', words: 'this machine has' },
  { cap: 'user', whose: 'userId', setting: 'consoleSessionsPerUser', words: 'you have' },
  { cap: 'proxy', whose: 'proxy', setting: 'consoleSessionsPerProxy', words: 'this console proxy has' },
] as const;

/** How many there are of each whose cap counts. */
export interface CountedCaps {
  readonly asked: readonly (typeof CAPS)[number][];
  readonly counts: Readonly<Record<keyof CountedSessions, number>>;
}

/**
 * Only inside a transaction that then makes the session. `counted`: whose sessions become one more, null where none do.
 * @param liveAfter sessions whose lease ends later than this are live
 */
export async function countUnderCaps(sessions: ConsoleSessionClaimsStore, caps: SessionCaps, counted: CountedSessions, liveAfter: Date): Promise<CountedCaps> {
  const asked = CAPS.filter(({ whose, setting }) => counted[whose] !== null && caps[setting] > 0);
  if (asked.length === 0) return { asked, counts: { instanceUuid: 0, userId: 0, proxy: 0 } };
  const of = (whose: keyof CountedSessions): string | null => (asked.some((each) => each.whose === whose) ? counted[whose] : null);
  // They travel together; the count is taken when the locks are held.
  const [, counts] = await Promise.all([
    sessions.lockCounts(asked.map(({ cap, whose }) => `${cap} ${counted[whose]}`)),
    sessions.countLive({ instanceUuid: of('instanceUuid'), userId: of('userId'), proxy: of('proxy') }, liveAfter),
  ]);
  return { asked, counts };
}

/** @throws ServiceError RESOURCE_EXHAUSTED: it would be one too many (details.cap, details.sessionsMax) */
export function refuseOverCap({ asked, counts }: CountedCaps, caps: SessionCaps): void {
  for (const { cap, whose, setting, words } of asked) {
    const sessionsMax = caps[setting];
    if (counts[whose] < sessionsMax) continue;
    throw new ServiceError('RESOURCE_EXHAUSTED', `${words} ${sessionsMax} consoles open, the most that are allowed; close one, or ask an operator for more`, {
      details: { cap, sessionsMax },
    });
  }
}
