/** Two consoleauths over one PostgreSQL, each with a pool of its own, for the tests of what they decide together. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { compute } from '@gatehouse/contracts/compute';
import { consoleProxy } from '@gatehouse/contracts/console-proxy';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import type { ConsoleConnection, ConsoleType } from '@gatehouse/objects/console-connection';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';
import type { Access } from '@gatehouse/objects/console-session';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { serve } from '@gatehouse/rpc/server';
import { someHandlers } from '@gatehouse/rpc/some-handlers';
import type { App } from '@gatehouse/runtime/app';
import type { Audit, AuditEvent, AuditFacts } from '@gatehouse/runtime/audit';
import { createLogger } from '@gatehouse/runtime/logger';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { startConsoleAuth } from './app.module.ts';
import { consoleAuthConfig } from './config.ts';

export const HOST = 'compute-1';
export const PROXIES = ['proxy-1', 'proxy-2'] as const;

/** A check for assert.rejects. */
export function refused(code: ErrorCode, words: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof ServiceError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  };
}

export interface ConnectOptions {
  readonly token?: string;
  readonly proxy?: string;
  readonly claim?: string;
  readonly resumeGrant?: string | null;
  readonly consoleTypes?: readonly ConsoleType[];
  /** Which of the two consoleauths is asked. */
  readonly of?: number;
}

/** `settings`: as the environment has them, without the prefix and in the config's names. */
export async function startConsoleAuths(settings: Readonly<Record<string, string>> = {}) {
  const config = consoleAuthConfig.parse(settings);
  const postgresql = await startPostgresql();
  const url = await postgresql.createDatabase();
  const dbs = [await openCellDb({ url }), await openCellDb({ url })] as const;
  await dbs[0].migrate();
  const clock = new TestClock(new Date('2026-07-01T12:00:00Z'));
  const transport = createMemoryTransport();
  const log = createLogger({ service: 'test', level: 'silent' });
  const audited: { readonly event: AuditEvent; readonly facts: AuditFacts }[] = [];
  const audit: Audit = { write: (event, facts) => void audited.push({ event, facts }), check() {} };
  const apps: App[] = [];
  for (const [index, cellDb] of dbs.entries()) {
    apps.push(await startConsoleAuth({ config, server: `consoleauth-${index}`, transport, cellDb, audit, log, clock }));
  }

  const told: { readonly proxy: string; readonly reasons: Readonly<Record<string, string>> }[] = [];
  for (const proxy of PROXIES) {
    await serve(consoleProxy, transport, { server: proxy, handlers: { endSessions: ({ sessions }) => void told.push({ proxy, reasons: sessions }) } });
  }
  /** What hosts say of consoles that are dialled; a test sets it. */
  const host = { confirms: (_connection: ConsoleConnection): boolean => true };
  await serve(compute, transport, { server: HOST, handlers: someHandlers(compute, { confirmConsole: ({ connection }) => host.confirms(connection) }) });

  const client = createClient(consoleauth, transport);
  const server = (of: number) => ({ server: `consoleauth-${of % 2}` });
  const report = (binary = HOST) =>
    client.report({ binary: 'compute-agent', host: binary, topic: 'compute', version: '1.1', endpoint: '127.0.0.1:5901' }, newContext());
  await report();

  const bench = {
    ...{ url, clock, transport, dbs, db: dbs[0], client, host, told, audited, report, config },
    async makeInstance(values: { readonly host?: string } = {}): Promise<string> {
      const uuid = randomUUID();
      await dbs[0].instances.create({
        ...{ uuid, projectId: 'blue', userId: 'alice', displayName: 'web-1', hostname: 'web-1', host: HOST, vmState: 'active', taskState: null },
        ...{ keyName: null, keyData: null, userData: null, metadata: {}, createdAt: clock.now(), ...values },
      });
      return uuid;
    },
    /** An access URL's token; asked of the given consoleauth. */
    async mint(connections: readonly ConsoleConnection[], userId: string | null = 'alice', of = 0, access: Access = 'full'): Promise<{ readonly token: string; readonly port: number }> {
      const { accessUrl, port } = await client.authorize({ connections, access }, newContext({ userId, projectId: 'blue' }), server(of));
      return { token: /token=([\w-]{43})$/.exec(accessUrl ?? '')?.[1] ?? assert.fail('no token in the access URL'), port };
    },
    connect({ token = 'none', proxy = PROXIES[0], claim = randomUUID(), resumeGrant = null, consoleTypes, of = 0 }: ConnectOptions): Promise<ConsoleGrant> {
      const request = { sessionId: claim, token, proxy, clientAddress: '192.0.2.7', ...(consoleTypes ? { consoleTypes } : {}) };
      return client.connect({ ...request, ...(resumeGrant === null ? {} : { resumeGrant }) }, newContext(), server(of));
    },
    attach: (sessionId: string, attachSecret: string | null, ofHost = HOST) => client.attach({ sessionId, attachSecret: attachSecret ?? '', host: ofHost }, newContext()),
    renew: (proxy: string, id: string, claim?: string, bytesIn = 0) =>
      client.renew({ proxy, sessions: [{ id, bytesIn, bytesOut: 0, ...(claim === undefined ? {} : { claim }) }] }, newContext()),
    release: (proxy: string, id: string, claim?: string) =>
      client.release({ proxy, session: { id, bytesIn: 0, bytesOut: 0, ...(claim === undefined ? {} : { claim }) }, reason: 'client_closed' }, newContext()),
    revoke: (instanceUuid: string, reason = 'instance_deleted', of = 0) => client.revokeInstance({ instanceUuid, reason }, newContext(), server(of)),
    register: (instanceUuid: string, connections: readonly ConsoleConnection[], by = HOST, of = 0) =>
      client.register({ host: by, instanceUuid, connections }, newContext(), server(of)),
    async stop(): Promise<void> {
      await Promise.all(apps.map((app) => app.drain()));
      await transport.close();
      await Promise.all(dbs.map((db: CellDb) => db.close()));
      await postgresql.stop();
    },
  };
  return bench;
}

export type ConsoleAuths = Awaited<ReturnType<typeof startConsoleAuths>>;

/** The ports of an instance's consoles of one type. */
export function ports(instanceUuid: string, consoleType: ConsoleType, count = 1, host = HOST): ConsoleConnection[] {
  return Array.from({ length: count }, (_, port) => ({
    instanceUuid, host, port, consoleType, tokenHash: null, accessUrl: null, options: { transport: 'attach' }, expires: null,
  }));
}

/** One console that proxies dial. */
export function dialled(instanceUuid: string, port: number, values: Partial<ConsoleConnection> = {}): ConsoleConnection {
  return {
    ...{ instanceUuid, host: HOST, port, consoleType: 'novnc' as const, tokenHash: null, accessUrl: null, expires: null },
    ...{ options: { transport: 'tcp', address: '192.0.2.50' }, ...values },
  };
}
