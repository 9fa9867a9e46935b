/**
 * The house as Nova's users know it: api, consoleauth, console proxy and as many compute agents as a test wants, the real
 * applications in this process, on PostgreSQL, asked over HTTP and WebSocket. Where a test of Nova's lets the compute
 * service fail, an agent is played that refuses.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { startApi } from '@gatehouse/api/app.module';
import { apiConfig } from '@gatehouse/api/config';
import { openApiDb } from '@gatehouse/api-db/api-db';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { startComputeAgent } from '@gatehouse/compute-agent/app.module';
import { computeAgentConfig } from '@gatehouse/compute-agent/config';
import { startConsoleProxy } from '@gatehouse/console-proxy/app.module';
import { consoleProxyConfig } from '@gatehouse/console-proxy/config';
import { startConsoleAuth } from '@gatehouse/consoleauth/app.module';
import { consoleAuthConfig } from '@gatehouse/consoleauth/config';
import { compute } from '@gatehouse/contracts/compute';
import { consoleProxy } from '@gatehouse/contracts/console-proxy';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { createClient } from '@gatehouse/rpc/client';
import type { Client } from '@gatehouse/rpc/client';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { serve } from '@gatehouse/rpc/server';
import type { Handlers } from '@gatehouse/rpc/server';
import { someHandlers } from '@gatehouse/rpc/some-handlers';
import type { Transport } from '@gatehouse/rpc/transport';
import type { App } from '@gatehouse/runtime/app';
import { noAudit } from '@gatehouse/runtime/audit';
import { systemClock } from '@gatehouse/runtime/clock';
import { createLogger } from '@gatehouse/runtime/logger';
import { createMetrics } from '@gatehouse/runtime/metrics';
import { freePort } from '../servers/free-port.ts';
import { startPostgresql } from '../servers/postgresql.ts';
import { makeTempFolder, removeTempFolder } from '../servers/server-process.ts';

export type Settings = Readonly<Record<string, string>>;

export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface WholeHouse {
  readonly apiUrl: string;
  readonly proxyUrl: string;
  readonly cellDb: CellDb;
  readonly transport: Transport;
  /** As the api asks the agents, and the agents and proxies consoleauth. */
  readonly compute: Client<typeof compute>;
  readonly consoleauth: Client<typeof consoleauth>;
  /** As `user:project`, demo:demo unless told, at a microversion. */
  ask(version: string, method: string, path: string, body?: unknown, token?: string): Promise<Answer>;
  /** A server with its guest; resolves when it is ACTIVE. */
  boot(host: string, options?: Readonly<Record<string, unknown>>): Promise<string>;
  /** Only the row of a server, as the api writes it before there is a guest. */
  place(instance?: { readonly host?: string | null; readonly vmState?: string; readonly taskState?: string | null }): Promise<string>;
  /** Beside the others; whoever starts it ends it. */
  startAgent(host: string, settings?: Settings): Promise<App>;
  stop(): Promise<void>;
}

const BOOT_MS_MAX = 30_000;
const REPORT_MS_MAX = 20_000;

