// Nest, kept at the edge: it wires an app's parts and routes HTTP; its logs go through ours, its start-up
// chatter is silent, and its errors leave as ServiceErrors rendered by the app. Nothing else in this
// library knows Nest.

import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { HttpException, type DynamicModule, type INestApplicationContext, type LoggerService, type Type } from '@nestjs/common';
import { ServiceError, isServiceError, toServiceError, type ErrorCode } from '@gatehouse/errors/service-error';
import { answerFirst } from './first-answers.ts';
import type { AnswerFirst } from './first-answers.ts';
import { loggedPath } from './logged-path.ts';
import { mergeSlashes } from './merge-slashes.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import { isSecretName } from './redact.ts';

type Module = Type<unknown> | DynamicModule;

/** A request's head must be whole within this, and the request within that, however slowly they drip. */
const HEAD_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 65_000;
/** How often both are looked at; node's own 30 s would double them. */
const CHECK_EVERY_MS = 1_000;
/** More than a process needs for its clients, and fewer than it may open files. */
const CONNECTIONS_MAX = 1_024;
/** A name of 255 characters between two slashes of a path, in JavaScript's units once it is decoded; Fastify's own 100 would refuse it. */
const PARAMETER_CHARS_MAX = 512;
/** What requests get that run while the app closes; a client that does not finish its own must not hold it up. */
const CLOSE_WAIT_MS = 1_500;

/** What an app answers to a failed request; the edge's own shape (Nova's error body, plain text). */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: unknown;
}

export interface HttpAppOptions {
  readonly module: Module;
  readonly log: Logger;
  /** Counts and times requests by route and status. */
  readonly metrics: Metrics;
  /** Longest request body accepted, in bytes; 1 MiB. */
  readonly bodyBytesMax?: number;
  /** Turns a refusal into the answer that this app's clients understand; they may be others at other paths. */
  readonly renderError: (error: ServiceError, request: RefusedRequest) => ErrorAnswer;
  /** What is ready to be sent, without a route. */
  readonly answerFirst?: AnswerFirst;
}

/** Of a request that is refused, before or after it was given to a route. */
export interface RefusedRequest {
  readonly id: string;
  readonly method: string;
  /** As it came, with its query. */
  readonly url: string;
}

// The little of Fastify's request and reply that is used here.
type HttpRequest = RefusedRequest;
interface HttpReply {
  code(status: number): HttpReply;
  headers(values: object): HttpReply;
  send(body: unknown): HttpReply;
}

function sendError(reply: HttpReply, answer: ErrorAnswer): void {
  reply.code(answer.status).headers({ ...answer.headers }).send(answer.body);
}

/** Makes a Nest application over Fastify, not listening yet; see listenHttp. */
export async function createHttpApp(options: HttpAppOptions): Promise<NestFastifyApplication> {
  const { module, log, metrics, bodyBytesMax = 1_048_576, renderError } = options;
  const seconds = metrics.histogram({
    name: 'http_request_seconds', help: 'Time to answer an HTTP request.', labels: ['method', 'route', 'status'],
  });
  const adapter = new FastifyAdapter({
    logger: false,
    bodyLimit: bodyBytesMax,
    routerOptions: { maxParamLength: PARAMETER_CHARS_MAX },
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    http: { headersTimeout: HEAD_TIMEOUT_MS, connectionsCheckingInterval: CHECK_EVERY_MS },
    forceCloseConnections: 'idle',
    trustProxy: false,
    // Before anything looks at it: who may, and how often, is decided by the path that is routed.
    rewriteUrl: ({ url = '/' }) => mergeSlashes(url),
    genReqId: () => `req-${randomUUID()}`,
    // What Fastify refuses before any route is chosen (a malformed path), which no filter sees.
    frameworkErrors: (thrown: Error, request: HttpRequest, reply: unknown) => {
      // Nobody reads its body, which may be without end.
      (reply as HttpReply).headers({ 'x-openstack-request-id': request.id, connection: 'close' });
      sendError(reply as HttpReply, renderError(httpServiceError(thrown), request));
    },
  });
  const app = await NestFactory.create<NestFastifyApplication>(module, adapter, {
    logger: nestLogger(log),
    abortOnError: false,
  });
  const fastify = app.getHttpAdapter().getInstance();
  fastify.server.maxConnections = CONNECTIONS_MAX;
  const leaveToRoutes = options.answerFirst === undefined ? () => {} : answerFirst(fastify.server, options.answerFirst, { log, seconds });
  fastify.addHook('preClose', (done) => {
    leaveToRoutes();
    setTimeout(() => fastify.server.closeAllConnections(), CLOSE_WAIT_MS).unref();
    done();
  });
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.header('x-openstack-request-id', request.id);
    const tell = (words: string): void => {
      const path = pathForLog(request.url, request.routeOptions.url, request.params);
      const fields = { requestId: request.id, method: request.method, path, status: reply.raw.statusCode };
      log.info({ ...fields, durationMs: Math.round(reply.elapsedTime) }, words);
    };
    reply.raw.once('close', () => tell(reply.raw.writableFinished ? 'request' : 'request was cut off'));
    done();
  });
  // One a method, route and status: to find it by its labels costs more than to count.
  const series = new Map<string, ReturnType<typeof seconds.labels>>();
  fastify.addHook('onResponse', (request, reply, done) => {
    // The route's pattern and not the path: labels must come from a small closed set.
    const labels = { method: request.method, route: request.routeOptions.url ?? 'none', status: reply.statusCode };
    const name = `${labels.method} ${labels.route} ${labels.status}`;
    let counted = series.get(name);
    if (counted === undefined) series.set(name, (counted = seconds.labels(labels)));
    counted.observe(reply.elapsedTime / 1_000);
    done();
  });
  app.useGlobalFilters({
    catch(thrown, host) {
      const http = host.switchToHttp();
      const request = http.getRequest<HttpRequest>();
      const error = httpServiceError(thrown);
      if (error.code === 'INTERNAL') log.error({ requestId: request.id, err: error }, 'request failed');
      sendError(http.getResponse<HttpReply>(), renderError(error, request));
    },
  });
  return app;
}

