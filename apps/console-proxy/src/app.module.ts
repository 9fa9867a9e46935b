/** Puts the console proxy together: the application class, its three edges (HTTP, RPC, streams) and its rounds. */
import { Inject, Module } from '@nestjs/common';
import type { BeforeApplicationShutdown, DynamicModule } from '@nestjs/common';
import { readTlsFiles } from '@gatehouse/console-stream/tls-files';
import { backportPeer } from '@gatehouse/contracts/backport-peers';
import { consoleProxy } from '@gatehouse/contracts/console-proxy';
import type { consoleauth } from '@gatehouse/contracts/consoleauth';
import { askConsoleauth, FleetPins } from '@gatehouse/contracts/fleet-pins';
import type { Client } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { serve, type RpcServer } from '@gatehouse/rpc/server';
import type { Transport } from '@gatehouse/rpc/transport';
import type { App } from '@gatehouse/runtime/app';
import type { Audit } from '@gatehouse/runtime/audit';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import type { Metrics } from '@gatehouse/runtime/metrics';
import { createContextApp } from '@gatehouse/runtime/nest-app';
import { periodic, type Periodic } from '@gatehouse/runtime/periodic';
import { authClient } from './auth-client.ts';
import { proxyNameOf, type ConsoleProxyConfig } from './config.ts';
import { ConsoleGateway } from './console.gateway.ts';
import { ConsoleProxy } from './console-proxy.ts';
import { consoleProxyHandlers } from './console-proxy.server.ts';
import { readDialMeans } from './dial/dial-settings.ts';
import { openStreamWith } from './open-stream.ts';
import { originPolicy } from './origin-policy.ts';
import { Pages } from './pages.ts';
import { ProxyRecord } from './proxy-record.ts';

export interface ConsoleProxyResources {
  readonly config: ConsoleProxyConfig;
  readonly transport: Transport;
  readonly audit: Audit;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

const REPORT_EVERY_MS = 5_000;
const BEAT_EVERY_MS = 1_000;
const RPC_TIMEOUT_MS = 4_000;
const RESOURCES = Symbol('console-proxy resources');
const CONSOLEAUTH = Symbol('consoleauth client');

function recordOf({ config, log, metrics, audit }: ConsoleProxyResources): ProxyRecord {
  return new ProxyRecord(proxyNameOf(config), log, metrics, audit);
}

function makeProxy(resources: ConsoleProxyResources, auth: Client<typeof consoleauth>): ConsoleProxy {
  const { config, clock, log } = resources;
  const openStream = openStreamWith({ agentTls: readTlsFiles(config), dial: readDialMeans(config, log), timeoutMs: config.proxyConnectTimeout * 1_000 });
  return new ConsoleProxy(auth, openStream, { ...config, proxyName: proxyNameOf(config) }, clock, recordOf(resources));
}

function makeGateway(resources: ConsoleProxyResources, proxy: ConsoleProxy): ConsoleGateway {
  const { config } = resources;
  return new ConsoleGateway(proxy, originPolicy(config), new Pages(config.frameAncestors), config, recordOf(resources));
}

class ConsoleProxyLife implements BeforeApplicationShutdown {
  readonly #resources: ConsoleProxyResources;
  readonly #auth: Client<typeof consoleauth>;
  readonly #pins: FleetPins;
  readonly #proxy: ConsoleProxy;
  readonly #gateway: ConsoleGateway;
  #server: RpcServer | null = null;
  #rounds: readonly Periodic[] = [];

  constructor(
    @Inject(RESOURCES) resources: ConsoleProxyResources,
    @Inject(CONSOLEAUTH) auth: Client<typeof consoleauth>,
    @Inject(FleetPins) pins: FleetPins,
    @Inject(ConsoleProxy) proxy: ConsoleProxy,
    @Inject(ConsoleGateway) gateway: ConsoleGateway,
  ) {
    this.#resources = resources;
    this.#auth = auth;
    this.#pins = pins;
    this.#proxy = proxy;
    this.#gateway = gateway;
  }

