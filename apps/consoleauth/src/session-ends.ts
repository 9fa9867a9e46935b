/**
 * Tells proxies at once which of their sessions must end. A message that is lost costs one renewal period, not a
 * leak: the renewal's answer names the same sessions.
 */
import type { StoredSession } from '@gatehouse/cell-db/console-session-row';
import type { consoleProxy } from '@gatehouse/contracts/console-proxy';
import type { Client } from '@gatehouse/rpc/client';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Logger } from '@gatehouse/runtime/logger';

/** A proxy that does not answer within this is left to the renewal. */
const TELL_TIMEOUT_MS = 2_000;
/** In one message. */
const SESSIONS_MAX = 1_000;

export class SessionEnds {
  readonly #proxies: Client<typeof consoleProxy>;
  readonly #log: Logger;

  constructor(proxies: Client<typeof consoleProxy>, log: Logger) {
    this.#proxies = proxies;
    this.#log = log;
  }

  /**
   * For the reason that each was to end for, or else for `reason`. Resolves when every proxy has answered or was given up
   * on; never rejects. @returns those whose proxy has been told
   */
  async tellProxies(sessions: readonly StoredSession[], reason: string, context: RequestContext): Promise<readonly StoredSession[]> {
    const told = [...groupByProxy(sessions)].flatMap(([proxy, theirs]) => inParts(theirs).map((part) => this.#tell(proxy, part, reason, context)));
    return (await Promise.all(told)).flat();
  }

  async #tell(proxy: string, sessions: readonly StoredSession[], reason: string, context: RequestContext): Promise<readonly StoredSession[]> {
    const reasons = Object.fromEntries(sessions.map(({ id, endingReason }) => [id, endingReason ?? reason]));
    try {
      await this.#proxies.endSessions({ sessions: reasons }, context, { server: proxy, timeoutMs: TELL_TIMEOUT_MS });
      return sessions;
    } catch (error) {
      this.#log.warn({ proxy, sessions: sessions.length, err: error }, 'a proxy was not told to end sessions; its next renewal will be');
      return [];
    }
  }
}

function groupByProxy(sessions: readonly StoredSession[]): Map<string, StoredSession[]> {
  const groups = new Map<string, StoredSession[]>();
  for (const session of sessions) {
    const group = groups.get(session.proxy);
    if (group === undefined) groups.set(session.proxy, [session]);
    else group.push(session);
  }
  return groups;
}

function inParts(sessions: readonly StoredSession[]): readonly (readonly StoredSession[])[] {
  return Array.from({ length: Math.ceil(sessions.length / SESSIONS_MAX) }, (_, part) => sessions.slice(part * SESSIONS_MAX, (part + 1) * SESSIONS_MAX));
}
