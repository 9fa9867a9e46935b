/**
 * Answers that need no route: what an app has ready is sent before the framework sees the request, at a third of its price. They
 * carry a request id and are counted as all others are, under a route of their own; their lines are for debugging, as there are
 * very many and each says the same.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Histogram } from 'prom-client';
import { loggedPath } from './logged-path.ts';
import type { Logger } from './logger.ts';

export interface FirstAnswer {
  readonly status: number;
  /** Names and values in turn, as they are sent; the length of a body is among them. */
  readonly headers: readonly string[];
  readonly body: string | Buffer;
}

/** Null: the request is the routes'. It says so at once, throws nothing, and reads no body. */
export type AnswerFirst = (request: IncomingMessage) => FirstAnswer | null;

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

const ROUTE = 'ready';

/** @returns what ends it: from then on every request is the routes' */
export function answerFirst(server: Server, answer: AnswerFirst, { log, seconds }: { readonly log: Logger; readonly seconds: Histogram }): () => void {
  const routes = server.listeners('request') as Listener[];
  server.removeAllListeners('request');
  let isOpen = true;
  const ofStatus = new Map<number, ReturnType<Histogram['labels']>>();
  const isTold = log.level === 'debug' || log.level === 'trace';
  server.on('request', (request, response) => {
    const startMs = performance.now();
    const ready = isOpen && request.method === 'GET' ? answer(request) : null;
    if (ready === null) {
      for (const each of routes) each(request, response);
      return;
    }
    const { status, headers, body } = ready;
    const requestId = `req-${randomUUID()}`;
    response.writeHead(status, ['x-openstack-request-id', requestId, ...headers]);
    response.end(body);
    const durationMs = performance.now() - startMs;
    let counted = ofStatus.get(status);
    if (counted === undefined) ofStatus.set(status, (counted = seconds.labels({ method: 'GET', route: ROUTE, status })));
    counted.observe(durationMs / 1_000);
    if (isTold) log.debug({ requestId, method: 'GET', path: loggedPath(request.url ?? ''), status, durationMs: Math.round(durationMs) }, 'request');
  });
  return () => (isOpen = false);
}
