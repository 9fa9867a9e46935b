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
import { Admission } from './admission.ts';
import { authClient } from './auth-client.ts';
import { proxyNameOf, type ConsoleProxyConfig } from './config.ts';
import { ConsoleGateway } from './console.gateway.ts';
import { ConsoleProxy } from './console-proxy.ts';
import { consoleProxyHandlers } from './console-proxy.server.ts';
import { readDialMeans } from './dial/dial-settings.ts';
import { EdgeServer } from './edge-server.ts';
import { openStreamWith } from './open-stream.ts';
import { Pages } from './pages.ts';
import { ProxyRecord } from './proxy-record.ts';
import { ServedCertificate } from './served-certificate.ts';

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
const CERTIFICATE_EVERY_MS = 2_000;
const RPC_TIMEOUT_MS = 4_000;
const RESOURCES = Symbol('console-proxy resources');
const CONSOLEAUTH = Symbol('consoleauth client');

function recordOf({ config, log, metrics, audit, clock }: ConsoleProxyResources): ProxyRecord {
  return new ProxyRecord(proxyNameOf(config), log, metrics, audit, clock);
}

function makeProxy({ config, clock, log }: ConsoleProxyResources, auth: Client<typeof consoleauth>, record: ProxyRecord): ConsoleProxy {
  const openStream = openStreamWith({ agentTls: readTlsFiles(config), dial: readDialMeans(config, log), timeoutMs: config.proxyConnectTimeout * 1_000, log });
  return new ConsoleProxy(auth, openStream, { ...config, proxyName: proxyNameOf(config) }, clock, record);
}

function makeEdge({ config, log, metrics }: ConsoleProxyResources, proxy: ConsoleProxy, record: ProxyRecord): EdgeServer {
  const admission = new Admission(config);
  const certificate = ServedCertificate.read(config, log);
  const server = new EdgeServer(config, certificate, (address) => admission.isBalancer(address), record);
  const gateway = new ConsoleGateway(proxy, admission, server, config, record);
  const pages = new Pages(config.frameAncestors);
  server.serve((request, response) => pages.answer(request, response), (request, socket, head) => gateway.upgrade(request, socket, head));
  gauge(metrics, 'proxy_connections_waiting', 'Connections that are no console: handshakes, pages, clients being turned away', () => server.waitingCount);
  if (certificate !== null) gauge(metrics, 'proxy_tls_certificate_expires_seconds', 'When the certificate is good no more, Unix time', () => certificate.expires.getTime() / 1_000);
  return server;
}

function gauge(metrics: Metrics, name: string, help: string, count: () => number): void {
  metrics.gauge({ name, help, collect: (each: { set(value: number): void }) => each.set(count()) });
}

class ConsoleProxyLife implements BeforeApplicationShutdown {
  readonly #resources: ConsoleProxyResources;
  readonly #auth: Client<typeof consoleauth>;
  readonly #pins: FleetPins;
  readonly #proxy: ConsoleProxy;
  readonly #edge: EdgeServer;
  #server: RpcServer | null = null;
  #rounds: readonly Periodic[] = [];

  constructor(
    @Inject(RESOURCES) resources: ConsoleProxyResources,
    @Inject(CONSOLEAUTH) auth: Client<typeof consoleauth>,
    @Inject(FleetPins) pins: FleetPins,
    @Inject(ConsoleProxy) proxy: ConsoleProxy,
    @Inject(EdgeServer) edge: EdgeServer,
  ) {
    this.#resources = resources;
    this.#auth = auth;
    this.#pins = pins;
    this.#proxy = proxy;
    this.#edge = edge;
  }

  /** Resolves with the base URL when browsers and consoleauth are both served. */
  async start(): Promise<string> {
    const { config, transport, log, clock, metrics } = this.#resources;
    // The port first: a taken one is told at once, though the broker may keep us waiting.
    const url = await this.#edge.listen(config.proxyPort, config.bindAddress);
    const peer = { backportPeer: backportPeer(config.rpcBackportPeer) };
    this.#server = await serve(consoleProxy, transport, { server: proxyNameOf(config), handlers: consoleProxyHandlers(this.#proxy), ...peer, log });
    const round = (name: string, everyMs: number, work: () => Promise<void>): Periodic => periodic({ name, everyMs, clock, log, work });
    this.#rounds = [
      round('signs of life and timers of clients', BEAT_EVERY_MS, async () => this.#proxy.beat()),
      round('renewal of sessions', BEAT_EVERY_MS, () => this.#proxy.renewWhenDue()),
      round('ends that were not told', BEAT_EVERY_MS, () => this.#proxy.tellEnds()),
      round('report to consoleauth', REPORT_EVERY_MS, () => this.#report()),
      round('a look at the TLS certificate', CERTIFICATE_EVERY_MS, () => this.#edge.refreshCertificate()),
    ];
    gauge(metrics, 'proxy_sessions', 'Consoles carried now', () => this.#proxy.sessionCount);
    gauge(metrics, 'proxy_opening_waiting', 'Clients in line until their token is asked about', () => this.#proxy.inLineCount);
    gauge(metrics, 'proxy_sessions_parked', 'Sessions that wait for a client that has vanished', () => this.#proxy.parkedCount);
    return url;
  }

  /** What has changed on disk is read again. */
  reload(): Promise<void> {
    return this.#edge.refreshCertificate({ isAsked: true });
  }

  async checkReady(): Promise<void> {
    await this.#server?.checkLoop();
  }

  async beforeApplicationShutdown(): Promise<void> {
    // Listening goes on meanwhile: whoever comes is told that the proxy restarts, not left with a refused connection.
    await this.#proxy.drain(this.#resources.config.proxyDrain);
    await Promise.all([...this.#rounds.map((round) => round.stop()), this.#edge.close(), this.#server?.drain()]);
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
        { provide: ProxyRecord, useFactory: recordOf, inject: [RESOURCES] },
        { provide: ConsoleProxy, useFactory: makeProxy, inject: [RESOURCES, CONSOLEAUTH, ProxyRecord] },
        { provide: EdgeServer, useFactory: makeEdge, inject: [RESOURCES, ConsoleProxy, ProxyRecord] },
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
      reload: () => life.reload(),
      drain: () => nest.close(),
    };
  } catch (error) {
    await nest.close();
    throw error;
  }
}