  /** Resolves with the base URL when browsers and consoleauth are both served. */
  async start(): Promise<string> {
    const { config, transport, log, clock, metrics } = this.#resources;
    // The port first: a taken one is told at once, though the broker may keep us waiting.
    const url = await this.#gateway.listen(config.proxyPort, config.bindAddress);
    const peer = { backportPeer: backportPeer(config.rpcBackportPeer) };
    this.#server = await serve(consoleProxy, transport, { server: proxyNameOf(config), handlers: consoleProxyHandlers(this.#proxy), ...peer, log });
    const round = (name: string, everyMs: number, work: () => Promise<void>): Periodic => periodic({ name, everyMs, clock, log, work });
    this.#rounds = [
      round('signs of life and timers of clients', BEAT_EVERY_MS, async () => this.#proxy.beat()),
      round('renewal of sessions', BEAT_EVERY_MS, () => this.#proxy.renewWhenDue()),
      round('ends that were not told', BEAT_EVERY_MS, () => this.#proxy.tellEnds()),
      round('report to consoleauth', REPORT_EVERY_MS, () => this.#report()),
    ];
    const gauge = (name: string, help: string, count: () => number): void => void metrics.gauge({ name, help, collect: (each: { set(value: number): void }) => each.set(count()) });
    gauge('proxy_sessions', 'Consoles carried now', () => this.#proxy.sessionCount);
    gauge('proxy_sessions_parked', 'Sessions that wait for a client that has vanished', () => this.#proxy.parkedCount);
    return url;
  }

  async checkReady(): Promise<void> {
    await this.#server?.checkLoop();
  }

  async beforeApplicationShutdown(): Promise<void> {
    // Listening goes on meanwhile: whoever comes is told that the proxy restarts, not left with a refused connection.
    await this.#proxy.drain(this.#resources.config.proxyDrain);
    await Promise.all([...this.#rounds.map((round) => round.stop()), this.#gateway.close(), this.#server?.drain()]);
  }

  async #report(): Promise<void> {
    const report = { binary: 'console-proxy', host: proxyNameOf(this.#resources.config), topic: consoleProxy.topic, version: consoleProxy.version, endpoint: null };
    await this.#auth.report(report, newContext({ timeoutMs: RPC_TIMEOUT_MS }));
    await this.#pins.refresh();
  }
}

@Module({})
export class ConsoleProxyModule {
  static with(resources: ConsoleProxyResources): DynamicModule {
    const { config, transport, clock, log } = resources;
    const pins = new FleetPins(config, askConsoleauth(transport), clock, log);
    return {
      module: ConsoleProxyModule,
      providers: [
        { provide: RESOURCES, useValue: resources },
        { provide: FleetPins, useValue: pins },
        { provide: CONSOLEAUTH, useValue: authClient(transport, pins, config.rpcPinConsoleauth) },
        { provide: ConsoleProxy, useFactory: makeProxy, inject: [RESOURCES, CONSOLEAUTH] },
        { provide: ConsoleGateway, useFactory: makeGateway, inject: [RESOURCES, ConsoleProxy] },
        ConsoleProxyLife,
      ],
    };
  }
}

/** Resolves when the proxy serves browsers; waits for a broker that is not there yet. */
export async function startConsoleProxy(resources: ConsoleProxyResources): Promise<App> {
  const nest = await createContextApp(ConsoleProxyModule.with(resources), resources.log);
  const life = nest.get(ConsoleProxyLife);
  try {
    const url = await life.start();
    return {
      name: 'console-proxy',
      addresses: [{ name: 'console proxy', url }],
      checkReady: () => life.checkReady(),
      drain: () => nest.close(),
    };
  } catch (error) {
    await nest.close();
    throw error;
  }
}
