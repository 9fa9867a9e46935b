/**
 * consoleauth by itself, as its callers see it: the real application on a database of its own, reached over a real
 * transport, on a clock that a test moves. Nova's tests of tokens fix the time; these do the same.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { startConsoleAuth } from '@gatehouse/consoleauth/app.module';
import { consoleAuthConfig } from '@gatehouse/consoleauth/config';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import type { ConsoleConnection, ConsoleType } from '@gatehouse/objects/console-connection';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';
import { createClient } from '@gatehouse/rpc/client';
import type { Client } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import type { Transport } from '@gatehouse/rpc/transport';
import { noAudit } from '@gatehouse/runtime/audit';
import { createLogger } from '@gatehouse/runtime/logger';
import { TestClock } from '@gatehouse/runtime/test-clock';
import pg from 'pg';
import { startPostgresql } from '../servers/postgresql.ts';
import type { Postgresql } from '../servers/postgresql.ts';
import { runCommand } from '../servers/server-process.ts';

const PROXY = 'proxy-1';
export const START = new Date('2026-07-01T12:00:00.250Z');

/** An instance as a test places it. */
export interface Placed {
  readonly uuid: string;
  readonly host: string;
}

export interface Wish {
  readonly consoleType?: ConsoleType;
  /** The instance's ports of that type. */
  readonly ports?: readonly number[];
  readonly userId?: string;
  readonly options?: Readonly<Record<string, string>>;
}

export interface ConsoleAuthAlone {
  readonly client: Client<typeof consoleauth>;
  readonly clock: TestClock;
  readonly cellDb: CellDb;
  readonly postgresql: Postgresql;
  place(host?: string): Promise<Placed>;
  /** How many rows of its token there are, whatever the time is. */
  countStored(connection: Pick<ConsoleConnection, 'tokenHash'>): Promise<number>;
  /** Lets at least that time go by while the host's agent says that it lives, so that its rows are its own to sweep. */
  liveOn(host: string, milliseconds: number): Promise<void>;
  /** Everything that is stored, as text. */
  dump(): Promise<string>;
  /** As the instance's agent asks it. */
  authorize(instance: Placed, wish?: Wish): Promise<ConsoleConnection>;
  /** As a proxy asks it. */
  connect(token: string): Promise<ConsoleGrant>;
  /** Lets consoleauth's own rounds come until they have done something; at most five minutes of its clock go by. */
  awaitRounds(isDone: () => Promise<boolean>): Promise<void>;
  stop(): Promise<void>;
}

const REPORT_EVERY_MS = 20_000;
const ROUNDS_MAX = 10;
const ROUND_EVERY_MS = 30_001;
/** A round begins by the test's clock and takes its own time. */
const ROUND_TAKES_MS_MAX = 2_000;

export interface Means {
  /** Closed with the house. */
  readonly transport?: Transport;
  /** A house beside which this one stands, on a database of its own in the same server. */
  readonly beside?: ConsoleAuthAlone;
}

export async function startConsoleAuthAlone(settings: Readonly<Record<string, string>> = {}, means: Means = {}): Promise<ConsoleAuthAlone> {
  const { transport = createMemoryTransport(), beside } = means;
  const clock = new TestClock(START);
  const postgresql = beside?.postgresql ?? (await startPostgresql());
  const url = await postgresql.createDatabase();
  const cellDb = await openCellDb({ url });
  await cellDb.migrate();
  const sql = new pg.Pool({ connectionString: url, max: 1 });
  const log = createLogger({ service: 'consoleauth', level: 'error' });
  const config = consoleAuthConfig.parse(settings);
  const app = await startConsoleAuth({ config, server: 'consoleauth-1', transport, cellDb, audit: noAudit, log, clock });
  const client = createClient(consoleauth, transport);
  const report = (host: string): Promise<unknown> =>
    client.report({ binary: 'compute-agent', host, topic: 'compute', version: '1.1', endpoint: '127.0.0.1:5901' }, newContext());

  return {
    ...{ client, clock, cellDb, postgresql },
    async place(host = 'compute-1') {
      const uuid = randomUUID();
      await cellDb.instances.create({
        ...{ uuid, projectId: 'blue', userId: 'alice', displayName: 'web-1', hostname: 'web-1', host, vmState: 'active', taskState: null },
        ...{ keyName: null, keyData: null, userData: null, metadata: {}, createdAt: clock.now() },
      });
      return { uuid, host };
    },
    authorize({ uuid: instanceUuid, host }, { consoleType = 'novnc', ports = [0], userId = 'alice', options = { transport: 'attach' } } = {}) {
      const none = { tokenHash: null, accessUrl: null, expires: null };
      const connections = ports.map((port) => ({ instanceUuid, host, port, consoleType, options, ...none }));
      return client.authorize({ connections, access: 'full' }, newContext({ userId, projectId: 'blue' }));
    },
    async connect(token) {
      for (const host of ['compute-1', 'compute-2']) await report(host);
      return client.connect({ sessionId: randomUUID(), token, proxy: PROXY, clientAddress: '192.0.2.7' }, newContext());
    },
    async countStored({ tokenHash }) {
      const { rowCount } = await sql.query('SELECT FROM console_tokens WHERE token_hash = $1', [tokenHash]);
      return rowCount ?? 0;
    },
    async liveOn(host, milliseconds) {
      for (let passed = 0; passed < milliseconds; passed += REPORT_EVERY_MS) {
        await report(host);
        await clock.advance(REPORT_EVERY_MS);
      }
      await report(host);
    },
    dump: () => runCommand('pg_dump', ['--inserts', url]),
    async awaitRounds(isDone) {
      for (let round = 0; round < ROUNDS_MAX; round += 1) {
        await clock.advance(ROUND_EVERY_MS);
        for (const until = Date.now() + ROUND_TAKES_MS_MAX; Date.now() < until; await sleep(20)) if (await isDone()) return;
      }
      assert.fail('consoleauth did not do it by itself');
    },
    async stop() {
      await app.drain();
      await sql.end();
      await transport.close();
      await cellDb.close();
      if (beside === undefined) await postgresql.stop();
    },
  };
}

/** The clear token, from the only place where it stands. */
export function tokenOf({ accessUrl }: Pick<ConsoleConnection, 'accessUrl'>): string {
  return /token=([\w-]{43})$/.exec(accessUrl ?? '')?.[1] ?? assert.fail('no token in the access URL');
}

export function refused(code: ErrorCode, words: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof ServiceError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  };
}
