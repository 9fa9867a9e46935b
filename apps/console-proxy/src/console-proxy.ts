/**
 * What a console proxy decides: who is let in, and how it stops. consoleauth knows the sessions; this one carries them
 * (carried-sessions.ts), renews their leases (session-renewals.ts) and tells of their ends (session-ends.ts). While
 * consoleauth cannot be reached running sessions run on, and only new ones are refused.
 */
import { randomUUID } from 'node:crypto';
import type { consoleauth } from '@gatehouse/contracts/consoleauth';
import { ENDINGS } from '@gatehouse/errors/endings';
import { isServiceError, ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';
import type { ConsoleSession } from '@gatehouse/objects/console-session';
import type { ConsoleSessionUse } from '@gatehouse/objects/console-session-use';
import type { Client } from '@gatehouse/rpc/client';
import { newContext, type RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import { CarriedSessions, type CarriedSession } from './carried-sessions.ts';
import { ChannelSockets } from './channel-sockets.ts';
import { dropGuest } from './guest-connection.ts';
import { OpeningLine } from './opening-line.ts';
import { lastWordsFor, type OpenStream } from './open-stream.ts';
import { CLIENT_GONE, type ProxiedSession } from './proxied-session.ts';
import { isRemoteWord, type ProxyRecord, type VisitFacts } from './proxy-record.ts';
import { SessionEnds } from './session-ends.ts';
import { SessionRenewals } from './session-renewals.ts';
import type { TimerSettings } from './session-timers.ts';
import { TOKEN_LENGTH_MAX } from './token-intake.ts';

export interface ProxySettings {
  /** This proxy's name. */
  readonly proxyName: string;
  readonly proxySessionsMax: number;
  readonly proxyOpeningMax: number;
  /** Seconds. */
  readonly proxyResumeWait: number;
  readonly proxyIdleTimeout: number;
  readonly proxyLifetimeMax: number;
}

export interface Visit {
  readonly token: string | null;
  /** Of a session that may still be open. */
  readonly resumeGrant: string | null;
  /** What the asking page can show; undefined means any. */
  readonly consoleTypes?: readonly ConsoleType[] | undefined;
  readonly clientAddress: string;
  readonly requestId?: string;
}

const CONNECT_TIMEOUT_MS = 10_000;
/** How long a client may wait until its token is asked about, and how many may, for each who is being asked about. */
const LINE_WAIT_MS = 5_000;
const LINE_PER_PLACE = 4;
const RELEASE_TIMEOUT_MS = 5_000;
/** A request that was taken on just before its deadline has been worked on by then. */
const CONNECT_SPARE_MS = 2_000;
/** How long a drain waits for answers about clients that are being let in, so that what was granted is released. */
const OPENING_DRAIN_MS = 2_000;
/** How long a drain waits for the byte counts of sessions that go on elsewhere to be taken. */
const LAST_RENEWAL_MS = 1_000;

/** True when consoleauth's answer was not heard: it may still do what it was asked. */
function isUnheard(error: unknown): boolean {
  return isServiceError(error) && ['UNAVAILABLE', 'DEADLINE_EXCEEDED'].includes(error.code) && !isRemoteWord(error);
}

export class ConsoleProxy {
  readonly #auth: Client<typeof consoleauth>;
  readonly #openStream: OpenStream;
  readonly #settings: ProxySettings;
  readonly #timers: TimerSettings;
  readonly #clock: Clock;
  readonly #record: ProxyRecord;
  readonly #ends: SessionEnds;
  readonly #sessions: CarriedSessions;
  readonly #renewals: SessionRenewals;
  readonly #channels: ChannelSockets;
  readonly #line: OpeningLine;
  /** Those that are being let in. */
  readonly #opening = new Set<ProxiedSession>();
  #draining = false;

  constructor(auth: Client<typeof consoleauth>, openStream: OpenStream, settings: ProxySettings, clock: Clock, record: ProxyRecord) {
    this.#auth = auth;
    this.#openStream = openStream;
    this.#settings = settings;
    this.#timers = { idleTimeoutMs: settings.proxyIdleTimeout * 1_000, lifetimeMaxMs: settings.proxyLifetimeMax * 1_000 };
    this.#clock = clock;
    this.#record = record;
    this.#ends = new SessionEnds((use, reason) => this.#release(use, reason), clock, record.log);
    const parking = { resumeWaitMs: settings.proxyResumeWait * 1_000, parkedMax: settings.proxySessionsMax };
    this.#sessions = new CarriedSessions(this.#ends, parking, clock);
    this.#renewals = new SessionRenewals(auth, settings.proxyName, this.#sessions, clock);
    this.#channels = new ChannelSockets(openStream);
    const placesMax = settings.proxyOpeningMax;
    this.#line = new OpeningLine({ placesMax, waitingMax: LINE_PER_PLACE * placesMax, waitMs: LINE_WAIT_MS });
  }

  /** How many sessions have a client now. */
  get sessionCount(): number {
    return this.#sessions.count;
  }

  /** How many wait for a client that has vanished. */
  get parkedCount(): number {
    return this.#sessions.parkedCount;
  }

  /** How many stand in line until their token is asked about. */
  get inLineCount(): number {
    return this.#line.waiting;
  }

  /** Let a client in, or turn it away with a reason. Resolves with the refusal, or null; never rejects. */
  async open(client: ProxiedSession, visit: Visit): Promise<ServiceError | null> {
    const requestId = visit.requestId ?? newContext().requestId;
    let facts: VisitFacts = { requestId, clientAddress: visit.clientAddress };
    this.#opening.add(client);
    try {
      if (await this.#channels.join(client, visit)) return null;
      this.#admit(visit);
      const claim = randomUUID();
      const grant = await this.#askInTurn(client, claim, visit, requestId);
      facts = { ...facts, ...factsOf(grant.session) };
      await this.#begin(client, claim, grant, facts);
      this.#channels.open(client, grant, visit, claim !== grant.session.id);
      return null;
    } catch (thrown) {
      const error = toServiceError(thrown);
      this.#record.refused(error, facts);
      if (this.#draining) client.end('proxy_draining');
      else client.refuse(error, lastWordsFor(facts.consoleType, error.message));
      return error;
    } finally {
      this.#opening.delete(client);
    }
  }

  /** What can be refused without asking anyone. */
  #admit({ token, resumeGrant }: Visit): void {
    if (this.#draining) throw new ServiceError('UNAVAILABLE', ENDINGS.proxy_draining.words);
    if (this.#sessions.count >= this.#settings.proxySessionsMax) {
      throw new ServiceError('RESOURCE_EXHAUSTED', 'This console proxy is full at the moment; try again in a minute.');
    }
    if (token === null && resumeGrant === null) throw new ServiceError('UNAUTHENTICATED', 'No token was shown; open the console from its link.');
    if (token !== null && token.length > TOKEN_LENGTH_MAX) {
      throw new ServiceError('UNAUTHENTICATED', 'This console link is not known; request a new one.');
    }
  }

  async #askInTurn(client: ProxiedSession, claim: string, visit: Visit, requestId: string): Promise<ConsoleGrant> {
    const giveBack = await this.#line.take(visit.clientAddress, client.untilOpen());
    try {
      return await this.#ask(claim, visit, newContext({ timeoutMs: CONNECT_TIMEOUT_MS, requestId }));
    } finally {
      giveBack();
    }
  }

  async #ask(claim: string, visit: Visit, context: RequestContext): Promise<ConsoleGrant> {
    const { token, resumeGrant, consoleTypes, clientAddress } = visit;
    const { proxyName: proxy } = this.#settings;
    const asked = { sessionId: claim, token: token ?? '', resumeGrant: resumeGrant ?? undefined, consoleTypes, proxy, clientAddress };
    try {
      return await this.#auth.connect(asked, context);
    } catch (error) {
      // A consoleauth that is older than the grant: the token decides.
      if (resumeGrant !== null && isServiceError(error) && error.code === 'UNIMPLEMENTED') return this.#ask(claim, { ...visit, resumeGrant: null }, context);
      if (!isUnheard(error)) throw error;
      // The session may be there all the same, or be made yet by a request that still waits to be worked on. One that
      // was taken over has another id; its client asks again with its grant, or its lease runs out.
      const use = { id: claim, claim, bytesIn: 0, bytesOut: 0 };
      this.#ends.tell(use, 'lease_lost');
      this.#ends.tellAt(context.deadline + CONNECT_SPARE_MS, use, 'lease_lost');
      throw new ServiceError('UNAVAILABLE', 'The console service does not answer at the moment; try again in a minute.', { cause: error });
    }
  }

  async #begin(client: ProxiedSession, claim: string, grant: ConsoleGrant, facts: VisitFacts): Promise<void> {
    const { id, bytesIn, bytesOut } = grant.session;
    const session: CarriedSession = { id, claim, leaseMs: grant.leaseSeconds * 1_000, client };
    let isOpen = false;
    this.#sessions.carry(session, { bytesIn, bytesOut }, (reason) => {
      this.#channels.close(client);
      if (isOpen) this.#record.ended(reason, { ...facts, bytesIn: client.bytesIn, bytesOut: client.bytesOut });
    });
    this.#renewals.granted(session.leaseMs);
    try {
      await this.#join(client, grant);
      isOpen = true;
      this.#record.opened(facts);
    } catch (error) {
      this.#sessions.over(session, client.endReason ?? 'host_unreachable');
      throw error;
    }
  }

  async #join(client: ProxiedSession, grant: ConsoleGrant): Promise<void> {
    client.untilOpen().throwIfAborted();
    await this.#channels.checkBeginning(client, grant);
    const stream = await this.#openStream(grant, client.untilOpen());
    if (client.endReason !== null) {
      dropGuest(stream);
      throw CLIENT_GONE;
    }
    client.begin(grant, stream, this.#timers);
  }

  /**
   * End sessions by id, each with its reason; unknown ids are passed over. `superseded` names no claim, and the session
   * may have come back here meanwhile: consoleauth is asked which claim counts.
   */
  endSessions(reasons: Readonly<Record<string, string>>): void {
    const superseded = Object.keys(reasons).filter((id) => reasons[id] === 'superseded');
    for (const [id, reason] of Object.entries(reasons)) if (reason !== 'superseded') this.#sessions.end(id, reason);
    this.#renewals.renew(this.#sessions.usesOf(superseded)).catch((error: unknown) => {
      this.#record.log.info({ err: error }, 'consoleauth was not heard about superseded sessions; the next renewal asks again');
    });
  }

  /** About once a second: signs of life, timers, and an end to what was parked long enough. */
  beat(): void {
    this.#sessions.beat();
  }

  /** About once a second, see SessionRenewals. */
  renewWhenDue(): Promise<void> {
    return this.#renewals.renewWhenDue();
  }

  /** About once a second: tell consoleauth of ends that it has not heard yet. */
  async tellEnds(): Promise<void> {
    await this.#ends.tellDue();
  }

  /**
   * Take no new session, tell the running ones, give them `seconds`, then let them go: whoever can come back keeps its
   * session, to go on with it elsewhere. Resolves when consoleauth has been told of every end, or could not be reached.
   */
  async drain(seconds: number): Promise<void> {
    this.#draining = true;
    // Whoever is still being let in finds nothing to open any more, whenever the answers come.
    for (const client of this.#opening) client.end('proxy_draining');
    this.#sessions.warnOfDrain(seconds);
    await this.#waitWhile(() => this.#sessions.count > 0, seconds * 1_000);
    // Their byte counts and a whole lease, for those who go on elsewhere.
    await this.#renewals.renew([...this.#sessions.uses()], LAST_RENEWAL_MS).catch(() => {});
    this.#sessions.leave();
    await this.#waitWhile(() => this.#opening.size > 0, OPENING_DRAIN_MS);
    await this.#ends.settled();
  }

  async #waitWhile(isSo: () => boolean, timeoutMs: number): Promise<void> {
    const until = this.#clock.now().getTime() + timeoutMs;
    while (isSo() && this.#clock.now().getTime() < until) await this.#clock.sleep(50);
  }

  async #release(session: ConsoleSessionUse, reason: string): Promise<void> {
    const context = newContext({ timeoutMs: RELEASE_TIMEOUT_MS });
    await this.#auth.release({ proxy: this.#settings.proxyName, session, reason }, context);
  }
}

function factsOf({ id, instanceUuid, consoleType, host, port, userId, projectId, access }: ConsoleSession): VisitFacts {
  return { sessionId: id, instanceUuid, consoleType, host, port, userId, projectId, access };
}
