/** What tests put behind the api's console sessions: a consoleauth that keeps them in memory, and a reader of event streams. */
import { randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { ServiceError } from '@gatehouse/errors/service-error';
import { ConsoleSession } from '@gatehouse/objects/console-session';
import type { ConsoleSessionEvent, SessionEventKind } from '@gatehouse/objects/console-session-event';
import { serve } from '@gatehouse/rpc/server';
import type { Handlers, RpcServer } from '@gatehouse/rpc/server';
import { someHandlers } from '@gatehouse/rpc/some-handlers';
import type { Transport } from '@gatehouse/rpc/transport';

type Words = { readonly [K in 'instanceUuid' | 'userId' | 'projectId' | 'host' | 'proxy' | 'viewerUserId' | 'viewerProjectId']?: string | undefined };
type ConsoleAuthHandlers = Handlers<typeof consoleauth>;

export class TestSessions {
  /** Newest first. */
  readonly sessions: ConsoleSession[] = [];
  /** Whose an instance is. */
  readonly projects = new Map<string, string>();
  /** How often each method was called. */
  readonly calls = new Map<string, number>();
  /** Ends are confirmed at once, or left to the proxy. */
  confirms = true;
  readonly #events: ConsoleSessionEvent[] = [];
  readonly #waiting = new Set<() => void>();

  serve(transport: Transport, changes: Partial<ConsoleAuthHandlers> = {}): Promise<RpcServer> {
    return serve(consoleauth, transport, { server: 'consoleauth-1', handlers: { ...this.#counted(), ...changes } });
  }

  open(facts: Partial<ConsoleSession> = {}): ConsoleSession {
    const at = new Date('2026-07-01T11:00:00Z');
    const session = ConsoleSession.make({
      ...{ id: randomUUID(), instanceUuid: randomUUID(), host: 'host-a', port: 0, consoleType: 'serial', proxy: 'proxy-1' },
      ...{ clientAddress: '192.0.2.1', userId: 'alice', projectId: 'proj', access: 'full', startedAt: at, leaseExpires: at },
      ...{ endedAt: null, endReason: null, bytesIn: 7, bytesOut: 9_007_199_254_740_991, endingAt: null, endingReason: null },
      ...facts,
    });
    this.sessions.unshift(session);
    if (!this.projects.has(session.instanceUuid)) this.projects.set(session.instanceUuid, session.projectId ?? '');
    this.happened('connected', session, null);
    return session;
  }

  happened(kind: SessionEventKind, session: ConsoleSession, reason: string | null): void {
    this.#events.push({ cursor: `c-${this.#events.length + 1}`, kind, at: new Date('2026-07-01T11:20:00Z'), reason, session });
    for (const wake of this.#waiting) wake();
  }

  end(id: string, reason: string): ConsoleSession {
    const index = this.sessions.findIndex((session) => session.id === id);
    const before = this.sessions[index]!;
    const at = new Date('2026-07-01T11:20:00Z');
    const facts = this.confirms ? { endedAt: at, endReason: reason } : { endingAt: at, endingReason: reason };
    const session = ConsoleSession.make({ ...before, ...facts });
    this.sessions[index] = session;
    this.happened(this.confirms ? 'ended' : 'ending', session, reason);
    return session;
  }

  #counted(): ConsoleAuthHandlers {
    const handlers = this.#handlers();
    const entries = Object.entries(handlers).map(([name, handler]) => [name, (...args: unknown[]) => {
      this.calls.set(name, (this.calls.get(name) ?? 0) + 1);
      return (handler as (...all: unknown[]) => unknown)(...args);
    }]);
    return Object.fromEntries(entries) as ConsoleAuthHandlers;
  }

  #handlers(): ConsoleAuthHandlers {
    return someHandlers(consoleauth, {
      listSessions: ({ state, limit, marker, consoleType, ...words }) => {
        const wanted = ({ endedAt }: ConsoleSession): boolean => state === 'all' || (state === 'ended') === (endedAt !== null);
        const start = marker === undefined ? 0 : this.sessions.findIndex(({ id }) => id === marker) + 1;
        if (marker !== undefined && start === 0) throw new ServiceError('INVALID_ARGUMENT', 'marker: there is no such session');
        const found = this.sessions.slice(start).filter((each) => wanted(each) && (consoleType ?? each.consoleType) === each.consoleType && this.#matches(each, words));
        return found.slice(0, limit);
      },
      showSession: ({ sessionId, ...words }) => {
        const found = this.sessions.find((each) => each.id === sessionId && this.#matches(each, words));
        if (found === undefined) throw new ServiceError('NOT_FOUND', `there is no console session ${sessionId}`);
        return found;
      },
      endSessions: ({ sessionId, reason, ...words }) => {
        const found = this.sessions.filter((each) => each.endedAt === null && (sessionId ?? each.id) === each.id && this.#matches(each, words));
        return found.map(({ id }) => this.end(id, reason));
      },
      watchSessions: async ({ cursor, waitSeconds, ...words }, { signal }) => {
        const place = cursor === null ? this.#events.length : Number(/^c-(\d+)$/.exec(cursor)?.[1] ?? NaN);
        if (Number.isNaN(place)) throw new ServiceError('INVALID_ARGUMENT', 'cursor: this is no place between events');
        const find = () => this.#events.slice(place).filter(({ session }) => this.#matches(session, words));
        if (find().length === 0 && waitSeconds > 0) await this.#wait(waitSeconds * 1_000, signal);
        return { events: find(), cursor: `c-${this.#events.length}` };
      },
    });
  }

  async #wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(finish);
        resolve();
      };
      const timer = setTimeout(finish, ms);
      this.#waiting.add(finish);
      signal?.addEventListener('abort', finish);
    });
  }

  #matches(session: ConsoleSession, { viewerUserId, viewerProjectId, ...words }: Words): boolean {
    if (Object.entries(words).some(([name, value]) => value !== undefined && session[name as keyof ConsoleSession] !== value)) return false;
    if (viewerUserId === undefined && viewerProjectId === undefined) return true;
    return session.userId === viewerUserId || this.projects.get(session.instanceUuid) === viewerProjectId;
  }
}

export interface SeenEvent {
  readonly id: string;
  readonly event: string;
  readonly data: Record<string, unknown>;
}

/** Reads a stream of events as a browser's EventSource does; what it has seen stays when it is closed. */
export class EventReader {
  readonly events: SeenEvent[] = [];
  readonly comments: string[] = [];
  lastId = '';
  readonly response: Promise<IncomingMessage>;
  readonly ended: Promise<void>;
  readonly #request: ReturnType<typeof httpRequest>;
  #rest = '';

  constructor(url: string, headers: Readonly<Record<string, string>>) {
    this.#request = httpRequest(url, { headers: { accept: 'text/event-stream', ...headers }, agent: false });
    this.response = new Promise((resolve, reject) => this.#request.once('response', resolve).once('error', reject));
    this.response.catch(() => {});
    this.ended = this.response.then((response) => new Promise<void>((resolve) => response.once('close', resolve)));
    void this.response.then((response) => response.setEncoding('utf8').on('data', (text: string) => this.#take(text)).on('error', () => {}), () => {});
    this.#request.end();
  }

  close(): void {
    this.#request.destroy();
  }

  async awaitEvents(count: number, timeoutMs = 30_000): Promise<readonly SeenEvent[]> {
    const deadline = Date.now() + timeoutMs;
    while (this.events.length < count) {
      if (Date.now() > deadline) throw new Error(`${this.events.length} of ${count} events within ${timeoutMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return this.events;
  }

  #take(text: string): void {
    const blocks = (this.#rest + text).split('\n\n');
    this.#rest = blocks.pop() ?? '';
    for (const block of blocks) this.#dispatch(block.split('\n'));
  }

  #dispatch(lines: readonly string[]): void {
    const fields = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
    if (fields.has('')) this.comments.push(fields.get('') ?? '');
    this.lastId = fields.get('id') ?? this.lastId;
    const data = fields.get('data');
    if (data !== undefined) this.events.push({ id: this.lastId, event: fields.get('event') ?? 'message', data: JSON.parse(data) as Record<string, unknown> });
  }
}
