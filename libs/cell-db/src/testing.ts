/** A migrated cell database of each kind, and rows to begin with, for the suites of the stores. */
import { randomUUID } from 'node:crypto';
import { after, before, describe } from 'mocha';
import { START_TIMEOUT_MS, TEST_DATABASES } from '@gatehouse/database/testing';
import type { TestServerOptions } from '@gatehouse/database/testing';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import { openCellDb } from './cell-db.ts';
import type { CellDb } from './cell-db.ts';
import type { NewSession } from './console-session-row.ts';
import type { NewToken } from './console-tokens-store.ts';
import type { NewInstance } from './instances-store.ts';

export const NOW = new Date('2026-03-01T12:00:00.123Z');

/** Moments around NOW. */
export function seconds(count: number): Date {
  return new Date(NOW.getTime() + count * 1_000);
}

/** The suite on PostgreSQL and on the embedded one; `db()` is for use inside tests and hooks. */
export function onEachCellDb(title: string, suite: (db: () => CellDb, kind: string) => void, options: TestServerOptions = {}): void {
  for (const kind of TEST_DATABASES) {
    describe(`${title} on ${kind.name}`, () => {
      let opened: CellDb | undefined;
      let stop = async (): Promise<void> => {};
      before(async function () {
        this.timeout(START_TIMEOUT_MS);
        const server = await kind.start(options);
        stop = server.stop;
        opened = await openCellDb(await server.source());
        await opened.migrate();
      });
      after(async () => {
        await opened?.close();
        await stop();
      });
      suite(() => {
        if (opened === undefined) throw new Error('the database is open only while tests run');
        return opened;
      }, kind.name);
    });
  }
}

export function newInstance(values: Partial<NewInstance> = {}): NewInstance {
  return {
    uuid: randomUUID(), projectId: 'project', userId: 'user', displayName: 'Ällo wörld', hostname: 'allo', host: 'host-1',
    vmState: 'building', taskState: 'spawning', keyName: null, keyData: null, userData: null,
    metadata: { colour: 'blue' }, createdAt: NOW, ...values,
  };
}

export function serialPort(instanceUuid: string, port: number, values: Partial<ConsoleConnection> = {}): ConsoleConnection {
  return {
    instanceUuid, host: 'host-1', port, consoleType: 'serial', tokenHash: null, accessUrl: null,
    options: { transport: 'attach' }, expires: null, ...values,
  };
}

export function newToken(instanceUuid: string, connectionId: number | null, values: Partial<NewToken> = {}): NewToken {
  return {
    tokenHash: randomUUID().replaceAll('-', '').repeat(2), connectionId, instanceUuid, consoleType: 'serial', host: 'host-1', port: 0,
    internalAccessPath: null, accessUrlBase: 'http://127.0.0.1:6080', access: 'full', singleUse: false,
    expires: seconds(600), userId: 'user', projectId: 'project', createdAt: NOW, ...values,
  };
}

export function newSession(instanceUuid: string, connectionId: number | null, values: Partial<NewSession> = {}): NewSession {
  return {
    id: randomUUID(), claim: null, connectionId, exclusive: true, instanceUuid, host: 'host-1', port: 0, consoleType: 'serial', proxy: 'proxy-1',
    clientAddress: '192.0.2.1', userId: 'user', projectId: 'project', access: 'full', attachSecretHash: null, resumeHash: null,
    startedAt: NOW, leaseExpires: seconds(15), ...values,
  };
}
