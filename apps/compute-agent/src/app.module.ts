/** Puts a compute agent together: its driver, the application class, its RPC and stream edges, and its reports. */
import { Inject, Module } from '@nestjs/common';
import type { BeforeApplicationShutdown, DynamicModule, OnApplicationBootstrap } from '@nestjs/common';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { serveConsoleStream } from '@gatehouse/console-stream/serve-console-stream';
import type { ConsoleStreamServer } from '@gatehouse/console-stream/serve-console-stream';
import { readTlsFiles } from '@gatehouse/console-stream/tls-files';
import { backportPeer } from '@gatehouse/contracts/backport-peers';
import { compute } from '@gatehouse/contracts/compute';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { askConsoleauth, FleetPins } from '@gatehouse/contracts/fleet-pins';
import { createClient } from '@gatehouse/rpc/client';
import type { Client } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { serve } from '@gatehouse/rpc/server';
import type { RpcServer } from '@gatehouse/rpc/server';
import type { Transport } from '@gatehouse/rpc/transport';
import type { App } from '@gatehouse/runtime/app';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import { createContextApp } from '@gatehouse/runtime/nest-app';
import { periodic } from '@gatehouse/runtime/periodic';
import type { Periodic } from '@gatehouse/runtime/periodic';
import { ComputeAgent } from './compute-agent.ts';
import { computeHandlers } from './compute.server.ts';
import type { ComputeAgentConfig } from './config.ts';
import type { Driver } from './drivers/driver.ts';
import { GuestFacts } from './guest-facts.ts';
import { makeDriver } from './make-driver.ts';
import { SerialLines } from './serial-lines.ts';

export interface ComputeAgentResources {
  readonly config: ComputeAgentConfig;
  readonly transport: Transport;
  readonly cellDb: CellDb;
  readonly log: Logger;
  readonly clock: Clock;
}

interface ComputeAgentParts {
  readonly agent: ComputeAgent;
  readonly driver: Driver;
  readonly lines: SerialLines;
  readonly consoleAuth: Client<typeof consoleauth>;
  readonly pins: FleetPins;
}

const REPORT_EVERY_MS = 5_000;
const WATCH_EVERY_MS = 5_000;
const SWEEP_EVERY_MS = 60_000;
const RPC_TIMEOUT_MS = 10_000;
const STREAMS_DRAIN_MS = 2_000;
const RESOURCES = Symbol('compute agent resources');
const PARTS = Symbol('compute agent parts');

async function makeParts({ config, transport, cellDb, log, clock }: ComputeAgentResources): Promise<ComputeAgentParts> {
  const driver = await makeDriver(config, clock, log);
  const lines = new SerialLines(driver, config.serialScrollbackBytes, clock, log);
  const pins = new FleetPins(config, askConsoleauth(transport), clock, log);
  const consoleAuth = createClient(consoleauth, transport, { timeoutMs: RPC_TIMEOUT_MS, pin: pins.of(consoleauth) });
  // Not pinned: they came with the newest level; where consoleauth does not know them yet, it says so, and nothing is lost.
  const { attachAll, register } = createClient(consoleauth, transport, { timeoutMs: RPC_TIMEOUT_MS });
  const { instances } = cellDb;
  const guestFacts = new GuestFacts(cellDb, config.configDrive, log);
  const agent = new ComputeAgent({ host: config.host, driver, lines, instances, guestFacts, consoleAuth: { ...consoleAuth, attachAll, register }, clock, log });
  return { agent, driver, lines, consoleAuth, pins };
}

class ComputeAgentLife implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #resources: ComputeAgentResources;
  readonly #parts: ComputeAgentParts;
  #streams: ConsoleStreamServer | null = null;
  #server: RpcServer | null = null;
  #rounds: readonly Periodic[] = [];

  constructor(@Inject(RESOURCES) resources: ComputeAgentResources, @Inject(PARTS) parts: ComputeAgentParts) {
    this.#resources = resources;
    this.#parts = parts;
  }

  async onApplicationBootstrap(): Promise<void> {
    const { config, transport, log } = this.#resources;
    const { agent } = this.#parts;
    await agent.start();
    const tls = readTlsFiles(config);
    this.#streams = await serveConsoleStream({ listen: config.agentListen, attach: (open) => agent.attach(open), log, ...(tls === undefined ? {} : { tls }) });
    this.#server = await serve(compute, transport, { server: config.host, handlers: computeHandlers(agent), backportPeer: backportPeer(config.rpcBackportPeer), log });
    const report = this.#report(config.agentEndpoint ?? this.#streams.endpoint);
    this.#rounds = this.#startRounds(report);
  }

  get endpoint(): string {
    return this.#streams?.endpoint ?? '';
  }

  async checkReady(): Promise<void> {
    await this.#server?.checkLoop();
    await this.#resources.cellDb.check();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all(this.#rounds.map((round) => round.stop()));
    await this.#server?.drain();
    await this.#streams?.drain(STREAMS_DRAIN_MS);
    await this.#parts.lines.close('host_draining');
    await this.#parts.driver.close();
  }

  /** Says to consoleauth that this host lives and where its consoles are reached, and hears which levels live. */
  #report(endpoint: string): () => Promise<void> {
    const { host } = this.#resources.config;
    const report = { binary: 'compute-agent', host, topic: compute.topic, version: compute.version, endpoint };
    return async () => {
      await this.#parts.consoleAuth.report(report, newContext({ timeoutMs: RPC_TIMEOUT_MS }));
      await this.#parts.pins.refresh();
    };
  }

  #startRounds(report: () => Promise<void>): readonly Periodic[] {
    const { config, log, clock } = this.#resources;
    const { agent, consoleAuth } = this.#parts;
    const sweep = async () => void (await consoleAuth.sweep({ host: config.host }, newContext({ timeoutMs: RPC_TIMEOUT_MS })));
    return [
      periodic({ name: 'report to consoleauth', everyMs: REPORT_EVERY_MS, clock, log, work: report }),
      periodic({ name: 'look after the guests', everyMs: WATCH_EVERY_MS, clock, log, work: () => agent.watch() }),
      periodic({ name: 'sweep of console rows', everyMs: SWEEP_EVERY_MS, clock, log, work: sweep }),
    ];
  }
}

@Module({})
export class ComputeAgentModule {
  static with(resources: ComputeAgentResources): DynamicModule {
    return {
      module: ComputeAgentModule,
      providers: [
        { provide: RESOURCES, useValue: resources },
        { provide: PARTS, useFactory: makeParts, inject: [RESOURCES] },
        ComputeAgentLife,
      ],
    };
  }
}

/** Resolves when the agent serves its guests; waits for a broker that is not there yet, but not for the database. */
export async function startComputeAgent(resources: ComputeAgentResources): Promise<App> {
  const nest = await createContextApp(ComputeAgentModule.with(resources), resources.log);
  const life = nest.get(ComputeAgentLife);
  return {
    name: 'compute-agent',
    addresses: [{ name: 'console stream', url: `grpc://${life.endpoint}` }],
    checkReady: () => life.checkReady(),
    drain: () => nest.close(),
  };
}
