/** The metadata service: what a guest asks about itself at 169.254.169.254, through a proxy that signs for it. */
import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { App } from '@gatehouse/runtime/app';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import type { Metrics } from '@gatehouse/runtime/metrics';
import { createHttpApp, listenHttp } from '@gatehouse/runtime/nest-app';
import type { MetadataConfig } from './config.ts';
import { Identification } from './identification.ts';
import { InstanceMetadata } from './instance-metadata.ts';
import { DOORS, MetadataController } from './metadata.controller.ts';
import type { Doors } from './metadata.controller.ts';
import { refusalOf } from './refusal.ts';
import { signatureCheck } from './signature.ts';

export interface MetadataResources {
  readonly config: MetadataConfig;
  readonly cellDb: CellDb;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

/** Guests send no bodies yet; what they send is read no further than this. */
const BODY_BYTES_MAX = 4_096;

@Module({})
export class MetadataModule {
  static of(doors: Doors): DynamicModule {
    return { module: MetadataModule, controllers: [MetadataController], providers: [{ provide: DOORS, useValue: doors }] };
  }
}

/** Serves metadata. Throws INVALID_ARGUMENT for an empty secret, and what the system says about a port that is taken. */
export async function startMetadata({ config, cellDb, log, metrics }: MetadataResources): Promise<App> {
  const module = MetadataModule.of({
    identification: new Identification(signatureCheck(config.metadataSecrets)),
    metadata: new InstanceMetadata(cellDb),
    log,
  });
  const http = await createHttpApp({ module, log, metrics, bodyBytesMax: BODY_BYTES_MAX, renderError: (error) => refusalOf(error, '') });
  const fastify = http.getHttpAdapter().getInstance();
  fastify.removeAllContentTypeParsers();
  http.useBodyParser('*', { bodyLimit: BODY_BYTES_MAX }, (_request, _body, done) => done(null, null));
  const url = await listenHttp(http, config.metadataPort, config.bindAddress);
  return {
    name: 'metadata',
    addresses: [{ name: 'metadata', url }],
    checkReady: () => cellDb.check(),
    drain: () => http.close(),
  };
}
