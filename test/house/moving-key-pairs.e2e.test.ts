import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgresql } from '../servers/postgresql.ts';
import type { Postgresql } from '../servers/postgresql.ts';
import { startRabbitmq } from '../servers/rabbitmq.ts';
import type { Rabbitmq } from '../servers/rabbitmq.ts';
import { buildBundles } from './five-processes.ts';
import type { GuestTraffic } from './guest-traffic.ts';
import type { KeyPairTraffic } from './key-pair-traffic.ts';
import { move, startMove, tableOf } from './move-command.ts';
import { countOf, expectedSetAside, faultsOfMove } from './moved-key-pairs.ts';
import { startMovingHouse } from './moving-house.ts';
import type { MovingHouse, ServingHouse } from './moving-house.ts';
import { serverLoop } from './server-traffic.ts';
import { TrafficRecord } from './traffic-record.ts';

/** Over two cells; a fifth as many instances. A whole deployment's is 1000000. */
const ROWS = Number(process.env['GATEHOUSE_TEST_MOVE_ROWS'] ?? 20_000);
const BAD = 4;
const KILLS = 6;
const PAUSE_MS = 40;
const GUEST_LOOPS = 4;

describe(`the move of ${ROWS} key pairs and the keys of ${ROWS / 5} instances from two cells, beside live traffic`, function () {
  this.timeout(300_000 + ROWS / 5);
  // What came after a failure would say nothing.
  this.bail(true);
  let rabbitmq: Rabbitmq;
  let postgresql: Postgresql;
  let house: MovingHouse;
  let serving: ServingHouse;
  let users: KeyPairTraffic;
  let guests: GuestTraffic;
  const record = new TrafficRecord(PAUSE_MS);

  before(async () => {
    [rabbitmq, postgresql] = await Promise.all([startRabbitmq(), startPostgresql(), buildBundles()]);
    house = await startMovingHouse(postgresql, { rows: ROWS, instances: ROWS / 5, bad: BAD });
    serving = await house.serve(rabbitmq.url);
    ({ users, guests } = await serving.trafficOf(record));
    record.label('moving');
    record.start([...users.loops(), ...guests.loops(GUEST_LOOPS), serverLoop(serving, users, guests)]);
  });

  after(async () => {
    await record.stop();
    await house?.stop();
    await rabbitmq?.stop();
    await postgresql?.stop();
  });

  /** Rows that are still to be moved, set aside or not. */
  async function left(): Promise<number> {
    const { cells } = house.deployment;
    const counts = await Promise.all(cells.flatMap((cell) => [countOf(cell, 'key_pairs WHERE deleted = 0'), countOf(cell, 'instances i LEFT JOIN instance_extra e ON e.instance_uuid = i.uuid WHERE i.deleted_at IS NULL AND e.keypairs IS NULL')]));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  const badRows = (): number => expectedSetAside(house.deployment).keyPairs + expectedSetAside(house.deployment).instances;
  const noFailures = (): void => assert.deepEqual(record.failures, []);

  it('is told by a dry run with every row that would be set aside, and nothing is written', async () => {
    const { stdout, stderr } = await move(house.command, ['--dry-run']);
    const { rows } = await house.deployment.cells[0].query<{ moved: number }>('SELECT count(*)::integer AS moved FROM instance_extra WHERE set_aside IS NOT NULL OR updated_at IS NOT NULL');
    assert.equal(rows[0]?.moved, 0, stdout + stderr);
    for (const cell of house.deployment.cells) {
      assert.equal(await countOf(cell, 'key_pairs WHERE set_aside IS NOT NULL'), 0);
      assert.ok((await countOf(cell, "instance_extra e JOIN seeded.instances p ON p.uuid = e.instance_uuid WHERE p.kind = 'lost' AND e.keypairs IS NULL")) === BAD);
    }
    noFailures();
  });

  it('goes in as many steps as one likes: exit 1 says that there is more', async () => {
    const before = await left();
    const end = await move(house.command, ['--max-count', '300']);
    assert.equal(end.code, 1, end.stdout + end.stderr);
    const completed = tableOf(end).reduce((sum, line) => sum + line.completed, 0);
    assert.ok(completed > 0 && completed <= 300, end.stdout);
    // Users delete meanwhile.
    assert.ok((await left()) <= before - completed, end.stdout);
    noFailures();
  });

  /** Each batch of the command takes its time, so that also a machine which stands still for a moment does not find everything moved. */
  async function dawdle(isSo: boolean): Promise<void> {
    for (const cell of house.deployment.cells) {
      if (!isSo) await cell.query('DROP TRIGGER dawdle ON key_pairs');
      else {
        await cell.query('CREATE FUNCTION seeded.dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.04); RETURN NULL; END $$');
        await cell.query('CREATE TRIGGER dawdle BEFORE UPDATE ON key_pairs FOR EACH STATEMENT EXECUTE FUNCTION seeded.dawdle()');
      }
    }
  }

  it(`goes on where it was after each of ${KILLS} kills`, async () => {
    await dawdle(true);
    for (let kill = 0; kill < KILLS; kill += 1) {
      const before = await left();
      const run = startMove(house.command);
      let isOver = false;
      const over = run.ended.then(() => (isOver = true));
      while (!isOver && (await left()) > before - 200) await sleep(10);
      await Promise.race([over, sleep(randomInt(0, ROWS / 200))]);
      await run.kill();
      noFailures();
    }
    await dawdle(false);
    assert.ok((await left()) > badRows(), 'everything had moved before the last kill: more rows, or fewer kills');
  });

  it('is done by two at once, to the end, and both say that some rows are set aside', async () => {
    const ends = await Promise.all([move(house.command), move(house.command)]);
    for (const { code, stdout, stderr } of ends) assert.equal(code, 2, stdout + stderr);
    noFailures();
  });

  it('has then lost nothing, doubled nothing, brought nothing back, and refused nobody a read', async () => {
    await record.stop();
    noFailures();
    for (const [what, times] of Object.entries(users.done)) assert.ok(times > 0, `no ${what}`);
    assert.ok(guests.reads > 0);
    await users.checkAll();
    await guests.checkAll();
    assert.deepEqual(await faultsOfMove(house.deployment, users.changes()), []);
  });

  it('tells of every row that it set aside why, at every further run', async () => {
    const { code, stdout, stderr } = await move(house.command);
    assert.equal(code, 2, stdout + stderr);
    assert.ok(tableOf({ code, stdout, stderr, seconds: 0 }).every(({ completed }) => completed === 0), stdout);
    assert.equal(await left(), badRows());
  });

  it('ends with 0 once these are mended and tried again', async () => {
    for (const cell of house.deployment.cells) {
      await cell.query("UPDATE instances SET key_data = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC5/C1oWRCMrHmqwpgfl7jhJuhCHRhFQrvQd6FXg5+Sw mended' WHERE key_name LIKE 'lost-%'");
      await cell.query('UPDATE key_pairs SET deleted = id, deleted_at = now() WHERE deleted = 0 AND user_id IS NOT NULL');
      await cell.query("UPDATE key_pairs SET user_id = 'found' WHERE deleted = 0");
    }
    const end = await move(house.command, ['--retry-set-aside']);
    assert.equal(end.code, 0, end.stdout + end.stderr);
    assert.equal(await left(), 0);
    assert.equal((await move(house.command)).code, 0);
    assert.equal(await countOf(house.deployment.api, "key_pairs WHERE user_id = 'found'"), 2 * BAD);
  });
});
