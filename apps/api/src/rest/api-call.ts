/**
 * What every request of the API brings besides its body: who asks, at which microversion, with which query, and
 * how the links in the answer begin. Read once, before routing hands the request to a controller.
 */
import { createParamDecorator } from '@nestjs/common';
import type { ExecutionContext } from '@nestjs/common';
import { ServiceError } from '@gatehouse/errors/service-error';
import { newContext } from '@gatehouse/rpc/context';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Caller } from '../identity.ts';
import type { Microversion } from './microversion.ts';

/** Time for one REST request, including the RPC calls it makes, in milliseconds. */
export const REQUEST_TIMEOUT_MS = 60_000;

export interface ApiCall {
  readonly version: Microversion;
  readonly context: RequestContext;
  /** Every value of a parameter, in order; an object without a prototype. */
  readonly query: Readonly<Record<string, readonly string[]>>;
  /** `http://host:port`, of the Host header the request came with. */
  readonly rootUrl: string;
  /** `/v2.1`, or `/v2.1/<project>` where the request named its project. */
  readonly prefix: string;
  /** Under `/v2`: in Nova's words the legacy API, which knows no microversions. */
  readonly isLegacy: boolean;
}

/** The parts of a Fastify request that are looked at here. */
export interface RawRequest {
  readonly id: string;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

const calls = new WeakMap<object, ApiCall>();

export function keepCall(request: object, call: ApiCall): void {
  calls.set(request, call);
}

export function callOf(request: object): ApiCall {
  const call = calls.get(request);
  if (call === undefined) throw new ServiceError('INTERNAL', 'a route of the API was reached without its call');
  return call;
}

/** The ApiCall of the request, as a controller's argument. */
export const Call = createParamDecorator((_: unknown, context: ExecutionContext) =>
  callOf(context.switchToHttp().getRequest<object>()),
);

const PROJECT_PREFIX = /^\/v2(?:\.1)?\/([0-9a-f-]+)\//;
const LEGACY = /^\/v2(?:[/?]|$)/;

/** Whether a request is one of the API before microversions. */
export function isLegacy({ url }: { readonly url: string }): boolean {
  return LEGACY.test(url);
}

/** Throws INVALID_ARGUMENT where the path names another project than the token. */
export function readCall(request: RawRequest, caller: Caller, version: Microversion): ApiCall {
  const { userId, projectId, isAdmin, roles } = caller;
  const [path = '', queryText = ''] = splitOnce(request.url, '?');
  const project = PROJECT_PREFIX.exec(path)?.[1];
  if (project !== undefined && project !== projectId) {
    const reason = `URL's project_id '${project}' doesn't match Context's project_id '${projectId}'`;
    throw new ServiceError('INVALID_ARGUMENT', `Malformed request URL: ${reason}`);
  }
  return {
    version,
    context: newContext({ requestId: request.id, userId, projectId, isAdmin, roles, timeoutMs: REQUEST_TIMEOUT_MS }),
    query: readQuery(queryText),
    rootUrl: rootUrlOf(request),
    prefix: (isLegacy(request) ? '/v2' : '/v2.1') + (project === undefined ? '' : `/${project}`),
    isLegacy: isLegacy(request),
  };
}

export function rootUrlOf(request: RawRequest): string {
  return `http://${headerOf(request, 'host') ?? 'localhost'}`;
}

export function headerOf(request: RawRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** Most parameters read of a query; the rest is refused. */
const PARAMETERS_MAX = 100;

export function readQuery(text: string): Record<string, string[]> {
  const query = Object.create(null) as Record<string, string[]>;
  let count = 0;
  for (const [name, value] of new URLSearchParams(text)) {
    count += 1;
    if (count > PARAMETERS_MAX) throw new ServiceError('INVALID_ARGUMENT', `A query has at most ${PARAMETERS_MAX} parameters`);
    (query[name] ??= []).push(value);
  }
  return query;
}

function splitOnce(text: string, mark: string): readonly string[] {
  const at = text.indexOf(mark);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + mark.length)];
}
