/**
 * The API for tests: served over HTTP on a free port, with two PostgreSQL databases of its own, and a compute
 * agent and a consoleauth of a few lines behind the memory transport.
 */
import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { openApiDb } from '@gatehouse/api-db/api-db';
import type { ApiDb } from '@gatehouse/api-db/api-db';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { compute } from '@gatehouse/contracts/compute';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { serve } from '@gatehouse/rpc/server';
import { someHandlers } from '@gatehouse/rpc/some-handlers';
import type { Handlers, RpcServer } from '@gatehouse/rpc/server';
import type { Transport } from '@gatehouse/rpc/transport';
import type { Clock } from '@gatehouse/runtime/clock';
import { systemClock } from '@gatehouse/runtime/clock';
import { createLogger } from '@gatehouse/runtime/logger';
import { createMetrics } from '@gatehouse/runtime/metrics';
import { runFor } from '../../../test/servers/running-time.ts';
import { startApi } from './app.module.ts';
import type { ApiResources } from './app.module.ts';
import { apiConfig } from './config.ts';
import type { ApiConfig } from './config.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: unknown;
}

export interface Ask {
  readonly token?: string | null;
  readonly version?: string;
  readonly body?: string | Buffer | object;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface TestApi {
  readonly url: string;
  readonly apiDb: ApiDb;
  readonly cellDb: CellDb;
  readonly transport: Transport;
  /** Every line that was logged. */
  readonly logged: string[];
  ask(method: string, path: string, ask?: Ask): Promise<Answer>;
  stop(): Promise<void>;
}

/** A PostgreSQL server to make databases in, of test/servers. */
export interface TestServer {
  createDatabase(): Promise<string>;
  stop(): Promise<void>;
}

/** A request waits a second for a host: longer where everything stands still, for what the host says then would come too late. */
const SHORT_MS_MAX = 2_000;
export const unhurriedClock: Clock = {
  ...systemClock,
  sleep: (delayMs, signal) => (delayMs > SHORT_MS_MAX || signal !== undefined ? systemClock.sleep(delayMs, signal) : runFor(delayMs)),
};

/** Stops the server too, when it is stopped. */
export async function startTestApi(postgresql: TestServer, changes: Partial<ApiConfig> = {}, migrate = true, more: Partial<ApiResources> = {}): Promise<TestApi> {
  const apiDb = await openApiDb({ url: await postgresql.createDatabase() });
  const cellDb = await openCellDb({ url: await postgresql.createDatabase() });
  if (migrate) await Promise.all([apiDb.migrate(), cellDb.migrate()]);
  const transport = createMemoryTransport();
  const logged: string[] = [];
  const destination = { write: (line: string) => logged.push(line) } as unknown as NodeJS.WritableStream;
  const log = createLogger({ service: 'test-api', level: 'debug', destination });
  const config = { ...apiConfig.parse({ apiPort: '0' }), ...changes };
  const metrics = createMetrics('test-api');
  const api = await startApi({ config, transport, apiDb, cellDb, log, metrics, clock: unhurriedClock, ...more });
  const url = api.addresses[0]?.url ?? '';
  return {
    url,
    apiDb,
    cellDb,
    transport,
    logged,
    ask: (method, path, ask = {}) => askHttp(url, method, path, ask),
    async stop() {
      await api.drain();
      await Promise.all([apiDb.close(), cellDb.close(), transport.close()]);
      await postgresql.stop();
    },
  };
}

/** `token: null` sends none; the default is alice of proj. A body that is not text or bytes is sent as JSON. */
export function askHttp(url: string, method: string, path: string, ask: Ask): Promise<Answer> {
  const { token = 'alice:proj', version, body } = ask;
  const { hostname, port } = new URL(url);
  const headers: Record<string, string> = {
    ...(token === null ? {} : { 'x-auth-token': token }),
    ...(version === undefined ? {} : { 'openstack-api-version': `compute ${version}` }),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...ask.headers,
  };
  const payload = typeof body === 'object' && !Buffer.isBuffer(body) ? JSON.stringify(body) : body;
  // Node leaves it out for methods that seldom have a body.
  if (payload !== undefined) headers['content-length'] ??= String(Buffer.byteLength(payload));
  return new Promise((resolve, reject) => {
    const request = httpRequest({ hostname, port, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: jsonOf(text) });
      });
    });
    request.on('error', reject);
    request.end(payload);
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export type ComputeHandlers = Handlers<typeof compute>;

/** An agent that is there for the whole suite, however long that takes, reports once, from the future; the silence of all reaches further. */
const REPORTED_FOR_MS = 600_000;
const SILENCE_MS = 3_600_000;

/** A compute agent of `host` that reports itself, makes guests at once and gives consoles; `changes` replace its handlers. */
export async function serveAgent(api: TestApi, host: string, changes: Partial<ComputeHandlers> = {}): Promise<RpcServer> {
  await reportAgent(api, host);
  return serve(compute, api.transport, {
    server: host,
    handlers: someHandlers(compute, {
      async createInstance({ instance }) {
        const now = new Date();
        await api.cellDb.instances.update(instance.uuid, { vmState: 'active', taskState: null, launchedAt: now }, now, host);
      },
      getConsole({ instanceUuid, consoleType }) {
        const accessUrl = `http://127.0.0.1:6080/${consoleType === 'serial' ? 'serial' : 'vnc'}#token=secret-of-${host}`;
        return { instanceUuid, host, port: 0, consoleType, tokenHash: null, accessUrl, options: {}, expires: new Date() };
      },
      deleteInstance() {},
      ...changes,
    }),
  });
}

export function reportAgent(api: TestApi, host: string, lastSeenAt = new Date(Date.now() + REPORTED_FOR_MS)): Promise<void> {
  const { topic } = compute;
  return api.cellDb.services.report({ binary: 'gatehouse-compute-agent', host, topic, version: '1.0', endpoint: null, lastSeenAt });
}

/** No agent has reported lately. */
export function silenceAgents(api: TestApi): Promise<number> {
  return api.cellDb.services.deleteUnseen(new Date(Date.now() + SILENCE_MS));
}

/** A consoleauth that only knows how to revoke; the uuids it was asked to revoke go to `revoked`. */
export function serveRevocation(api: TestApi, revoked: string[]): Promise<RpcServer> {
  return serve(consoleauth, api.transport, {
    server: 'consoleauth-1',
    handlers: someHandlers(consoleauth, {
      revokeInstance({ instanceUuid }) {
        revoked.push(instanceUuid);
        return 0;
      },
    }),
  });
}
