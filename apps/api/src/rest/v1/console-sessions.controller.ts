import { Controller, Delete, Get, HttpStatus, Inject, Param, Req, Res } from '@nestjs/common';
import { ConsoleSessions } from '../../console-sessions.ts';
import type { SessionFilter } from '../../console-sessions.ts';
import { SessionFeed } from '../../session-feed.ts';
import type { SessionWatch } from '../../session-feed.ts';
import { Call, headerOf } from '../api-call.ts';
import type { ApiCall, RawRequest } from '../api-call.ts';
import type { JsonObject } from '../json.ts';
import type { Reply, StreamReply } from '../reply.ts';
import { streamEvents } from './event-stream.ts';
import { FILTER, PAGE_DEFAULT, readParameters } from './parameters.ts';
import type { ParameterValues } from './parameters.ts';
import { eventView, sessionView } from './session-view.ts';

const PATH = 'v1/console-sessions';

@Controller(PATH)
export class ConsoleSessionsController {
  readonly #sessions: ConsoleSessions;
  readonly #feed: SessionFeed;

  constructor(@Inject(ConsoleSessions) sessions: ConsoleSessions, @Inject(SessionFeed) feed: SessionFeed) {
    this.#sessions = sessions;
    this.#feed = feed;
  }

  @Get()
  async list(@Call() call: ApiCall): Promise<JsonObject> {
    const words = readParameters(call.query, [...FILTER, 'console_type', 'state', 'limit', 'marker']);
    const { console_type: consoleType, state = 'open', limit = PAGE_DEFAULT, marker } = words;
    // One more than is shown tells whether there are more.
    const found = await this.#sessions.list(call.context, { filter: filterOf(words), consoleType, state, limit: limit + 1, marker });
    const shown = found.slice(0, limit);
    const next = found.length > limit ? (shown.at(-1)?.id ?? null) : null;
    return {
      console_sessions: shown.map((session) => sessionView(session, call.context.isAdmin)),
      next_marker: next,
      links: { next: next === null ? null : pageAfter(call, next) },
    };
  }

  @Delete()
  async endAll(@Call() call: ApiCall, @Res({ passthrough: true }) reply: Reply): Promise<JsonObject> {
    const { reason, ...words } = readParameters(call.query, [...FILTER, 'reason']);
    const sessions = await this.#sessions.endAll(call.context, filterOf(words), reason);
    reply.status(sessions.every(({ endedAt }) => endedAt !== null) ? HttpStatus.OK : HttpStatus.ACCEPTED);
    return { console_sessions: sessions.map((session) => sessionView(session, call.context.isAdmin)) };
  }

  /** Server-sent events, unless JSON is all that the client takes. */
  @Get('events')
  async events(@Call() call: ApiCall, @Req() request: RawRequest, @Res() reply: StreamReply): Promise<void> {
    const words = readParameters(call.query, [...FILTER, 'after', 'wait']);
    const cursor = headerOf(request, 'last-event-id') ?? words.after ?? null;
    const watch = this.#feed.open({ context: call.context, filter: filterOf(words), cursor });
    reply.raw.once('close', () => watch.close());
    try {
      if (wantsJson(headerOf(request, 'accept'))) await reply.send(await nextPage(watch, (words.wait ?? 0) * 1_000, call));
      else await this.#stream(watch, call, request, reply);
    } finally {
      watch.close();
    }
  }

  @Get(':id')
  async show(@Call() call: ApiCall, @Param('id') id: string): Promise<JsonObject> {
    readParameters(call.query, []);
    return { console_session: sessionView(await this.#sessions.show(call.context, id), call.context.isAdmin) };
  }

  @Delete(':id')
  async end(@Call() call: ApiCall, @Param('id') id: string, @Res({ passthrough: true }) reply: Reply): Promise<JsonObject | undefined> {
    const { reason } = readParameters(call.query, ['reason']);
    const session = await this.#sessions.end(call.context, id, reason);
    reply.status(session.endedAt === null ? HttpStatus.ACCEPTED : HttpStatus.NO_CONTENT);
    return session.endedAt === null ? { console_session: sessionView(session, call.context.isAdmin) } : undefined;
  }

  async #stream(watch: SessionWatch, { context }: ApiCall, request: RawRequest, reply: StreamReply): Promise<void> {
    // Whatever is refused is refused before the head is sent.
    const first = await watch.next(0);
    reply.hijack();
    // Whoever stands between must pass on each event at once.
    reply.raw.writeHead(HttpStatus.OK, { ...definedHeaders(reply), 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' });
    if (request.method === 'HEAD') reply.raw.end();
    else await streamEvents(reply.raw, { watch, first, isAdmin: context.isAdmin, clock: this.#feed.clock });
  }
}

function filterOf(words: { readonly [K in (typeof FILTER)[number]]?: ParameterValues[K] }): SessionFilter {
  const { instance_id: instanceUuid, user_id: userId, project_id: projectId, host, proxy } = words;
  return { instanceUuid, userId, projectId, host, proxy };
}

async function nextPage(watch: SessionWatch, waitMs: number, { context }: ApiCall): Promise<JsonObject> {
  const { events, cursor } = await watch.next(waitMs);
  return { events: events.map((event) => eventView(event, context.isAdmin)), cursor };
}

/** A browser's EventSource and a client that says nothing get the stream. */
function wantsJson(accept = ''): boolean {
  return /\bapplication\/json\b/i.test(accept) && !/\btext\/event-stream\b/i.test(accept);
}

function definedHeaders(reply: StreamReply): Record<string, string | string[]> {
  const entries = Object.entries(reply.getHeaders()).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [name, Array.isArray(value) ? value : String(value)]));
}

function pageAfter(call: ApiCall, marker: string): string {
  const query = new URLSearchParams(Object.entries(call.query).flatMap(([name, [value]]) => (name === 'marker' || value === undefined ? [] : [[name, value]])));
  query.append('marker', marker);
  return `${call.rootUrl}/${PATH}?${query.toString()}`;
}
