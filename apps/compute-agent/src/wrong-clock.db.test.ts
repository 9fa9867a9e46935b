/** An agent on a machine whose clock is wrong: what it writes of an instance must not look old, or its api would take a task for abandoned. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { makeTempFolder, removeTempFolder, startServer } from '../../../test/servers/server-process.ts';

const PRELOAD = fileURLToPath(new URL('../../../test/house/shift-clock.cjs', import.meta.url));
const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
const SHIFT_MS = 600_000;

describe('an agent whose clock is ten minutes', function () {
  this.timeout(120_000);
  let postgresql: Postgresql;
  let url: string;
  let cellDb: CellDb;
  const folder = makeTempFolder('wrong-clock');

  before(async () => {
    postgresql = await startPostgresql();
    url = await postgresql.createDatabase();
    cellDb = await openCellDb({ url });
    await cellDb.migrate();
  });
  after(async () => {
    await cellDb?.close();
    await postgresql?.stop();
    removeTempFolder(folder);
  });

  for (const [shiftMs, words] of [[-SHIFT_MS, 'behind'], [SHIFT_MS, 'ahead']] as const) {
    it(`${words} writes of its instances by the database's time`, async () => {
      const [uuid, host] = [randomUUID(), `host-${words}`];
      const what = { projectId: 'proj', userId: 'alice', displayName: 'x', hostname: 'x', keyName: null, keyData: null, userData: null, metadata: {} };
      const began = await cellDb.now();
      await cellDb.instances.create({ uuid, ...what, host, vmState: 'building', taskState: 'spawning', createdAt: began });
      const agent = await startServer({
        // It goes on with what was interrupted before it needs its broker.
        name: `agent-${words}`, command: process.execPath, args: ['--import', 'tsx', '--require', PRELOAD, MAIN], readyTimeoutMs: 60_000,
        env: {
          GATEHOUSE_TEST_CLOCK_SHIFT_MS: String(shiftMs), GATEHOUSE_TRANSPORT_URL: 'amqp://127.0.0.1:1', GATEHOUSE_CELL_DATABASE_URL: url,
          GATEHOUSE_HOST: host, GATEHOUSE_AGENT_LISTEN: '127.0.0.1:0', GATEHOUSE_OPS_PORT: '0', GATEHOUSE_DATA_DIR: folder,
        },
        isReady: async () => (await cellDb.instances.find(uuid))?.vmState === 'active',
      });
      try {
        const { updatedAt, launchedAt } = await cellDb.instances.get(uuid);
        const ended = await cellDb.now();
        for (const at of [updatedAt, launchedAt]) {
          assert.ok(at !== null && at.getTime() >= began.getTime() - 2_000 && at.getTime() <= ended.getTime() + 2_000, `${at?.toISOString()} is not between ${began.toISOString()} and ${ended.toISOString()}`);
        }
      } finally {
        await agent.kill();
      }
    });
  }
});
