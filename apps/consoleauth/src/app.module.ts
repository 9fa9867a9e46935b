/** Puts consoleauth together: stores, application classes, the RPC edge, and a sweep for hosts that are gone. */
import { Inject, Module } from '@nestjs/common';
import type { BeforeApplicationShutdown, DynamicModule, OnApplicationBootstrap } from '@nestjs/common';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { backportPeer } from '@gatehouse/contracts/backport-peers';
import { compute } from '@gatehouse/contracts/compute';
import { conductor } from '@gatehouse/contracts/conductor';
import { consoleProxy } from '@gatehouse/contracts/console-proxy';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { FleetPins } from '@gatehouse/contracts/fleet-pins';
import { createClient } from '@gatehouse/rpc/client';
import { serve } from '@gatehouse/rpc/server';
import type { RpcServer } from '@gatehouse/rpc/server';
import type { Transport } from '@gatehouse/rpc/transport';
import type { App } from '@gatehouse/runtime/app';
import type { Audit } from '@gatehouse/runtime/audit';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import { createContextApp } from '@gatehouse/runtime/nest-app';
import { periodic } from '@gatehouse/runtime/periodic';
import type { Periodic } from '@gatehouse/runtime/periodic';
import type { ConsoleAuthConfig } from './config.ts';
import { ConsoleAdmission } from './console-admission.ts';
import { ConsoleAuth } from './console-auth.ts';
import { ConsoleClaims } from './console-claims.ts';
import { ConsoleSessions } from './console-sessions.ts';
import { consoleAuthHandlers } from './consoleauth.server.ts';
import type { ConsoleAuthParts } from './consoleauth.server.ts';
import { ConsoleTokens } from './console-tokens.ts';
import { FleetLevels } from './fleet-levels.ts';
import { historicEndpoints } from './historic-consoleauth.server.ts';
import { HistoricTokens } from './historic-tokens.ts';
import { openTokens } from './open-tokens.ts';
import { Outages } from './outages.ts';
import { RegisteredConsoles } from './registered-consoles.ts';
import { SessionEnds } from './session-ends.ts';
import { SessionLeases } from './session-leases.ts';
import { SessionWatch, WATCHERS_MAX } from './session-watch.ts';
import { Sweeps } from './sweeps.ts';
import type { TokenBackend } from './token-backend.ts';

export interface ConsoleAuthResources {
  readonly config: ConsoleAuthConfig;
  /** This server among others of its topic. */
  readonly server: string;
  readonly transport: Transport;
  readonly cellDb: CellDb;
  readonly audit: Audit;
  readonly log: Logger;
  readonly clock: Clock;
}

/** Ports of a proxy that died are free when its leases have run out; so soon afterwards lists say so too. */
const RUN_OUT_EVERY_MS = 1_000;
const OUTAGES_EVERY_MS = 1_000;
const TIDY_EVERY_MS = 30_000;
const REPORT_EVERY_MS = 5_000;
const HANDLERS_MAX = 64;
const RESOURCES = Symbol('consoleauth resources');
const PARTS = Symbol('consoleauth parts');

interface Parts extends ConsoleAuthParts {
  readonly tokens: TokenBackend;
  readonly outages: Outages;
  readonly pins: FleetPins;
}

function makeParts({ cellDb, clock, config, server, transport, audit, log }: ConsoleAuthResources): Parts {
  const outages = new Outages(config.consoleLease, clock, log);
  const leases = new SessionLeases(cellDb, outages, audit, clock, config.consoleLease);
  const sweeps = new Sweeps(cellDb, leases, clock);
  const tokens = openTokens(config, { cellDb, clock, log });
  const shown = new ConsoleTokens(cellDb, tokens, config, clock);
  const auth = new ConsoleAuth(cellDb, tokens, leases, config, audit, clock);
  const levels = new FleetLevels(cellDb.services, clock, server);
  const pins = new FleetPins(config, () => levels.oldest(), clock, log);
  const ends = new SessionEnds(createClient(consoleProxy, transport, { pin: pins.of(consoleProxy) }), log);
  // Of no level: an agent that cannot confirm says so, and one that can is asked from its first moment on.
  const hosts = createClient(compute, transport);
  const admission = new ConsoleAdmission(cellDb, new ConsoleClaims(cellDb, tokens, leases, config, clock), hosts, ends, audit);
  const sessions = new ConsoleSessions(cellDb, ends, clock);
  const watch = new SessionWatch(cellDb, clock);
  const registered = new RegisteredConsoles(cellDb, ends, config, clock);
  return { auth, admission, registered, tokens, shown, leases, outages, sweeps, sessions, watch, ends, levels, pins, db: cellDb, clock };
}

class ConsoleAuthLife implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #resources: ConsoleAuthResources;
  readonly #parts: Parts;
  #server: RpcServer | null = null;
  #conductor: RpcServer | null = null;
  #rounds: readonly Periodic[] = [];

  constructor(@Inject(RESOURCES) resources: ConsoleAuthResources, @Inject(PARTS) parts: Parts) {
    this.#resources = resources;
    this.#parts = parts;
  }

  async onApplicationBootstrap(): Promise<void> {
    const { transport, server, log, config, cellDb, clock } = this.#resources;
    // The report first: whoever speaks a newer level than this one knows must hear of it before it takes a request.
    this.#rounds = [this.#startReport()];
    this.#server = await serve(consoleauth, transport, {
      ...{ server, log, handlers: consoleAuthHandlers(this.#parts), backportPeer: backportPeer(config.rpcBackportPeer) },
      // Whoever watches waits without work; that takes nobody else's place.
      concurrency: HANDLERS_MAX + WATCHERS_MAX,
      // Nova's own services call the topic by their versions.
      others: historicEndpoints(new HistoricTokens(cellDb, this.#parts.tokens, config, clock)),
    });
    this.#rounds = [...this.#rounds, ...this.#startRounds(this.#server)];
    if (config.rpcConductor) this.#conductor = await serve(conductor, transport, { server, handlers: {}, log });
  }

  #startReport(): Periodic {
    const { levels, pins } = this.#parts;
    return this.#round('report of this consoleauth', REPORT_EVERY_MS, async () => {
      await levels.reportOwn();
      await pins.refresh();
    });
  }

  #startRounds(server: RpcServer): readonly Periodic[] {
    const { outages, sweeps } = this.#parts;
    const canServe = async (): Promise<void> => {
      await server.checkLoop();
      await this.#resources.cellDb.check();
    };
    return [
      this.#round('look for outages', OUTAGES_EVERY_MS, () => outages.look(canServe)),
      this.#round('end of sessions whose lease has run out', RUN_OUT_EVERY_MS, () => sweeps.endRunOut()),
      this.#round('sweep of what nobody else looks after', TIDY_EVERY_MS, () => sweeps.tidy()),
    ];
  }

  #round(name: string, everyMs: number, work: () => Promise<void>): Periodic {
    const { log, clock } = this.#resources;
    return periodic({ name, everyMs, clock, log, work });
  }

  async checkReady(): Promise<void> {
    await this.#server?.checkLoop();
    await this.#resources.cellDb.check();
    await this.#parts.tokens.check();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all(this.#rounds.map((round) => round.stop()));
    this.#parts.watch.stop();
    await Promise.all([this.#server?.drain(), this.#conductor?.drain()]);
    await this.#parts.tokens.close();
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
