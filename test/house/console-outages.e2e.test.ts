/**
 * 200 consoles are open, and what the house stands on is away for longer than a lease: the broker, then the database. While
 * leases cannot be renewed consoles run on; when it is back none is ended by mistake, and new ones open.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { artifactPath } from '../servers/artifacts.ts';
import { CrowdedHouse } from './crowded-house.ts';

/** Short, so that an outage can outlast it. */
const LEASE_SECONDS = 10;
const OUTAGE_MS = 16_000;
/** Everything that would end by mistake has ended: a lease, and whoever sweeps. */
const AFTERWARDS_MS = 20_000;
const OPENS_AGAIN_MS = 60_000;
const LEAVERS = 20;
/** Until users hear that a socket is closed. */
const HEARD_MS = 10_000;
/** Seven processes and two servers, on a machine that others use too. */
const SETUP_MS_MAX = 240_000;

describe('200 open consoles, and the broker or the database is killed for longer than a lease', function () {
  this.timeout(180_000);
  // What came after a failure would say nothing.
  this.bail(true);
  let house: CrowdedHouse;

  before(async function () {
    this.timeout(SETUP_MS_MAX);
    house = await CrowdedHouse.start({ machines: 50, viewersAMachine: 3, env: { GATEHOUSE_CONSOLE_LEASE: String(LEASE_SECONDS) } });
    assert.deepEqual(await house.crowd.fill(), []);
    await house.crowd.settle(30_000);
  });

  after(async () => {
    if (house !== undefined) writeFileSync(artifactPath('console-outages.log'), house.logs);
    await house?.stop();
  });

  const outages = {
    'the broker': () => house.rabbitmq,
    'the database': () => house.postgresql,
  };

  for (const [what, server] of Object.entries(outages)) {
    it(`${what}: consoles run on, none is ended by mistake, and who left meanwhile is accounted for`, async () => {
      const before = new Set((await house.crowd.sessions()).filter(({ ended }) => ended).map(({ id }) => id));
      await server().kill();
      await sleep(OUTAGE_MS / 2);
      // Nobody can be told that these are over.
      for (const console of house.crowd.open.slice(0, LEAVERS)) console.leave();
      await sleep(OUTAGE_MS / 2);
      await house.crowd.shrinkTo(200 - LEAVERS, HEARD_MS);
      assert.deepEqual([house.crowd.open.length, await house.crowd.countSilent()], [200 - LEAVERS, 0]);
      await server().start();
      const backAt = Date.now();
      await house.crowd.fillAgainAndAgain(OPENS_AGAIN_MS);
      console.log(`      new consoles were open ${Date.now() - backAt} ms after ${what} was back`);
      await house.awaitReady();
      await sleep(AFTERWARDS_MS);
      await house.crowd.settle(30_000);
      const ended = (await house.crowd.sessions()).filter(({ id, ended: isOver }) => isOver && !before.has(id));
      assert.equal(house.crowd.open.length, 200, JSON.stringify([...house.crowd.told]));
      assert.ok(ended.length >= LEAVERS, `${ended.length} sessions have ended`);
    });
  }
});