/** `settings` of every app; an agent has its own beside them. */
export async function startWholeHouse(hosts: readonly string[], settings: Settings = {}): Promise<WholeHouse> {
  const folder = makeTempFolder('nova');
  const postgresql = await startPostgresql();
  const [apiDb, cellDb] = await Promise.all([
    openApiDb({ url: await postgresql.createDatabase() }),
    openCellDb({ url: await postgresql.createDatabase() }),
  ]);
  await Promise.all([apiDb.migrate(), cellDb.migrate()]);
  const transport = createMemoryTransport();
  const proxyPort = await freePort();
  const proxyUrl = `http://127.0.0.1:${proxyPort}`;
  // All of one release: nobody older is there to ask about.
  const levels = { rpcPinCompute: compute.version, rpcPinConsoleauth: consoleauth.version, rpcPinConsoleProxy: consoleProxy.version };
  const all = { ...levels, dataDir: folder, proxyBaseUrl: proxyUrl, proxyPort: String(proxyPort), proxyName: 'proxy-1', apiPort: '0', ...settings };
  const resourcesOf = (app: string) => ({
    ...{ transport, apiDb, cellDb, audit: noAudit, clock: systemClock },
    ...{ log: createLogger({ service: app, level: 'fatal' }), metrics: createMetrics(app) },
  });
  async function startAgent(host: string, own: Settings = {}): Promise<App> {
    const since = new Date();
    const agent = await startComputeAgent({ ...resourcesOf('compute-agent'), config: computeAgentConfig.parse({ ...all, host, ...own }) });
    for (const until = Date.now() + REPORT_MS_MAX; (await cellDb.services.findLive(compute.topic, host, since)) === null; await sleep(10)) {
      assert.ok(Date.now() < until, `${host} does not report`);
    }
    return agent;
  }

  const apps = [await startConsoleAuth({ ...resourcesOf('consoleauth'), config: consoleAuthConfig.parse(all), server: 'consoleauth-1' })];
  for (const host of hosts) apps.push(await startAgent(host));
  apps.push(await startConsoleProxy({ ...resourcesOf('console-proxy'), config: consoleProxyConfig.parse(all) }));
  const api = await startApi({ ...resourcesOf('api'), config: apiConfig.parse(all) });
  apps.push(api);
  const apiUrl = api.addresses[0]?.url ?? '';

  async function ask(version: string, method: string, path: string, body?: unknown, token = 'demo:demo'): Promise<Answer> {
    const headers = { 'x-auth-token': token, 'openstack-api-version': `compute ${version}`, 'content-type': 'application/json' };
    const sent = body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body);
    const response = await fetch(`${apiUrl}/v2.1${path}`, { method, headers, body: sent });
    const text = await response.text();
    return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Answer['body']) };
  }

  return {
    ...{ apiUrl, proxyUrl, cellDb, transport, ask, startAgent },
    ...{ compute: createClient(compute, transport), consoleauth: createClient(consoleauth, transport) },
    async boot(host, options = {}) {
      const server = { name: 'vm', imageRef: '', flavorRef: '1', networks: 'none', availability_zone: `nova:${host}`, ...options };
      const { status, body } = await ask('2.90', 'POST', '/servers', { server });
      assert.equal(status, 202, JSON.stringify(body));
      const { id } = body['server'] as { id: string };
      await awaitStatus(ask, id, 'ACTIVE');
      return id;
    },
    async place({ host = 'compute-1', vmState = 'active', taskState = null } = {}) {
      const uuid = randomUUID();
      await cellDb.instances.create({
        ...{ uuid, projectId: 'demo', userId: 'demo', displayName: 'vm', hostname: 'vm', host, vmState, taskState },
        ...{ keyName: null, keyData: null, userData: null, metadata: {}, createdAt: new Date() },
      });
      return uuid;
    },
    async stop() {
      for (const app of apps.reverse()) await app.drain();
      await transport.close();
      await Promise.all([apiDb.close(), cellDb.close()]);
      await postgresql.stop();
      removeTempFolder(folder);
    },
  };
}

export async function awaitStatus(ask: WholeHouse['ask'], id: string, status: string): Promise<void> {
  for (const until = Date.now() + BOOT_MS_MAX; ; await sleep(50)) {
    const { body } = await ask('2.90', 'GET', `/servers/${id}`);
    const server = body['server'] as { status: string } | undefined;
    if (server?.status === status) return;
    assert.ok(server?.status !== 'ERROR' && Date.now() < until, `expected ${status}: ${JSON.stringify(body)}`);
  }
}

/** An agent of a few lines: what Nova's tests mock of nova-compute. */
export async function playAgent(house: WholeHouse, host: string, handlers: Partial<Handlers<typeof compute>>): Promise<void> {
  await serve(compute, house.transport, { server: host, handlers: someHandlers(compute, handlers) });
}
