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

export class SessionEnds {
  readonly #proxies: Client<typeof consoleProxy>;
  readonly #log: Logger;

  constructor(proxies: Client<typeof consoleProxy>, log: Logger) {
    this.#proxies = proxies;
    this.#log = log;
  }

  /** Resolves when every proxy has answered or was given up on; never rejects. */
  async tellProxies(sessions: readonly StoredSession[], reason: string, context: RequestContext): Promise<void> {
    const byProxy = groupByProxy(sessions);
    await Promise.all([...byProxy].map(([proxy, theirs]) => this.#tell(proxy, theirs, reason, context)));
  }

  async #tell(proxy: string, sessions: readonly StoredSession[], reason: string, context: RequestContext): Promise<void> {
    const reasons = Object.fromEntries(sessions.map(({ id }) => [id, reason]));
    try {
      await this.#proxies.endSessions({ sessions: reasons }, context, { server: proxy, timeoutMs: TELL_TIMEOUT_MS });
    } catch (error) {
      this.#log.warn({ proxy, sessions: sessions.length, err: error }, 'a proxy was not told to end sessions; its next renewal will be');
    }
  }
}

function groupByProxy(sessions: readonly StoredSession[]): Map<string, StoredSession[]> {
  const groups = new Map<string, StoredSession[]>();
  for (const session of sessions) groups.set(session.proxy, [...(groups.get(session.proxy) ?? []), session]);
  return groups;
}
