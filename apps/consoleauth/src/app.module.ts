/** Puts consoleauth together: stores, application classes, the RPC edge, and a sweep for hosts that are gone. */
import { Inject, Module } from '@nestjs/common';
import type { BeforeApplicationShutdown, DynamicModule, OnApplicationBootstrap } from '@nestjs/common';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { consoleProxy } from '@gatehouse/contracts/console-proxy';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { createClient } from '@gatehouse/rpc/client';
import { serve } from '@gatehouse/rpc/server';
import type { RpcServer } from '@gatehouse/rpc/server';
import type { Transport } from '@gatehouse/rpc/transport';
import type { App } from '@gatehouse/runtime/app';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import { createContextApp } from '@gatehouse/runtime/nest-app';
import { periodic } from '@gatehouse/runtime/periodic';
import type { Periodic } from '@gatehouse/runtime/periodic';
import type { ConsoleAuthConfig } from './config.ts';
import { ConsoleAuth } from './console-auth.ts';
import { consoleAuthHandlers } from './consoleauth.server.ts';
import type { ConsoleAuthParts } from './consoleauth.server.ts';
import { SessionEnds } from './session-ends.ts';
import { SessionLeases } from './session-leases.ts';

export interface ConsoleAuthResources {
  readonly config: ConsoleAuthConfig;
  /** This server among others of its topic. */
  readonly server: string;
  readonly transport: Transport;
  readonly cellDb: CellDb;
  readonly log: Logger;
  readonly clock: Clock;
}

const SWEEP_EVERY_MS = 30_000;
const RESOURCES = Symbol('consoleauth resources');
const PARTS = Symbol('consoleauth parts');

function makeParts({ cellDb, clock, config, transport, log }: ConsoleAuthResources): ConsoleAuthParts {
  const leases = new SessionLeases(cellDb, clock, config.consoleLease);
  const auth = new ConsoleAuth(cellDb, leases, config, clock);
  return { auth, leases, ends: new SessionEnds(createClient(consoleProxy, transport), log), db: cellDb, clock };
}

class ConsoleAuthLife implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #resources: ConsoleAuthResources;
  readonly #parts: ConsoleAuthParts;
  #server: RpcServer | null = null;
  #sweep: Periodic | null = null;

  constructor(@Inject(RESOURCES) resources: ConsoleAuthResources, @Inject(PARTS) parts: ConsoleAuthParts) {
    this.#resources = resources;
    this.#parts = parts;
  }

  async onApplicationBootstrap(): Promise<void> {
    const { transport, server, log, clock } = this.#resources;
    this.#server = await serve(consoleauth, transport, { server, handlers: consoleAuthHandlers(this.#parts), log });
    const work = () => this.#parts.leases.tidy();
    this.#sweep = periodic({ name: 'sweep of expired tokens and sessions', everyMs: SWEEP_EVERY_MS, clock, log, work });
  }

  async checkReady(): Promise<void> {
    await this.#server?.checkLoop();
    await this.#resources.cellDb.check();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.#sweep?.stop();
    await this.#server?.drain();
  }
}

@Module({})
export class ConsoleAuthModule {
  static with(resources: ConsoleAuthResources): DynamicModule {
    return {
      module: ConsoleAuthModule,
      providers: [
        { provide: RESOURCES, useValue: resources },
        { provide: PARTS, useFactory: makeParts, inject: [RESOURCES] },
        ConsoleAuthLife,
      ],
    };
  }
}

/** Resolves when consoleauth serves; waits for a broker that is not there yet. */
export async function startConsoleAuth(resources: ConsoleAuthResources): Promise<App> {
  const nest = await createContextApp(ConsoleAuthModule.with(resources), resources.log);
  const life = nest.get(ConsoleAuthLife);
  return { name: 'consoleauth', addresses: [], checkReady: () => life.checkReady(), drain: () => nest.close() };
}
