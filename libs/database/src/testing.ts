/** Both kinds of database, empty, for suites that hold on each of them. */
import { startOwnPostgresql, startPostgresql } from '../../../test/servers/postgresql.ts';
import type { DatabaseSource } from './database.ts';
import { openEmbeddedPostgresql } from './embedded-postgresql.ts';
import type { EmbeddedPostgresql } from './embedded-postgresql.ts';

export interface TestServer {
  /** Of a new, empty database on a server; of the one embedded database of this process. */
  source(): Promise<DatabaseSource>;
  stop(): Promise<void>;
}

export interface TestServerOptions {
  /** On a server without other suites, whose transactions would be seen. */
  readonly alone?: boolean;
}

/** Making a cluster takes seconds, so suites share one and keep apart by their own uuids and names. */
let shared: Promise<EmbeddedPostgresql> | undefined;

export const TEST_DATABASES: readonly { readonly name: string; readonly start: (options?: TestServerOptions) => Promise<TestServer> }[] = [
  {
    name: 'PostgreSQL',
    start: async ({ alone = false } = {}) => {
      const server = await (alone ? startOwnPostgresql() : startPostgresql());
      return { source: async () => ({ url: await server.createDatabase() }), stop: () => server.stop() };
    },
  },
  {
    name: 'embedded PostgreSQL',
    start: async () => {
      shared ??= openShared();
      const embedded = await shared;
      return { source: async () => ({ embedded }), stop: async () => {} };
    },
  },
];

async function openShared(): Promise<EmbeddedPostgresql> {
  const embedded = await openEmbeddedPostgresql('memory://');
  // The runner lets go of this process after its last file; no suite knows that it is the last one.
  process.once('disconnect', () => void embedded.close());
  return embedded;
}

/** Initdb on a busy machine. */
export const START_TIMEOUT_MS = 60_000;
