/**
 * What tests put behind a proxy: a consoleauth that keeps its tokens and sessions in maps, served by contract over the
 * memory transport, and guests on TCP. Nothing of the proxy is replaced.
 */
import { randomUUID } from 'node:crypto';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { ServiceError } from '@gatehouse/errors/service-error';
import { ConsoleConnection, type ConsoleType } from '@gatehouse/objects/console-connection';
import { ConsoleGrant } from '@gatehouse/objects/console-grant';
import { ConsoleSession, type Access } from '@gatehouse/objects/console-session';
import { serve, type Handlers, type RpcServer } from '@gatehouse/rpc/server';
import { someHandlers } from '@gatehouse/rpc/some-handlers';
import type { Transport } from '@gatehouse/rpc/transport';

export interface TestConsole {
  readonly instanceName: string;
  readonly consoleType: ConsoleType;
  /** Where the guest listens on the loopback. */
  readonly port: number;
  readonly access?: Access;
  /** One client at a time. */
  readonly exclusive?: boolean;
  /** Reached through a host's console stream instead of by TCP. */
  readonly endpoint?: string;
}

export class TestConsoleAuth {
  readonly consoles = new Map<string, TestConsole>();
  readonly refusals = new Map<string, ServiceError>();
  /** Session id to the token that opened it. */
  readonly open = new Map<string, string>();
  readonly released: { readonly id: string; readonly reason: string; readonly bytesIn: number; readonly bytesOut: number }[] = [];
  /** Answered to the next renewal: session id to reason. */
  readonly toEnd = new Map<string, string>();
  readonly reports: string[] = [];
  /** How many sessions each renewal named. */
  readonly renewals: number[] = [];
  leaseSeconds = 15;
  /** connect is worked on once this is resolved. */
  hold: Promise<void> = Promise.resolve();

  serve(transport: Transport): Promise<RpcServer> {
    return serve(consoleauth, transport, { server: 'test', handlers: this.#handlers() });
  }

  #handlers(): Handlers<typeof consoleauth> {
    return someHandlers(consoleauth, {
      levels: () => ({ consoleauth: consoleauth.version }),
      report: ({ binary, host }) => void this.reports.push(`${binary} ${host}`),
      connect: async ({ sessionId, token, proxy, clientAddress }) => {
        await this.hold;
        return this.#connect(sessionId, token, proxy, clientAddress);
      },
      renew: ({ sessions }) => {
        this.renewals.push(sessions.length);
        return Object.fromEntries(sessions.flatMap(({ id }) => (this.toEnd.has(id) ? [[id, this.toEnd.get(id)!]] : [])));
      },
      release: ({ session: { id, bytesIn, bytesOut }, reason }) => {
        this.open.delete(id);
        this.released.push({ id, reason, bytesIn, bytesOut });
      },
    });
  }

  #connect(id: string, token: string, proxy: string, clientAddress: string): ConsoleGrant {
    const refusal = this.refusals.get(token);
    if (refusal !== undefined) throw refusal;
    const target = this.consoles.get(token);
    if (target === undefined) throw new ServiceError('UNAUTHENTICATED', 'This console link is unknown or has expired.');
    const taken = [...this.open.values()].includes(token);
    if (target.exclusive && taken) throw new ServiceError('PORT_IN_USE', 'This port is in use since 12:00:00 UTC.');
    this.open.set(id, token);
    return grantOf(id, target, proxy, clientAddress, this.leaseSeconds);
  }
}

function grantOf(id: string, { instanceName, consoleType, port, access = 'full', endpoint }: TestConsole, proxy: string, clientAddress: string, leaseSeconds: number): ConsoleGrant {
  const where = { instanceUuid: randomUUID(), host: 'localhost', port, consoleType };
  const now = new Date(Math.floor(Date.now() / 1_000) * 1_000);
  return ConsoleGrant.make({
    session: ConsoleSession.make({
      ...where, id, proxy, clientAddress, userId: null, projectId: null, access, startedAt: now, leaseExpires: now, endedAt: null, endReason: null, bytesIn: 0, bytesOut: 0,
      endingAt: null, endingReason: null,
    }),
    connection: ConsoleConnection.make({ ...where, tokenHash: null, accessUrl: null, options: endpoint === undefined ? { transport: 'tcp', address: '127.0.0.1' } : { transport: 'attach' }, expires: null }),
    instanceName,
    endpoint: endpoint ?? null,
    attachSecret: endpoint === undefined ? null : 'secret',
    leaseSeconds,
    resumeGrant: null,
  });
}
