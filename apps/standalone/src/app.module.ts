// Every app in one process, over the memory transport and one embedded PostgreSQL that holds both databases.
// No Nest module of its own: each app brings its own, and this only gives them the same resources.

import { join } from 'node:path';
import { startApi } from '@gatehouse/api/app.module';
import { openApiDb, type ApiDb } from '@gatehouse/api-db/api-db';
import { openCellDb, type CellDb } from '@gatehouse/cell-db/cell-db';
import { startComputeAgent } from '@gatehouse/compute-agent/app.module';
import { startConsoleProxy } from '@gatehouse/console-proxy/app.module';
import { startConsoleAuth } from '@gatehouse/consoleauth/app.module';
import { openEmbeddedPostgresql } from '@gatehouse/database/embedded-postgresql';
import { startMetadata } from '@gatehouse/metadata/app.module';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { openAudit, type Audit } from '@gatehouse/runtime/audit';
import { composeApp, type App, type Resource } from '@gatehouse/runtime/app';
import type { Boot } from '@gatehouse/runtime/run-process';
import { SteeredClock } from '@gatehouse/runtime/steered-clock';
import { dataDirOf, localHost, type StandaloneConfig } from './config.ts';
import { keptSecret } from './kept-secret.ts';
import type { Terminal } from './terminal.ts';

interface Databases {
  readonly apiDb: ApiDb;
  readonly cellDb: CellDb;
  readonly resources: readonly Resource[];
}

/** For all parts together; main.ts cuts off what has not ended in 4.5 s. */
const PARTS_DRAIN_MS = 4_000;

/** Starts everything; what was opened is closed again when a part does not start. */
export async function startStandalone(boot: Boot<StandaloneConfig>, terminal: Terminal): Promise<App> {
  const { log } = boot;
  const resources: Resource[] = [];
  const apps: App[] = [];
  try {
    const clock = new SteeredClock({ log, machine: boot.clock });
    const audit = openAudit({ ...boot.config, dataDir: dataDirOf(boot.config) }, 'standalone', clock, log);
    resources.push({ name: 'audit', close: () => audit.close() });
    const { apiDb, cellDb, resources: opened } = await openDatabases(dataDirOf(boot.config), terminal);
    resources.push(...opened);
    const looks = clock.follow(() => cellDb.now());
    resources.push({ name: 'clock', close: () => looks.stop() });
    const transport = createMemoryTransport();
    resources.push({ name: 'transport', close: () => transport.close() });
    for (const start of starters({ ...boot, clock }, { transport, apiDb, cellDb, audit })) {
      boot.signal.throwIfAborted();
      apps.push(await start());
    }
    return composeApp('standalone', { apps, resources, log, drainTimeoutMs: PARTS_DRAIN_MS });
  } catch (error) {
    await composeApp('standalone', { apps, resources, log, drainTimeoutMs: PARTS_DRAIN_MS }).drain();
    throw error;
  }
}

interface Shared extends Pick<Databases, 'apiDb' | 'cellDb'> {
  readonly transport: ReturnType<typeof createMemoryTransport>;
  readonly audit: Audit;
}

// Whoever is asked starts before whoever asks; draining goes the other way.
function starters(boot: Boot<StandaloneConfig>, shared: Shared): readonly (() => Promise<App>)[] {
  const { metrics, clock } = boot;
  const config = settled(boot.config);
  const resourcesOf = (app: string) => ({ ...shared, config, metrics, clock, log: boot.log.child({ app }) });
  return [
    () => startConsoleAuth({ ...resourcesOf('consoleauth'), server: 'standalone' }),
    () => startComputeAgent(resourcesOf('compute-agent')),
    () => startConsoleProxy(resourcesOf('console-proxy')),
    () => startMetadata(resourcesOf('metadata')),
    () => startApi(resourcesOf('api')),
  ];
}

/** The configuration with what standalone decides by itself filled in. */
function settled(config: Boot<StandaloneConfig>['config']) {
  const { proxyBaseUrl, proxyTlsCert, metadataSecrets, bindAddress, proxyPort } = config;
  return {
    ...config,
    proxyBaseUrl: proxyBaseUrl ?? `http${proxyTlsCert === null ? '' : 's'}://${localHost(bindAddress)}:${proxyPort}`,
    metadataSecrets: metadataSecrets ?? [keptSecret(join(dataDirOf(config), 'metadata-secret'))],
  };
}

async function openDatabases(dataDir: string, terminal: Terminal): Promise<Databases> {
  const folder = join(dataDir, 'database');
  const embedded = await terminal.progress('opening the embedded database', () => openEmbeddedPostgresql(folder));
  const apiDb = await openApiDb({ embedded });
  const cellDb = await openCellDb({ embedded });
  await terminal.progress('bringing its tables up to date', async () => {
    await apiDb.migrate();
    await cellDb.migrate();
  });
  return {
    apiDb,
    cellDb,
    resources: [
      { name: 'embedded database', close: () => embedded.close() },
      { name: 'cell database', close: () => cellDb.close() },
      { name: 'api database', close: () => apiDb.close() },
    ],
  };
}
