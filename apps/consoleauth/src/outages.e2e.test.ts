// A broker and a database that are killed and come back, under two consoleauths: nobody loses a session to it.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { createAmqpTransport } from '@gatehouse/rpc/amqp-transport';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import type { Transport } from '@gatehouse/rpc/transport';
import type { App } from '@gatehouse/runtime/app';
import { noAudit } from '@gatehouse/runtime/audit';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { startOwnPostgresql } from '../../../test/servers/postgresql.ts';
import type { OwnPostgresql } from '../../../test/servers/postgresql.ts';
import { startOwnRabbitmq } from '../../../test/servers/rabbitmq.ts';
import type { OwnRabbitmq } from '../../../test/servers/rabbitmq.ts';
import { startConsoleAuth } from './app.module.ts';
import { consoleAuthConfig } from './config.ts';

const LEASE_MS = 10_000;
const AWAY_MS = 14_000;

describe('a lease through an outage', function () {
  this.timeout(300_000);
  let postgresql: OwnPostgresql;
  let broker: OwnRabbitmq;
  let db: CellDb;
  const closers: (() => Promise<unknown>)[] = [];
  const apps: App[] = [];

  before(async () => {
    [postgresql, broker] = await Promise.all([startOwnPostgresql(), startOwnRabbitmq()]);
    const url = await postgresql.createDatabase();
    db = await openDb(url);
    await db.migrate();
    const config = consoleAuthConfig.parse({ consoleLease: String(LEASE_MS / 1_000) });
    for (const server of ['consoleauth-1', 'consoleauth-2']) {
      const cellDb = await openDb(url);
      apps.push(await startConsoleAuth({ config, server, transport: connectTo(server), cellDb, audit: noAudit, log: silentLogger, clock: systemClock }));
    }
    // Until the grace of their own start is over.
    await pause(LEASE_MS + 1_000);
  });

  after(async () => {
    await Promise.all(apps.map((app) => app.drain()));
    for (const close of closers) await close();
    await Promise.all([broker?.stop(), postgresql?.stop()]);
  });

  async function openDb(url: string): Promise<CellDb> {
    const opened = await openCellDb({ url });
    closers.push(() => opened.close());
    return opened;
  }

  function connectTo(connectionName: string): Transport {
    const transport = createAmqpTransport({ url: broker.url, exchange: 'gatehouse', connectionName });
    closers.push(() => transport.close());
    return transport;
  }

  async function open(proxy: string): Promise<string> {
    const [id, now] = [randomUUID(), new Date()];
    await db.consoleSessionClaims.open({
      ...{ id, claim: id, connectionId: null, exclusive: false, instanceUuid: randomUUID(), host: 'compute-1', port: 0, consoleType: 'novnc', proxy },
      ...{ clientAddress: '192.0.2.1', userId: 'alice', projectId: 'blue', access: 'full', attachSecretHash: null, resumeHash: null },
      ...{ startedAt: now, leaseExpires: new Date(now.getTime() + LEASE_MS) },
    });
    return id;
  }

  /** A proxy that lives renews when it can; what it is told to end comes back. */
  function keepRenewing(id: string): { stop(): Promise<readonly string[]> } {
    const client = createClient(consoleauth, connectTo('proxy-1'));
    let isOver = false;
    const ends: string[] = [];
    const running = (async () => {
      while (!isOver) {
        const context = newContext({ timeoutMs: 3_000 });
        const reasons = await client.renew({ proxy: 'proxy-1', sessions: [{ id, bytesIn: 0, bytesOut: 0 }] }, context).catch(() => ({}));
        ends.push(...Object.values<string>(reasons));
        await pause(500);
      }
      return ends;
    })();
    return {
      async stop() {
        isOver = true;
        return running;
      },
    };
  }

  for (const [what, server] of [['broker', () => broker], ['database', () => postgresql]] as const) {
    it(`is not lost when the ${what} was away for longer, and is when its proxy has died meanwhile, one lease later`, async () => {
      const [kept, dead] = [await open('proxy-1'), await open('proxy-2')];
      const renewing = keepRenewing(kept);
      await pause(2_000);
      await server().kill();
      await pause(AWAY_MS);
      const returning = Date.now();
      await server().start();
      const until = Date.now() + 6 * LEASE_MS;
      let ended: Date | null = null;
      while (ended === null && Date.now() < until) {
        await pause(500);
        ended = (await db.consoleSessions.find(dead).catch(() => null))?.endedAt ?? null;
      }
      assert.ok(ended !== null, 'the session of the dead proxy ends');
      assert.ok(ended.getTime() >= returning + LEASE_MS, `it ended ${ended.getTime() - returning} ms after the ${what} came back`);
      // And the living one lives on, also when that grace is over.
      await pause(LEASE_MS + 2_000);
      assert.deepEqual(await renewing.stop(), []);
      assert.equal((await db.consoleSessions.get(kept)).endedAt, null);
    });
  }
});
