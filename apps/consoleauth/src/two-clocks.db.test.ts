// Two consoleauths on machines whose clocks differ by five minutes, over one database: its time counts (docs/adr/0009).
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import type { App } from '@gatehouse/runtime/app';
import { noAudit } from '@gatehouse/runtime/audit';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { SteeredClock } from '@gatehouse/runtime/steered-clock';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { startConsoleAuth } from './app.module.ts';
import { consoleAuthConfig } from './config.ts';
import { HOST, ports, refused } from './test-consoleauths.ts';

const OFF_MS = { ahead: 150_000, behind: -150_000 };
type Name = keyof typeof OFF_MS;
const LEASE_S = 6;
const TTL_S = 20;

describe('two consoleauths whose machines differ by five minutes', function () {
  this.timeout(120_000);
  let postgresql: Postgresql;
  const dbs: CellDb[] = [];
  const apps: App[] = [];
  const transport = createMemoryTransport();
  const client = createClient(consoleauth, transport);

  before(async () => {
    postgresql = await startPostgresql();
    const url = await postgresql.createDatabase();
    const config = consoleAuthConfig.parse({ consoleLease: String(LEASE_S), consoleTokenTtl: String(TTL_S) });
    for (const [server, offMs] of Object.entries(OFF_MS)) {
      const cellDb = await openCellDb({ url });
      dbs.push(cellDb);
      await cellDb.migrate();
      const machine = { ...systemClock, now: () => new Date(Date.now() + offMs) };
      const clock = new SteeredClock({ log: silentLogger, machine });
      await clock.look(() => cellDb.now());
      apps.push(await startConsoleAuth({ config, server, transport, cellDb, audit: noAudit, log: silentLogger, clock }));
    }
  });

  after(async () => {
    await Promise.all(apps.map((app) => app.drain()));
    await transport.close();
    await Promise.all(dbs.map((db) => db.close()));
    await postgresql?.stop();
  });

  const at = (server: Name) => ({ server });
  const report = (server: Name) => client.report({ binary: 'compute-agent', host: HOST, topic: 'compute', version: '1.1', endpoint: '127.0.0.1:5901' }, newContext(), at(server));
  const connect = (server: Name, token: string): Promise<ConsoleGrant> =>
    client.connect({ sessionId: randomUUID(), token, proxy: 'proxy-1', clientAddress: '192.0.2.7' }, newContext(), at(server));

  async function mint(server: Name): Promise<{ readonly token: string; readonly expires: Date }> {
    const uuid = randomUUID();
    await dbs[0]?.instances.create({
      ...{ uuid, projectId: 'blue', userId: 'alice', displayName: 'web-1', hostname: 'web-1', host: HOST, vmState: 'active', taskState: null },
      ...{ keyName: null, keyData: null, userData: null, metadata: {}, createdAt: new Date() },
    });
    const { accessUrl, expires } = await client.authorize({ connections: ports(uuid, 'serial'), access: 'full' }, newContext({ userId: 'alice', projectId: 'blue' }), at(server));
    return { token: /token=([\w-]{43})$/.exec(accessUrl ?? '')?.[1] ?? assert.fail('no token'), expires: expires ?? assert.fail('no expiry') };
  }

  for (const [here, there] of [['ahead', 'behind'], ['behind', 'ahead']] as const) {
    it(`agree on a lease and on a token's expiry that the one ${here} wrote`, async () => {
      await report(here);
      const { token, expires } = await mint(here);
      const written = Date.now();
      assert.ok(Math.abs(expires.getTime() - written - TTL_S * 1_000) < 10_000, 'by the time that is right');
      const grant = await connect(here, token);
      const { id } = grant.session;
      const isOpen = async () => (await client.showSession({ sessionId: id }, newContext(), at(there))).endedAt === null;

      // The other neither ends it nor lets a second client in while the lease holds: for two leases, renewed.
      let renewed = 0;
      for (let second = 0; second < 2 * LEASE_S; second += 1) {
        await pause(1_000);
        await report(second % 2 === 0 ? here : there);
        renewed = performance.now();
        assert.deepEqual(await client.renew({ proxy: 'proxy-1', sessions: [{ id, bytesIn: 0, bytesOut: 0 }] }, newContext(), at(second % 2 === 0 ? there : here)), {});
        // Long before the token expires, whose refusal would be another one.
        if (second === LEASE_S) await assert.rejects(connect(there, token), refused('PORT_IN_USE', /in use since/));
      }
      while (await isOpen()) await pause(200);
      const lasted = performance.now() - renewed;
      assert.ok(lasted > LEASE_S * 1_000 - 2_000, `ended ${Math.round(lasted)} ms after the last renewal`);

      while (Date.now() < expires.getTime() + 500) await pause(200);
      await report(there);
      await assert.rejects(connect(there, token), refused('UNAUTHENTICATED', /expired/));
      const fresh = await mint(here);
      await connect(there, fresh.token);
    });
  }
});
