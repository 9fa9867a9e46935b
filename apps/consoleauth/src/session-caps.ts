/**
 * How many consoles may be open at one time: of one instance, of one user, through one proxy. Decided where a session
 * is made, and behind a lock for each count, so that connects at the same moment, at whichever consoleauth, cannot
 * pass together. Sessions whose lease has run out do not count.
 */
import type { Counted, OpeningQuestion } from '@gatehouse/cell-db/console-openings-store';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleAuthConfig } from './config.ts';

export type SessionCaps = Pick<ConsoleAuthConfig, 'consoleSessionsPerInstance' | 'consoleSessionsPerUser' | 'consoleSessionsPerProxy'>;

/** Up to which number it matters how many are open of whom. */
export type CountedUpTo = OpeningQuestion['upTo'];

const WORDS = [['instance', 'this machine has'], ['user', 'you have'], ['proxy', 'this console proxy has']] as const;

/** Of those who get one more. */
export function capsOf(caps: SessionCaps, whose: readonly Counted[]): CountedUpTo {
  const { consoleSessionsPerInstance: instance, consoleSessionsPerUser: user, consoleSessionsPerProxy: proxy } = caps;
  const set = Object.entries({ instance, user, proxy }).filter(([each, cap]) => cap > 0 && whose.includes(each as Counted));
  return Object.fromEntries(set);
}

/** @throws ServiceError RESOURCE_EXHAUSTED: it would be one too many (details.cap, details.sessionsMax) */
export function refuseOverCap(counts: Readonly<Record<Counted, number>>, upTo: CountedUpTo): void {
  for (const [cap, words] of WORDS) {
    const sessionsMax = upTo[cap];
    if (sessionsMax === undefined || counts[cap] < sessionsMax) continue;
    throw new ServiceError('RESOURCE_EXHAUSTED', `${words} ${sessionsMax} consoles open, the most that are allowed; close one, or ask an operator for more`, {
      details: { cap, sessionsMax },
    });
  }
}
