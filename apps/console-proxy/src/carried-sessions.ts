/**
 * The sessions that this proxy answers for: those with a client, and those that are parked. A parked one waits for a
 * client that has vanished but holds its grant: its console is let go, its lease is renewed, and it goes on when the
 * grant is shown here or at another proxy. consoleauth hears of every other end at once.
 *
 * A session keeps its id when it is taken over; each connect of it has a claim of its own, so that what is told late of
 * one does not touch its successor.
 */
import type { ConsoleSessionUse } from '@gatehouse/objects/console-session-use';
import type { Clock } from '@gatehouse/runtime/clock';
import type { ProxiedSession } from './proxied-session.ts';
import type { SessionEnds } from './session-ends.ts';

export interface CarriedSession {
  readonly id: string;
  /** Of this connect of it. */
  readonly claim: string;
  readonly leaseMs: number;
  readonly client: ProxiedSession;
}

interface ParkedSession {
  readonly use: ClaimedUse;
  readonly leaseMs: number;
  /** Why its client is not there: what is told when it does not come back. */
  readonly reason: string;
  /** Epoch milliseconds. */
  readonly until: number;
}

type ClaimedUse = ConsoleSessionUse & { readonly claim: string };

export interface ParkingSettings {
  /** How long a client that has vanished may take to come back; 0: it need not try. */
  readonly resumeWaitMs: number;
  /** Sessions that may be parked at one time; beyond it, the one that has waited longest is over. */
  readonly parkedMax: number;
}

/** What of the wait a page gets that was left: loading it anew is quick, and one that was closed shall not keep its port for long. */
const RELOAD_SHARE = 1 / 3;
/** The client or its host is gone, and both may come back: neither was told to go. */
const PARKING_REASONS: readonly string[] = ['client_lost', 'host_unreachable', 'host_draining'];

export class CarriedSessions {
  readonly #carried = new Map<string, CarriedSession>();
  readonly #parked = new Map<string, ParkedSession>();
  /** Parked since the last renewal: whoever takes one over elsewhere goes on with its byte counts. */
  #untold: ConsoleSessionUse[] = [];
  readonly #ends: SessionEnds;
  readonly #settings: ParkingSettings;
  readonly #clock: Clock;
  /** The proxy stops: who can come back does so elsewhere, and its session is left to its lease. */
  #leaving = false;

  constructor(ends: SessionEnds, settings: ParkingSettings, clock: Clock) {
    this.#ends = ends;
    this.#settings = settings;
    this.#clock = clock;
  }

  /** Those with a client. */
  get count(): number {
    return this.#carried.size;
  }

  get parkedCount(): number {
    return this.#parked.size;
  }

