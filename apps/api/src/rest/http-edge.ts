/**
 * What happens to every request before a controller sees it, and the two changes to Fastify that Nova's clients
 * need: a body is JSON whatever its content type says, and every answer names the microversion it was made for.
 */
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Identity } from '../identity.ts';
import { BODY_BYTES_MAX } from './fault.ts';
import { headerOf, isLegacy, keepCall, readCall } from './api-call.ts';
import type { RawRequest } from './api-call.ts';
import type { HostGuard } from './host-guard.ts';
import { readJson } from './json.ts';
import { NEW_HEADER, OLD_HEADER, OLDEST, readMicroversion, unsupportedVersion } from './microversion.ts';
import type { Microversion } from './microversion.ts';
import { isV1 } from './v1/problem.ts';
import { versionDocumentOf } from './version-documents.ts';

/** Requests being answered at once; more are told to come back. */
export const REQUESTS_MAX = 512;

export interface HttpEdge {
  readonly identity: Identity;
  readonly guard: HostGuard;
}

interface HeaderSink {
  header(name: string, value: string | string[]): unknown;
}

/** Call before the application initialises its routes. */
export function prepareHttpEdge(app: NestFastifyApplication, { identity, guard }: HttpEdge): void {
  const fastify = app.getHttpAdapter().getInstance();
  fastify.removeAllContentTypeParsers();
  app.useBodyParser('*', { bodyLimit: BODY_BYTES_MAX }, (_request, body, done) => {
    try {
      done(null, readJson(body));
    } catch (error) {
      done(error as Error);
    }
  });
  let underWay = 0;
  fastify.addHook('onRequest', async (request, reply) => {
    underWay += 1;
    reply.raw.once('close', () => (underWay -= 1));
    reply.header('x-compute-request-id', request.id);
    guard(headerOf(request, 'host'));
    if (underWay > REQUESTS_MAX) throw new ServiceError('UNAVAILABLE', 'Too many requests are being answered; try again in a second');
    const document = versionDocumentOf(request);
    if (document !== null) {
      if (isMicroversioned(request)) answerInMicroversion(request, reply);
      return reply.code(document.status).send(document.body);
    }
    if (isOpenApi(request)) return;
    if (isV1(request)) {
      const caller = await identity.authenticate(headerOf(request, 'x-auth-token'));
      reply.header('cache-control', 'no-store');
      keepCall(request, readCall(request, caller, OLDEST));
      return;
    }
    if (isLegacy(request)) {
      keepCall(request, readCall(request, await identity.authenticate(headerOf(request, 'x-auth-token')), OLDEST));
      return;
    }
    const caller = await identity.authenticate(headerOf(request, 'x-auth-token'));
    keepCall(request, readCall(request, caller, answerInMicroversion(request, reply)));
  });
}

/** The microversion that is asked for, which the answer's headers name from here on, also where it is refused for being out of range. */
function answerInMicroversion(request: RawRequest, reply: HeaderSink): Microversion {
  const asked = readMicroversion(headerOf(request, NEW_HEADER), headerOf(request, OLD_HEADER));
  reply.header(NEW_HEADER, `compute ${asked.text}`);
  reply.header(OLD_HEADER, asked.text);
  reply.header('vary', ['OpenStack-API-Version', 'X-OpenStack-Nova-API-Version']);
  if (!asked.supported) throw unsupportedVersion(asked);
  return asked.version;
}

/** How /v1 is asked, for those who have no token yet. */
function isOpenApi(request: RawRequest): boolean {
  return /^\/v1\/openapi\.json(\?|$)/.test(request.url);
}

/** The list of versions and the API before microversions know nothing of them. */
function isMicroversioned(request: RawRequest): boolean {
  return /^\/v2\.1(?:[/?]|$)/.test(request.url);
}
