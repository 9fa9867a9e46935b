/** The doors that a request passes, as the service is set: whose word counts, how often, with what tokens. */
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import type { createHttpApp } from '@gatehouse/runtime/nest-app';
import { TrustedProxies } from '@gatehouse/runtime/trusted-proxies';
import type { MetadataConfig } from './config.ts';
import { Identification } from './identification.ts';
import type { Trust } from './identification.ts';
import { Passwords } from './passwords.ts';
import { RateLimit } from './rate-limit.ts';
import { RefusedAskers } from './refused-askers.ts';
import { SessionTokenDoor } from './session-token-door.ts';
import { SessionTokens } from './session-tokens.ts';
import { signatureCheck } from './signature.ts';

export interface Edge {
  readonly identification: Identification;
  readonly rates: RateLimit;
  readonly tokens: SessionTokenDoor;
  readonly passwords: Passwords;
  readonly clock: Clock;
  readonly log: Logger;
  /** To be flushed at the end. */
  readonly refused: RefusedAskers;
}

/** @throws ServiceError INVALID_ARGUMENT: an empty secret; none, and no network is trusted either; a network that is none */
export function openEdge(config: MetadataConfig, cellDb: Pick<CellDb, 'instanceFacts' | 'instancePasswords'>, clock: Clock, log: Logger): Edge {
  const refused = new RefusedAskers(clock, log);
  const rates = new RateLimit({ perSecond: config.metadataRate, burst: config.metadataBurst }, clock);
  return {
    identification: new Identification(trustOf(config, log), cellDb.instanceFacts, refused, rates),
    rates,
    tokens: new SessionTokenDoor(new SessionTokens(config.metadataSecrets, clock), config.metadataTokens),
    passwords: new Passwords(cellDb.instancePasswords, clock),
    clock,
    log,
    refused,
  };
}

/** What type a body says it is makes no difference: it is left to whoever wants it (request-body.ts). */
export function readBodiesLater(http: Awaited<ReturnType<typeof createHttpApp>>): void {
  // Nest brings no parsers for JSON and forms once it was given one for everything.
  http.useBodyParser('*');
  const fastify = http.getHttpAdapter().getInstance();
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('*', (_request: unknown, _payload: unknown, done: (error: null) => void) => done(null));
  fastify.addHook('onRequest', (request, _reply, done) => {
    // Fastify refuses a type that is malformed.
    delete request.raw.headers['content-type'];
    done();
  });
}

function trustOf({ metadataSecrets, metadataTrustedNetworks, metadataTrustedProxies }: MetadataConfig, log: Logger): Trust {
  const networks = new TrustedProxies(metadataTrustedNetworks, 'GATEHOUSE_METADATA_TRUSTED_NETWORKS');
  const proxies = new TrustedProxies(metadataTrustedProxies, 'GATEHOUSE_METADATA_TRUSTED_PROXIES');
  if (metadataSecrets.length > 0) return { check: signatureCheck(metadataSecrets), networks, proxies };
  if (metadataTrustedNetworks.length === 0) {
    const wanted = 'set one or more secrets separated by commas, or GATEHOUSE_METADATA_TRUSTED_NETWORKS';
    throw new ServiceError('INVALID_ARGUMENT', `GATEHOUSE_METADATA_SECRETS is not set: ${wanted}`);
  }
  log.warn('no GATEHOUSE_METADATA_SECRETS: a session token is good only at the process that issued it, until that restarts');
  return { check: null, networks, proxies };
}
