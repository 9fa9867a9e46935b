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

/**
 * Only inside a transaction that then makes the session. `counted`: whose sessions become one more, null where none do.
 * @param liveAfter sessions whose lease ends later than this are live
 * @throws ServiceError RESOURCE_EXHAUSTED: it would be one too many (details.cap, details.sessionsMax)
 */
export async function refuseOverCap(sessions: ConsoleSessionClaimsStore, caps: SessionCaps, counted: CountedSessions, liveAfter: Date): Promise<void> {
  const asked = CAPS.filter(({ whose, setting }) => counted[whose] !== null && caps[setting] > 0);
  if (asked.length === 0) return;
  await sessions.lockCounts(asked.map(({ cap, whose }) => `${cap} ${counted[whose]}`));
  const counts = await sessions.countLive(counted, liveAfter);
  for (const { cap, whose, setting, words } of asked) {
    const sessionsMax = caps[setting];
    if (counts[whose] < sessionsMax) continue;
    throw new ServiceError('RESOURCE_EXHAUSTED', `${words} ${sessionsMax} consoles open, the most that are allowed; close one, or ask an operator for more`, {
      details: { cap, sessionsMax },
    });
  }
}
