/**
 * Keeps the leases of this proxy's sessions alive, in batches, and ends what consoleauth says has ended: a message to
 * end a session that got lost thus costs one period. While consoleauth cannot be asked the sessions run on.
 */
import { RENEW_SESSIONS_MAX, type consoleauth } from '@gatehouse/contracts/consoleauth';
import type { ConsoleSessionUse } from '@gatehouse/objects/console-session-use';
import type { Client } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import type { CarriedSessions } from './carried-sessions.ts';

const LEASE_MS_DEFAULT = 15_000;

export class SessionRenewals {
  readonly #auth: Client<typeof consoleauth>;
  readonly #proxyName: string;
  readonly #sessions: CarriedSessions;
  readonly #clock: Clock;
  #dueAt = 0;

  constructor(auth: Client<typeof consoleauth>, proxyName: string, sessions: CarriedSessions, clock: Clock) {
    this.#auth = auth;
    this.#proxyName = proxyName;
    this.#sessions = sessions;
    this.#clock = clock;
  }

  /** A session was granted: it is renewed in time, though it be the first. */
  granted(leaseMs: number): void {
    const inTime = this.#clock.now().getTime() + leaseMs / 2;
    this.#dueAt = this.#dueAt === 0 ? inTime : Math.min(this.#dueAt, inTime);
  }

  /**
   * About once a second: renews all leases when half of the shortest has passed; before that, tells what has just been
   * parked, with its byte counts.
   * @throws ServiceError when consoleauth could not be asked; the next call asks again
   */
  async renewWhenDue(): Promise<void> {
    const now = this.#clock.now().getTime();
    if (now < this.#dueAt) return this.renew(this.#sessions.takeUntold());
    const periodMs = (this.#sessions.shortestLeaseMs() ?? LEASE_MS_DEFAULT) / 2;
    this.#sessions.takeUntold();
    await this.renew([...this.#sessions.uses()], periodMs);
    this.#dueAt = now + periodMs;
  }

  /** @throws ServiceError when consoleauth could not be asked */
  async renew(uses: readonly ConsoleSessionUse[], timeoutMs = LEASE_MS_DEFAULT / 2): Promise<void> {
    for (let start = 0; start < uses.length; start += RENEW_SESSIONS_MAX) {
      const sessions = uses.slice(start, start + RENEW_SESSIONS_MAX);
      const reasons = await this.#auth.renew({ proxy: this.#proxyName, sessions }, newContext({ timeoutMs }));
      // A session may have been taken over here while its former claim was asked about.
      for (const { id, claim } of sessions) if (reasons[id] !== undefined) this.#sessions.end(id, reasons[id], claim);
    }
  }
}
