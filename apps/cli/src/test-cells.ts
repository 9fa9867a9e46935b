/** Databases with legacy key pairs and unmigrated instances, and the command over them. */
import { createHash, randomUUID } from 'node:crypto';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { openApiDb } from '@gatehouse/api-db/api-db';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { readCommand } from './arguments.ts';
import { migrateDatabases } from './migrate-databases.ts';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../..');

export type Row = Readonly<Record<string, unknown>>;

export interface TestDatabase {
  readonly url: string;
  query(text: string, values?: readonly unknown[]): Promise<readonly Row[]>;
}

export interface TestDatabases {
  readonly api: TestDatabase;
  readonly cells: readonly TestDatabase[];
  /** In this process. */
  gatehouse(...words: readonly string[]): Promise<{ readonly printed: string; readonly code: number }>;
  stop(): Promise<void>;
}

export async function startDatabases(cellCount: number): Promise<TestDatabases> {
  const server = await startPostgresql();
  const clients: pg.Client[] = [];
  const open = async (migrate: (url: string) => Promise<unknown>): Promise<TestDatabase> => {
    const url = await server.createDatabase();
    await migrate(url);
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {});
    await client.connect();
    clients.push(client);
    // As the services see moments: without a zone, in UTC.
    await client.query("SET timezone = 'UTC'");
    return { url, query: async (text, values = []) => (await client.query<Row>(text, [...values])).rows };
  };
  const api = await open(async (url) => {
    const db = await openApiDb({ url });
    await db.migrate().finally(() => db.close());
  });
  const cells: TestDatabase[] = [];
  for (let index = 0; index < cellCount; index += 1) {
    cells.push(await open(async (url) => {
      const db = await openCellDb({ url });
      await db.migrate().finally(() => db.close());
    }));
  }
  return {
    api,
    cells,
    gatehouse: (...words) => gatehouse(api.url, cells.map(({ url }) => url), words),
    async stop() {
      await Promise.all(clients.map((client) => client.end()));
      await server.stop();
    },
  };
}

export async function gatehouse(apiDatabaseUrl: string, cellDatabaseUrls: readonly string[], words: readonly string[]): Promise<{ readonly printed: string; readonly code: number }> {
  const command = readCommand(['db', 'online-data-migrations', ...words]);
  if (command.kind !== 'online-data-migrations') throw new Error(`not a run: ${JSON.stringify(command)}`);
  const lines: string[] = [];
  const code = await migrateDatabases(command.options, () => ({ apiDatabaseUrl, cellDatabaseUrls, cellDatabaseUrl: null }), {
    signal: new AbortController().signal, clock: () => new Date(), print: (line) => lines.push(line), screen: null, isOneTerminal: false,
  });
  return { printed: lines.map((line) => `${line}\n`).join(''), code };
}

/** As a process. */
export function startGatehouse({ api, cells }: Pick<TestDatabases, 'api' | 'cells'>, ...words: readonly string[]): ChildProcess {
  const env = { ...process.env, GATEHOUSE_API_DATABASE_URL: api.url, GATEHOUSE_CELL_DATABASE_URLS: cells.map(({ url }) => url).join(',') };
  return spawn(process.execPath, ['--import', 'tsx', 'apps/cli/src/main.ts', ...words], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
}

export async function endOf(child: ChildProcess): Promise<{ readonly stdout: string; readonly stderr: string; readonly code: number | null }> {
  let [stdout, stderr] = ['', ''];
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { stdout, stderr, code };
}

/** A line as ssh writes it; one number, one key. */
export function sshKey(number: number): string {
  const name = Buffer.from('ssh-ed25519');
  const blob = Buffer.concat([Buffer.from([0, 0, 0, 11]), name, Buffer.from([0, 0, 0, 32]), createHash('sha256').update(String(number)).digest()]);
  return `ssh-ed25519 ${blob.toString('base64')} user@host`;
}

export function fingerprint(publicKey: string): string {
  const blob = Buffer.from(publicKey.split(' ')[1] ?? '', 'base64');
  return (createHash('md5').update(blob).digest('hex').match(/../g) ?? []).join(':');
}

export interface LegacyRow {
  readonly id?: number;
  readonly userId?: string | null;
  readonly name: string;
  readonly publicKey?: string | null;
  readonly fingerprint?: string | null;
  readonly type?: string;
  readonly createdAt?: string | null;
}

export async function addLegacy(cell: TestDatabase, row: LegacyRow): Promise<void> {
  const { id = null, userId = 'alice', publicKey = sshKey(1), type = 'ssh', createdAt = '2016-05-06 07:08:09.123' } = row;
  const shown = row.fingerprint === undefined ? fingerprint(publicKey ?? '') : row.fingerprint;
  await cell.query(
    `INSERT INTO key_pairs (id, user_id, name, fingerprint, public_key, type, created_at)
     VALUES (coalesce($1, nextval('key_pairs_id_seq')::integer), $2, $3, $4, $5, $6, $7)`,
    [id, userId, row.name, shown, publicKey, type, createdAt],
  );
}

export interface InstanceRow {
  readonly userId?: string;
  readonly keyName?: string | null;
  readonly keyData?: string | null;
  readonly deleted?: boolean;
  /** undefined: no row of instance_extra. */
  readonly keypairs?: string | null;
}

/** @returns its uuid */
export async function addInstance(cell: TestDatabase, { userId = 'alice', keyName = null, keyData = null, deleted = false, keypairs }: InstanceRow): Promise<string> {
  const uuid = randomUUID();
  await cell.query(
    `INSERT INTO instances (uuid, project_id, user_id, key_name, key_data, created_at, deleted_at) VALUES ($1, 'project', $2, $3, $4, now(), CASE WHEN $5 THEN now() END)`,
    [uuid, userId, keyName, keyData, deleted],
  );
  if (keypairs !== undefined) await cell.query('INSERT INTO instance_extra (instance_uuid, keypairs, created_at) VALUES ($1, $2, now())', [uuid, keypairs]);
  return uuid;
}
