/**
 * What a console proxy decides: who is let in, when a session's lease is renewed, and how sessions end. consoleauth
 * knows the sessions; this one carries them. While consoleauth cannot be reached running sessions run on, and
 * only new ones are refused.
 */
import { randomUUID } from 'node:crypto';
import { RENEW_SESSIONS_MAX, type consoleauth } from '@gatehouse/contracts/consoleauth';
import { ENDINGS } from '@gatehouse/errors/endings';
import { isServiceError, ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';
import type { ConsoleSessionUse } from '@gatehouse/objects/console-session-use';
import type { Client } from '@gatehouse/rpc/client';
import { newContext, type RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import type { OpenStream } from './open-stream.ts';
import type { ProxiedSession } from './proxied-session.ts';
import type { ProxyRecord } from './proxy-record.ts';
import { SessionEnds } from './session-ends.ts';
import { TOKEN_LENGTH_MAX } from './token-intake.ts';

export interface ProxySettings {
  /** This proxy's name. */
  readonly proxyName: string;
  readonly proxySessionsMax: number;
  readonly proxyOpeningMax: number;
}

export interface Visit {
  readonly token: string | null;
  /** What the asking page can show; undefined means any. */
  readonly consoleTypes?: readonly ConsoleType[] | undefined;
  readonly clientAddress: string;
  readonly requestId?: string;
}

type AdmittedVisit = Visit & { readonly token: string };

interface Carried {
  readonly id: string;
  readonly leaseMs: number;
  readonly client: ProxiedSession;
}

const CONNECT_TIMEOUT_MS = 10_000;
const RELEASE_TIMEOUT_MS = 5_000;
/** A request that was taken on just before its deadline has been worked on by then. */
const CONNECT_SPARE_MS = 2_000;
const LEASE_MS_DEFAULT = 15_000;
/** How long a drain waits for answers about clients that are being let in, so that what was granted is released. */
const OPENING_DRAIN_MS = 2_000;

/** True when the error is not consoleauth's own word: its answer was not heard, and it may still do what it was asked. */
function isUnheard(error: unknown): boolean {
  return isServiceError(error) && ['UNAVAILABLE', 'DEADLINE_EXCEEDED'].includes(error.code) && error.details['remoteClass'] === undefined;
}

export class ConsoleProxy {
  readonly #auth: Client<typeof consoleauth>;
  readonly #openStream: OpenStream;
  readonly #settings: ProxySettings;
  readonly #clock: Clock;
  readonly #record: ProxyRecord;
  readonly #log: Logger;
  readonly #carried = new Map<string, Carried>();
  readonly #ends: SessionEnds;
  /** Those that are being let in. */
  readonly #opening = new Set<ProxiedSession>();
  #draining = false;
  #renewAt = 0;

  constructor(auth: Client<typeof consoleauth>, openStream: OpenStream, settings: ProxySettings, clock: Clock, record: ProxyRecord) {
    this.#auth = auth;
    this.#openStream = openStream;
    this.#settings = settings;
    this.#clock = clock;
    this.#record = record;
    this.#log = record.log;
    this.#ends = new SessionEnds((use, reason) => this.#release(use, reason), clock, record.log);
  }

  /** How many sessions are carried now. */
  get sessionCount(): number {
    return this.#carried.size;
  }

  /** Bytes of the sessions carried now, in both directions. */
  *uses(): Iterable<ConsoleSessionUse> {
    for (const { id, client } of this.#carried.values()) yield { id, bytesIn: client.bytesIn, bytesOut: client.bytesOut };
  }

  /** Let a client in, or turn it away with a reason. Resolves with the code of the refusal, or null; never rejects. */
  async open(client: ProxiedSession, visit: Visit): Promise<ServiceError | null> {
    const context = newContext({ timeoutMs: CONNECT_TIMEOUT_MS, ...(visit.requestId === undefined ? {} : { requestId: visit.requestId }) });
    try {
      const token = this.#admit(visit.token);
      this.#opening.add(client);
      try {
        await this.#connect(client, { ...visit, token }, context);
      } finally {
        this.#opening.delete(client);
      }
      return null;
    } catch (thrown) {
      const error = toServiceError(thrown);
      this.#record.refused(error.code);
      const facts = { requestId: context.requestId, clientAddress: visit.clientAddress, code: error.code, problem: error.message };
      if (error.code === 'INTERNAL') this.#log.error({ ...facts, err: error }, 'console not opened');
      else this.#log.info(facts, 'console refused');
      if (this.#draining) client.end('proxy_draining');
      else client.refuse(error);
      return error;
    }
  }

  /** What can be refused without asking anyone. */
  #admit(token: string | null): string {
    if (this.#draining) throw new ServiceError('UNAVAILABLE', ENDINGS.proxy_draining.words);
    const { proxySessionsMax, proxyOpeningMax } = this.#settings;
    if (this.#carried.size >= proxySessionsMax || this.#opening.size >= proxyOpeningMax) {
      throw new ServiceError('RESOURCE_EXHAUSTED', 'This console proxy is full at the moment; try again in a minute.');
    }
    if (token === null) throw new ServiceError('UNAUTHENTICATED', 'No token was shown; open the console from its link.');
    if (token.length > TOKEN_LENGTH_MAX) throw new ServiceError('UNAUTHENTICATED', 'This console link is not known; request a new one.');
    return token;
  }

  async #connect(client: ProxiedSession, visit: AdmittedVisit, context: RequestContext): Promise<void> {
    const { clientAddress } = visit;
    const grant = await this.#ask(visit, context);
    const { id, instanceUuid, consoleType } = grant.session;
    const facts = { requestId: context.requestId, sessionId: id, instanceUuid, consoleType, clientAddress };
    // From here on the session can be ended by its id, also while its console is still being opened.
    this.#carried.set(id, { id, leaseMs: grant.leaseSeconds * 1_000, client });
    if (this.#renewAt === 0) this.#renewAt = this.#clock.now().getTime() + (grant.leaseSeconds * 1_000) / 2;
    try {
      await this.#join(client, grant, (reason) => {
        this.#log.info({ ...facts, reason, bytesIn: client.bytesIn, bytesOut: client.bytesOut }, 'console closed');
        this.#record.ended(reason);
        this.#over(id, client, reason);
      });
      this.#record.opened();
      this.#log.info(facts, 'console open');
    } catch (error) {
      this.#over(id, client, client.endReason ?? 'host_unreachable');
      throw error;
    }
  }

  async #ask({ token, consoleTypes, clientAddress }: AdmittedVisit, context: RequestContext): Promise<ConsoleGrant> {
    const sessionId = randomUUID();
    try {
      return await this.#auth.connect({ sessionId, token, consoleTypes, proxy: this.#settings.proxyName, clientAddress }, context);
    } catch (error) {
      if (!isUnheard(error)) throw error;
      // The session may be there all the same, or be made yet by a request that still waits to be worked on.
      const use = { id: sessionId, bytesIn: 0, bytesOut: 0 };
      this.#ends.tell(use, 'lease_lost');
      this.#ends.tellAt(context.deadline + CONNECT_SPARE_MS, use, 'lease_lost');
      throw new ServiceError('UNAVAILABLE', 'The console service does not answer at the moment; try again in a minute.', { cause: error });
    }
  }

  async #join(client: ProxiedSession, grant: ConsoleGrant, onEnded: (reason: string) => void): Promise<void> {
    const goneBefore = (): ServiceError => new ServiceError('CANCELLED', 'The client left before its console was open.');
    if (client.endReason !== null) throw goneBefore();
    // Better no console than one that takes input which its link forbids.
    if (grant.session.access !== 'full') throw new ServiceError('UNIMPLEMENTED', 'View-only consoles are not served by this proxy yet.');
    const stream = await this.#openStream(grant);
    if (client.endReason !== null) {
      stream.destroy();
      throw goneBefore();
    }
    client.begin(grant, stream, onEnded);
  }

  /** End sessions by id, each with its reason; unknown ids are passed over. */
  endSessions(reasons: Readonly<Record<string, string>>): void {
    for (const [id, reason] of Object.entries(reasons)) this.#carried.get(id)?.client.end(reason);
  }

  /** About once a second: a sign of life to and from every client. */
  beat(): void {
    for (const { client } of this.#carried.values()) client.beat();
  }

  /**
   * Renew all leases when half of the shortest has passed, in batches, and end what consoleauth says has ended.
   * @throws ServiceError when consoleauth could not be asked; the sessions run on, and the next call asks again
   */
  async renewWhenDue(): Promise<void> {
    const now = this.#clock.now().getTime();
    if (now < this.#renewAt || this.#carried.size === 0) return;
    const periodMs = this.#leaseMs() / 2;
    const uses = [...this.uses()];
    for (let start = 0; start < uses.length; start += RENEW_SESSIONS_MAX) {
      const sessions = uses.slice(start, start + RENEW_SESSIONS_MAX);
      const context = newContext({ timeoutMs: periodMs });
      this.endSessions(await this.#auth.renew({ proxy: this.#settings.proxyName, sessions }, context));
    }
    this.#renewAt = now + periodMs;
  }

  /** About once a second: tell consoleauth of ends that it has not heard yet. */
  async tellEnds(): Promise<void> {
    await this.#ends.tellDue();
  }

  /**
   * Take no new session, tell the running ones, give them `seconds`, then end them. Resolves when consoleauth has
   * been told of every end, or could not be reached.
   */
  async drain(seconds: number): Promise<void> {
    this.#draining = true;
    // Whoever is still being let in finds nothing to open any more, whenever the answers come.
    for (const client of this.#opening) client.end('proxy_draining');
    for (const { client } of this.#carried.values()) client.warnOfDrain(seconds);
    await this.#waitWhile(() => this.#carried.size > 0, seconds * 1_000);
    for (const { client } of [...this.#carried.values()]) client.end('proxy_draining');
    await this.#waitWhile(() => this.#opening.size > 0, OPENING_DRAIN_MS);
    await this.#ends.settled();
  }

  async #waitWhile(isSo: () => boolean, timeoutMs: number): Promise<void> {
    const until = this.#clock.now().getTime() + timeoutMs;
    while (isSo() && this.#clock.now().getTime() < until) await this.#clock.sleep(50);
  }

  #leaseMs(): number {
    let shortest = Number.POSITIVE_INFINITY;
    for (const { leaseMs } of this.#carried.values()) shortest = Math.min(shortest, leaseMs);
    return Number.isFinite(shortest) ? shortest : LEASE_MS_DEFAULT;
  }

  /** Forget a session that is over and tell consoleauth. */
  #over(id: string, client: ProxiedSession, reason: string): void {
    this.#carried.delete(id);
    this.#ends.tell({ id, bytesIn: client.bytesIn, bytesOut: client.bytesOut }, reason);
  }

  async #release(session: ConsoleSessionUse, reason: string): Promise<void> {
    const context = newContext({ timeoutMs: RELEASE_TIMEOUT_MS });
    await this.#auth.release({ proxy: this.#settings.proxyName, session, reason }, context);
  }
}
