/** A metadata service over a real cell database, and clients that send it what no proper client would. */
import { randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { MetadataTokens } from '@gatehouse/cell-db/instance-facts-store';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import type { Transport } from '@gatehouse/rpc/transport';
import type { App } from '@gatehouse/runtime/app';
import type { Clock } from '@gatehouse/runtime/clock';
import { systemClock } from '@gatehouse/runtime/clock';
import { createLogger } from '@gatehouse/runtime/logger';
import { createMetrics } from '@gatehouse/runtime/metrics';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { startMetadata } from './app.module.ts';
import { metadataConfig } from './config.ts';
import type { MetadataConfig } from './config.ts';
import { sign } from './signature.ts';

export const SECRET = 'first-secret';
export const NEXT_SECRET = 'second-secret';
export const PROJECT = 'p-demo';

export type Headers = Readonly<Record<string, string | string[]>>;

export interface Heard {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface Question {
  readonly headers?: Headers;
  readonly method?: string;
  readonly body?: string | Buffer;
}

export interface TestMetadata {
  readonly app: App;
  readonly transport: Transport;
  ask(path: string, question?: Question): Promise<Heard>;
  /** Sends these bytes as they are; resolves with all that came when the service ends the connection, or when `until` is in it. */
  send(bytes: string | Buffer, until?: string): Promise<string>;
  /** Sends these bytes and leaves at once. */
  leave(bytes: string): Promise<void>;
  /** Everything logged so far. */
  logged(): string;
  /** What /metrics shows under a name, without labels. */
  gauge(name: string): Promise<number>;
  /** How many requests were answered, by whatever status, by the route of that name. */
  answered(route: string): Promise<number>;
}

export interface TestCell {
  readonly cellDb: CellDb;
  readonly databaseUrl: string;
  /** A new instance of PROJECT; its uuid. */
  addInstance(wanted?: { readonly metadataTokens?: MetadataTokens; readonly fixed?: readonly string[] }): Promise<string>;
  /** Another service over the same database. */
  start(settings?: Partial<MetadataConfig>, clock?: Clock): Promise<TestMetadata>;
  stop(): Promise<void>;
}

/** What a proxy sends for an instance. */
export function proof(instanceUuid: string, more: Headers = {}): Headers {
  return { 'X-Instance-ID': instanceUuid, 'X-Instance-ID-Signature': sign(SECRET, instanceUuid), 'X-Tenant-ID': PROJECT, ...more };
}

export async function startTestCell(): Promise<TestCell> {
  const postgresql = await startPostgresql();
  const databaseUrl = await postgresql.createDatabase();
  const cellDb = await openCellDb({ url: databaseUrl });
  await cellDb.migrate();
  const apps: App[] = [];
  return {
    cellDb,
    databaseUrl,
    async addInstance({ metadataTokens, fixed = [] } = {}) {
      const uuid = randomUUID();
      const now = new Date();
      const place = { projectId: PROJECT, userId: 'u-demo', host: 'h', availabilityZone: 'nova', vmState: 'active', taskState: null };
      await cellDb.instances.create({ ...place, uuid, displayName: 'a', hostname: 'a', keyName: null, keyData: null, userData: null, metadata: {}, createdAt: now });
      if (metadataTokens !== undefined) await cellDb.instances.update(uuid, { metadataTokens }, now);
      if (fixed.length > 0) await cellDb.transaction((stores) => stores.instanceNetworks.save(uuid, { data: null, fixed, floating: [] }, now));
      return uuid;
    },
    async start(settings = {}, clock = systemClock) {
      const lines: string[] = [];
      const destination = { write: (line: string) => lines.push(line) } as unknown as NodeJS.WritableStream;
      const log = createLogger({ service: 'test', level: 'trace', destination });
      const config = { ...metadataConfig.parse({ metadataPort: '0' }), metadataSecrets: [SECRET, NEXT_SECRET], ...settings };
      const transport = createMemoryTransport();
      const metrics = createMetrics('test');
      const app = await startMetadata({ config, transport, cellDb, log, metrics, clock });
      apps.push(app);
      const url = new URL(app.addresses[0]?.url ?? '');
      return {
        app,
        transport,
        ask: (path, question) => ask(url, path, question),
        send: (bytes, until) => send(url, bytes, until),
        leave: (bytes) => leave(url, bytes),
        logged: () => lines.join(''),
        answered: async (route) => {
          const { values } = await metrics.histogram({ name: 'http_request_seconds', help: '' }).get();
          return values.filter(({ metricName, labels }) => metricName?.endsWith('_count') === true && labels['route'] === route).reduce((sum, { value }) => sum + value, 0);
        },
        gauge: async (name) => (await metrics.gauge({ name, help: '' }).get()).values[0]?.value ?? 0,
      };
    },
    async stop() {
      for (const app of apps) await app.drain();
      await cellDb.close();
      await postgresql.stop();
    },
  };
}

function ask({ hostname, port }: URL, path: string, { headers = {}, method = 'GET', body }: Question = {}): Promise<Heard> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ hostname, port, path, method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

function send({ hostname, port }: URL, bytes: string | Buffer, until?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = '';
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
      if (until !== undefined && heard.includes(until)) socket.destroy();
    });
    socket.on('error', (error) => (heard === '' ? reject(error) : resolve(heard)));
    socket.on('close', () => resolve(heard));
  });
}

function leave({ hostname, port }: URL, bytes: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes, () => socket.resetAndDestroy()));
    socket.on('error', reject).on('close', () => resolve());
  });
}
