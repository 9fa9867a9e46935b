/** The metadata service: what a guest asks about itself at 169.254.169.254, through a proxy that signs for it. */
import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { metadata } from '@gatehouse/contracts/metadata';
import { serve } from '@gatehouse/rpc/server';
import type { RpcServer } from '@gatehouse/rpc/server';
import type { Transport } from '@gatehouse/rpc/transport';
import type { App } from '@gatehouse/runtime/app';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import type { Metrics } from '@gatehouse/runtime/metrics';
import { createHttpApp, listenHttp } from '@gatehouse/runtime/nest-app';
import { metadataNameOf } from './config.ts';
import type { MetadataConfig } from './config.ts';
import { openEdge, readBodiesLater } from './edge.ts';
import { HeldAnswers } from './held-answers.ts';
import type { InstanceCache } from './instance-cache.ts';
import { openInstanceMemory } from './instance-memory.ts';
import { DOORS, MetadataController } from './metadata.controller.ts';
import type { Doors } from './metadata.controller.ts';
import { metadataHandlers } from './metadata.server.ts';
import type { Passwords } from './passwords.ts';
import { refusalOf } from './refusal.ts';
import { SetVendorData } from './vendor-data.ts';

export interface MetadataResources {
  readonly config: MetadataConfig;
  readonly transport: Transport;
  readonly cellDb: CellDb;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

@Module({})
export class MetadataModule {
  static of(doors: Doors): DynamicModule {
    return { module: MetadataModule, controllers: [MetadataController], providers: [{ provide: DOORS, useValue: doors }] };
  }
}

/** Serves metadata, with or without a broker. Throws INVALID_ARGUMENT as openEdge and vendor data do, and what the system says about a port that is taken. */
export async function startMetadata(resources: MetadataResources): Promise<App> {
  const { config, cellDb, log, metrics, clock } = resources;
  const memory = openInstanceMemory(config, cellDb, clock, metrics);
  const edge = openEdge(config, cellDb, clock, log);
  const vendorData = new SetVendorData(config, clock, log);
  const module = MetadataModule.of({ ...edge, metadata: memory.metadata, vendorData });
  const held = new HeldAnswers({ ...edge, cache: memory.cache });
  const http = await createHttpApp({ module, log, metrics, renderError: (error) => refusalOf(error, ''), answerFirst: (request) => held.answer(request) });
  readBodiesLater(http);
  const url = await listenHttp(http, config.metadataPort, config.bindAddress);
  const news = listenForNews(resources, memory.cache, edge.passwords);
  return {
    name: 'metadata',
    addresses: [{ name: 'metadata', url }],
    checkReady: () => checkReady(cellDb, memory.cache),
    reload: () => vendorData.reload(),
    async drain() {
      await vendorData.close();
      memory.changes.drain();
      await Promise.all([http.close(), news.drain()]);
      edge.refused.flush();
    },
  };
}

/** Not waited for: while there is no broker, what is held grows old by itself. */
function listenForNews({ config, transport, log }: MetadataResources, cache: InstanceCache, passwords: Passwords): { drain(): Promise<void> } {
  let server: RpcServer | null = null;
  let isDraining = false;
  serve(metadata, transport, { server: metadataNameOf(config), handlers: metadataHandlers(cache, passwords), log }).then(
    async (listening) => {
      server = listening;
      if (isDraining) await listening.drain();
    },
    (error: unknown) => log.error({ err: error }, 'no news of changes are heard: they are seen when the cache looks'),
  );
  return {
    async drain() {
      isDraining = true;
      await server?.drain();
    },
  };
}

/** A service that remembers instances stays in its place while the database is away: all of them would leave theirs. */
async function checkReady(cellDb: CellDb, cache: InstanceCache): Promise<void> {
  try {
    await cellDb.check();
  } catch (error) {
    if (cache.size === 0) throw error;
  }
}