  /** What each has carried so far, parked ones too. */
  *uses(): Iterable<ConsoleSessionUse> {
    for (const session of this.#carried.values()) yield useOf(session);
    for (const { use } of this.#parked.values()) yield use;
  }

  /** What was parked since it was last asked. */
  takeUntold(): readonly ConsoleSessionUse[] {
    const untold = this.#untold;
    this.#untold = [];
    return untold;
  }

  /** Of the named sessions, those that are here. */
  usesOf(ids: readonly string[]): readonly ConsoleSessionUse[] {
    return ids.flatMap((id) => {
      const carried = this.#carried.get(id);
      return carried === undefined ? (this.#parked.get(id)?.use ?? []) : useOf(carried);
    });
  }

  /** The shortest lease among them, milliseconds; null when there are none. */
  shortestLeaseMs(): number | null {
    let shortest = Number.POSITIVE_INFINITY;
    for (const { leaseMs } of this.#carried.values()) shortest = Math.min(shortest, leaseMs);
    for (const { leaseMs } of this.#parked.values()) shortest = Math.min(shortest, leaseMs);
    return Number.isFinite(shortest) ? shortest : null;
  }

  /**
   * From here on the session can be ended by its id, also while its console is still being opened. Where this proxy has
   * it already, its new client takes it over: the older one reads so, and nothing is released. `onEnded` is called once.
   */
  carry(session: CarriedSession, counted: Pick<ConsoleSessionUse, 'bytesIn' | 'bytesOut'>, onEnded: (reason: string) => void): void {
    const { id, claim, client } = session;
    const older = this.#carried.get(id);
    const here = older === undefined ? this.#parked.get(id)?.use : useOf(older);
    this.#parked.delete(id);
    this.#carried.set(id, session);
    older?.client.end('superseded');
    client.carriedBy({
      isResumed: claim !== id,
      // consoleauth knows what it was last told; this proxy knows what came after.
      bytesIn: Math.max(counted.bytesIn, here?.bytesIn ?? 0),
      bytesOut: Math.max(counted.bytesOut, here?.bytesOut ?? 0),
      onEnded: (reason) => {
        onEnded(reason);
        this.over(session, reason);
      },
    });
  }

  /** The client has ended, or its console could not be opened. Harmless when that was said before. */
  over(session: CarriedSession, reason: string): void {
    if (this.#carried.get(session.id) !== session) return;
    this.#carried.delete(session.id);
    const { canReturn } = session.client;
    if (this.#leaving && canReturn && mayReturn(reason)) return;
    if (canReturn && PARKING_REASONS.includes(reason) && this.#settings.resumeWaitMs > 0) this.#park(session, reason);
    else this.#tell(useOf(session), reason);
  }

  /** End a session; its user reads why. With a claim: only when that is the one that is here. */
  end(id: string, reason: string, claim?: string): void {
    const carried = this.#carried.get(id);
    if (carried !== undefined) {
      if (claim === undefined || claim === carried.claim) carried.client.end(reason);
      return;
    }
    const parked = this.#parked.get(id);
    if (parked !== undefined && (claim === undefined || claim === parked.use.claim)) this.#unpark(parked, reason);
  }

  /** About once a second: a sign of life to and from every client, and an end to what was parked long enough. */
  beat(): void {
    const nowMs = performance.now();
    for (const { client } of [...this.#carried.values()]) client.beat(nowMs);
    const now = this.#clock.now().getTime();
    for (const parked of [...this.#parked.values()]) if (parked.until <= now) this.#unpark(parked, parked.reason);
  }

  warnOfDrain(seconds: number): void {
    for (const { client } of this.#carried.values()) client.warnOfDrain(seconds);
  }

  /** Let all clients go, for the proxy stops: those that can come back are not released. */
  leave(): void {
    this.#leaving = true;
    for (const { client } of [...this.#carried.values()]) client.end('proxy_draining');
    this.#parked.clear();
  }

  #park(session: CarriedSession, reason: string): void {
    const use = useOf(session);
    const { resumeWaitMs } = this.#settings;
    const until = this.#clock.now().getTime() + resumeWaitMs * (session.client.saidGoodbye ? RELOAD_SHARE : 1);
    this.#parked.set(session.id, { use, leaseMs: session.leaseMs, reason, until });
    this.#untold.push(use);
    const [longest] = this.#parked.values();
    if (this.#parked.size > this.#settings.parkedMax && longest !== undefined) this.#unpark(longest, longest.reason);
  }

  #unpark({ use }: ParkedSession, reason: string): void {
    this.#parked.delete(use.id);
    this.#tell(use, reason);
  }

  /** One that was taken over is its successor's to tell of: to a consoleauth that knows no claims, this would end that one. */
  #tell(use: ClaimedUse, reason: string): void {
    if (reason !== 'superseded') this.#ends.tell(use, reason);
  }
}

/** Whether an end is one that a client may follow up elsewhere while this proxy stops. */
function mayReturn(reason: string): boolean {
  return reason === 'proxy_draining' || PARKING_REASONS.includes(reason);
}

function useOf({ id, claim, client }: CarriedSession): ClaimedUse {
  return { id, claim, bytesIn: client.bytesIn, bytesOut: client.bytesOut };
}