/** The path as routes see it, or its route's pattern where a part of the path has a secret's name (`:token`). */
function pathForLog(url: string, route: string | undefined, params: unknown): string | undefined {
  const isSecret = typeof params === 'object' && params !== null && Object.keys(params).some(isSecretName);
  return isSecret ? route : loggedPath(url);
}

/** Starts listening; resolves with the base URL, whose port is the real one when `port` was 0. */
export async function listenHttp(app: NestFastifyApplication, port: number, bindAddress: string): Promise<string> {
  await app.listen({ port, host: bindAddress });
  const address: unknown = app.getHttpServer().address();
  const bound = typeof address === 'object' && address !== null && 'port' in address ? Number(address.port) : port;
  return `http://${bindAddress.includes(':') ? `[${bindAddress}]` : bindAddress}:${bound}`;
}

/** Makes a Nest application without HTTP: an app whose edges are RPC or streams. */
export function createContextApp(module: Module, log: Logger): Promise<INestApplicationContext> {
  return NestFactory.createApplicationContext(module, { logger: nestLogger(log), abortOnError: false });
}

/** Any error of the HTTP layer as a ServiceError: Nest's and Fastify's own refusals keep their meaning. */
export function httpServiceError(thrown: unknown): ServiceError {
  if (isServiceError(thrown)) return thrown;
  const status = statusOf(thrown);
  const code = status === null ? null : codeOfStatus(status);
  if (code === null || !(thrown instanceof Error)) return toServiceError(thrown);
  return new ServiceError(code, thrown.message, { cause: thrown, details: { status: status ?? 500 } });
}

function statusOf(thrown: unknown): number | null {
  if (thrown instanceof HttpException) return thrown.getStatus();
  const isFastifyError = thrown instanceof Error && 'statusCode' in thrown && 'code' in thrown;
  return isFastifyError && typeof thrown.statusCode === 'number' ? thrown.statusCode : null;
}

function codeOfStatus(status: number): ErrorCode | null {
  switch (status) {
    case 401:
      return 'UNAUTHENTICATED';
    case 403:
      return 'PERMISSION_DENIED';
    case 404:
      return 'NOT_FOUND';
    case 413:
    case 429:
      return 'RESOURCE_EXHAUSTED';
    case 503:
      return 'UNAVAILABLE';
    default:
      return status >= 400 && status < 500 ? 'INVALID_ARGUMENT' : null;
  }
}

/** Nest's logger on ours: its start-up lines are for debugging. */
export function nestLogger(log: Logger): LoggerService {
  const say = (level: 'debug' | 'warn' | 'error' | 'fatal') => (message: unknown, ...rest: unknown[]) => {
    const context = rest.at(-1);
    const fields = { nest: typeof context === 'string' ? context : undefined };
    if (message instanceof Error) log[level]({ ...fields, err: message }, message.message);
    else log[level](fields, typeof message === 'string' ? message : JSON.stringify(message));
  };
  return { log: say('debug'), debug: say('debug'), verbose: say('debug'), warn: say('warn'), error: say('error'), fatal: say('fatal') };
}
