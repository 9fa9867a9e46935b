/**
 * What tests put behind a proxy: a consoleauth that keeps its tokens and sessions in maps, served by contract over the
 * memory transport, and guests on TCP. Nothing of the proxy is replaced.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { ServiceError } from '@gatehouse/errors/service-error';
import { ConsoleConnection, type ConsoleType } from '@gatehouse/objects/console-connection';
import { ConsoleGrant } from '@gatehouse/objects/console-grant';
import { ConsoleSession, type Access } from '@gatehouse/objects/console-session';
import type { ConsoleSessionUse } from '@gatehouse/objects/console-session-use';
import { serve, type Handlers, type RpcServer } from '@gatehouse/rpc/server';
import { someHandlers } from '@gatehouse/rpc/some-handlers';
import type { Transport } from '@gatehouse/rpc/transport';

export interface TestConsole {
  readonly instanceName: string;
  readonly consoleType: ConsoleType;
  /** Where the guest listens, on the loopback unless told. */
  readonly port: number;
  readonly address?: string;
  readonly access?: Access;
  /** One client at a time. */
  readonly exclusive?: boolean;
  /** Reached through a host's console stream instead of by TCP. */
  readonly endpoint?: string;
  /** Of the connection, beside its transport and address. */
  readonly options?: Readonly<Record<string, string>>;
}

/** What is kept of an open session. */
interface Kept {
  readonly token: string;
  readonly target: TestConsole;
  readonly instanceUuid: string;
  readonly startedAt: Date;
  readonly resumeGrant: string;
  claim: string;
  proxy: string;
  bytesIn: number;
  bytesOut: number;
}

export interface Released {
  readonly id: string;
  readonly reason: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export class TestConsoleAuth {
  readonly consoles = new Map<string, TestConsole>();
  readonly refusals = new Map<string, ServiceError>();
  readonly open = new Map<string, Kept>();
  readonly released: Released[] = [];
  /** Releases that came for a claim that is not (any more) the session's, and did nothing. */
  readonly passedOver: Released[] = [];
  /** Answered to the next renewal: session id to reason. */
  readonly toEnd = new Map<string, string>();
  readonly reports: string[] = [];
  /** How many sessions each renewal named. */
  readonly renewals: number[] = [];
  leaseSeconds = 15;
  /** Seconds that every session looks older than it is. */
  ageSeconds = 0;
  /** connect is worked on once this is resolved. */
  hold: Promise<void> = Promise.resolve();
  /** How often connect was asked for, answered or not. */
  connects = 0;

  serve(transport: Transport): Promise<RpcServer> {
    return serve(consoleauth, transport, { server: 'test', handlers: this.#handlers() });
  }

  #handlers(): Handlers<typeof consoleauth> {
    return someHandlers(consoleauth, {
      levels: () => ({ consoleauth: consoleauth.version }),
      report: ({ binary, host }) => void this.reports.push(`${binary} ${host}`),
      connect: async ({ sessionId, token, proxy, clientAddress, resumeGrant }) => {
        this.connects += 1;
        await this.hold;
        return this.#resume(sessionId, resumeGrant, proxy, clientAddress) ?? this.#connect(sessionId, token, proxy, clientAddress);
      },
      renew: ({ sessions }) => {
        this.renewals.push(sessions.length);
        return Object.fromEntries(sessions.flatMap((use) => this.#renew(use)));
      },
      release: ({ session: { id, claim, bytesIn, bytesOut }, reason }) => {
        const counts = claim === undefined || this.open.get(id)?.claim === claim;
        (counts ? this.released : this.passedOver).push({ id, reason, bytesIn, bytesOut });
        if (counts) this.open.delete(id);
      },
    });
  }

  #renew({ id, claim, bytesIn, bytesOut }: ConsoleSessionUse): [string, string][] {
    if (this.toEnd.has(id)) return [[id, this.toEnd.get(id)!]];
    const session = this.open.get(id);
    if (session === undefined) return [[id, 'lease_lost']];
    if (claim !== undefined && claim !== session.claim) return [[id, 'superseded']];
    Object.assign(session, { bytesIn, bytesOut });
    return [];
  }

  /** The session goes on under the new claim; null when the grant opens nothing (any more). */
  #resume(claim: string, resumeGrant: string | undefined, proxy: string, clientAddress: string): ConsoleGrant | null {
    const [id, session] = [...this.open].find(([, each]) => each.resumeGrant === resumeGrant) ?? [];
    if (id === undefined || session === undefined) return null;
    Object.assign(session, { claim, proxy });
    return this.#grantOf(id, session, clientAddress, true);
  }

  #connect(id: string, token: string, proxy: string, clientAddress: string): ConsoleGrant {
    const refusal = this.refusals.get(token);
    if (refusal !== undefined) throw refusal;
    const target = this.consoles.get(token);
    if (target === undefined) throw new ServiceError('UNAUTHENTICATED', 'This console link is unknown or has expired.');
    const taken = [...this.open.values()].some((session) => session.token === token);
    if (target.exclusive && taken) throw new ServiceError('PORT_IN_USE', 'This port is in use since 12:00:00 UTC.');
    const startedAt = new Date(Date.now() - this.ageSeconds * 1_000);
    const resumeGrant = randomBytes(32).toString('base64url');
    const session: Kept = { token, target, instanceUuid: randomUUID(), startedAt, resumeGrant, claim: id, proxy, bytesIn: 0, bytesOut: 0 };
    this.open.set(id, session);
    return this.#grantOf(id, session, clientAddress, false);
  }

  #grantOf(id: string, session: Kept, clientAddress: string, isResumed: boolean): ConsoleGrant {
    const { leaseSeconds } = this;
    const { target, instanceUuid, proxy, startedAt, bytesIn, bytesOut, resumeGrant } = session;
    const { instanceName, consoleType, port, address = '127.0.0.1', access = 'full', endpoint, options = {} } = target;
    const where = { instanceUuid, host: 'localhost', port, consoleType };
    const leaseExpires = new Date(Date.now() + leaseSeconds * 1_000);
    return ConsoleGrant.make({
      session: ConsoleSession.make({
        ...where, id, proxy, clientAddress, userId: null, projectId: null, access, startedAt, leaseExpires, endedAt: null, endReason: null, bytesIn, bytesOut,
        endingAt: null, endingReason: null,
      }),
      connection: ConsoleConnection.make({ ...where, tokenHash: null, accessUrl: null, options: { ...options, ...(endpoint === undefined ? { transport: 'tcp', address } : { transport: 'attach' }) }, expires: null }),
      instanceName,
      endpoint: endpoint ?? null,
      attachSecret: endpoint === undefined ? null : 'secret',
      leaseSeconds,
      resumeGrant: isResumed ? null : resumeGrant,
    });
  }
}
