// The operator's door, on a port of its own so that it is never exposed with the service: /healthz (the
// process lives), /readyz (it can serve: asks the app, with a time limit), /metrics, /version.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { App } from './app.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

export interface OpsServer {
  readonly url: string;
  /** From now on /readyz asks this app. */
  serve(app: App): void;
  /** From now on /readyz answers 503 "draining", so that load balancers look elsewhere. */
  draining(): void;
  close(): Promise<void>;
}

export interface OpsServerOptions {
  readonly port: number;
  readonly bindAddress: string;
  readonly service: string;
  readonly version: string;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** How long the app may take to prove that it is ready; 3 s. */
  readonly readyTimeoutMs?: number;
}

type State = { readonly name: 'starting' } | { readonly name: 'serving'; readonly app: App } | { readonly name: 'draining' };

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Listens; rejects with the system's error when the port is taken. */
export async function startOpsServer(options: OpsServerOptions): Promise<OpsServer> {
  let state: State = { name: 'starting' };
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000, maxHeaderSize: 8_192 });
  server.maxConnections = 256;
  server.on('request', (request, response) => {
    void answer(request, state, options)
      .catch((error: unknown): Answer => {
        options.log.error({ err: error, path: pathOf(request) }, 'ops request failed');
        return plain(500, 'internal error');
      })
      .then((reply) => send(request, response, reply));
  });
  await listen(server, options.port, options.bindAddress);
  const { port } = server.address() as AddressInfo;
  const host = options.bindAddress.includes(':') ? `[${options.bindAddress}]` : options.bindAddress;
  return {
    url: `http://${host}:${port}`,
    serve(app) {
      state = { name: 'serving', app };
    },
    draining() {
      state = { name: 'draining' };
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(request: IncomingMessage, state: State, options: OpsServerOptions): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return plain(405, 'only GET and HEAD are answered here');
  switch (pathOf(request)) {
    case '/healthz':
      return plain(200, 'ok');
    case '/readyz':
      return readiness(state, options);
    case '/metrics':
      return {
        status: 200,
        contentType: options.metrics.registry.contentType,
        body: await options.metrics.registry.metrics(),
      };
    case '/version':
      return json({ service: options.service, version: options.version, node: process.version });
    default:
      return plain(404, 'nothing here; try /healthz, /readyz, /metrics or /version');
  }
}

async function readiness(state: State, { readyTimeoutMs = 3_000 }: OpsServerOptions): Promise<Answer> {
  if (state.name !== 'serving') return plain(503, `not ready: ${state.name}`);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${readyTimeoutMs} ms`)), readyTimeoutMs);
  });
  try {
    await Promise.race([state.app.checkReady(), late]);
    return plain(200, 'ready');
  } catch (error) {
    return plain(503, `not ready: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    clearTimeout(timer);
  }
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0] ?? '/';
}

function plain(status: number, text: string): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${text}\n` };
}

function json(value: object): Answer {
  return { status: 200, contentType: 'application/json', body: `${JSON.stringify(value)}\n` };
}

function send(request: IncomingMessage, response: ServerResponse, { status, contentType, body }: Answer): void {
  request.resume();
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
