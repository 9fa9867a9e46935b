// PostgreSQL for tests: an own cluster on a free loopback port, with durability off because nobody keeps
// its data. With GATEHOUSE_TEST_POSTGRESQL_URL set (the runner does), the cluster it names is used instead,
// and only the databases made here are dropped at the end.
import { existsSync, readdirSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import pg from 'pg';
import { keepDatabase } from './evidence.ts';
import { freePort } from './free-port.ts';
import { makeTempFolder, removeTempFolder, runCommand, startServer, unprivilegedUser } from './server-process.ts';

export interface Postgresql {
  /** The administrator's URL, of database `postgres`. */
  readonly url: string;
  /** Makes an empty database (a random name unless given) and returns its URL. */
  createDatabase(name?: string): Promise<string>;
  /** Drops the databases made here; stops the server if it is an own one. */
  stop(): Promise<void>;
}

export interface OwnPostgresql extends Postgresql {
  /** Stops with the connections cut ("fast") and starts again on the same port and data. */
  restart(): Promise<void>;
  /** SIGKILL; start() brings it back on the same port and data. */
  kill(): Promise<void>;
  start(): Promise<void>;
}

/** Of one that was killed. */
const STARTS_MAX = 20;
/** What a server that is to start again gets to end in order: one that is cut off keeps its port and memory for a while. */
const HALT_MS_MAX = 30_000;
/** What one gets whose data nobody needs any more. */
const END_MS_MAX = 5_000;

/** Uses the run's server when there is one, otherwise starts an own one. */
export async function startPostgresql(): Promise<Postgresql> {
  const shared = process.env['GATEHOUSE_TEST_POSTGRESQL_URL'];
  return shared ? databasesOf(shared, async () => {}) : startOwnPostgresql();
}

/** Starts a server for one suite alone: for suites that restart it. */
export async function startOwnPostgresql(): Promise<OwnPostgresql> {
  const user = unprivilegedUser('postgres');
  const folder = makeTempFolder('postgresql', user);
  const data = join(folder, 'data');
  const bin = binaries();
  // The C locale sorts by bytes and exists everywhere.
  await runCommand(
    join(bin, 'initdb'),
    ['--pgdata', data, '--username=gatehouse', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync'],
    { user, cwd: folder },
  );
  const port = await freePort();
  const url = `postgresql://gatehouse@127.0.0.1:${port}/postgres`;
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    `port=${port}`,
    // For machines that lose their power; commits are left synchronous, for what was confirmed outlives a server that is killed.
    'fsync=off',
    'full_page_writes=off',
    'max_connections=200',
    'shared_buffers=32MB',
    'autovacuum=off',
  ];
  const start = () =>
    startServer({
      name: 'postgresql',
      command: join(bin, 'postgres'),
      args: ['-D', data, ...settings.flatMap((setting) => ['-c', setting])],
      user,
      cwd: folder,
      isReady: () => answers(url),
    });
  let server = await start();
  const databases = databasesOf(url, async () => {
    await halt(END_MS_MAX);
    removeTempFolder(folder);
  });
  // SIGINT is "fast shutdown": SIGTERM would wait for clients that a failed test left connected.
  const halt = async (timeoutMs: number): Promise<void> => {
    try {
      process.kill(server.pid, 'SIGINT');
    } catch {
      // already gone
    }
    await server.stop(timeoutMs);
  };
  return {
    ...databases,
    async restart() {
      await halt(HALT_MS_MAX);
      server = await start();
    },
    kill: () => server.kill(),
    async start() {
      // Until the last of the killed one's processes has noticed, the new one finds their shared memory in use.
      for (let attempt = 1; ; attempt += 1) {
        try {
          server = await start();
          return;
        } catch (error) {
          if (attempt === STARTS_MAX) throw error;
          await new Promise((resolve) => setTimeout(resolve, 500));
        }
      }
    },
  };
}

function databasesOf(url: string, release: () => Promise<void>): Postgresql {
  const made: string[] = [];
  return {
    url,
    async createDatabase(name = `test_${randomBytes(6).toString('hex')}`) {
      await query(url, `CREATE DATABASE "${name}" TEMPLATE template0`);
      made.push(name);
      const address = new URL(url);
      address.pathname = `/${name}`;
      return address.href;
    },
    async stop() {
      for (const name of made.splice(0)) {
        await keepDatabase(Object.assign(new URL(url), { pathname: `/${name}` }).href);
        await query(url, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`).catch(() => {});
      }
      await release();
    },
  };
}

async function query(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  // A server that stops closes idle connections with an error event.
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    await query(url, 'SELECT 1');
    return true;
  } catch {
    return false;
  }
}

function binaries(): string {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).filter((name) => existsSync(join(root, name, 'bin/postgres'))) : [];
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  if (newest === undefined) throw new Error('PostgreSQL is not installed: apt-get install postgresql');
  return join(root, newest, 'bin');
}
