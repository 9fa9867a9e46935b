// The command as a process, over real databases: killed, interrupted, and asked for what it cannot do.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { addInstance, addLegacy, endOf, sshKey, startDatabases, startGatehouse } from './test-cells.ts';
import type { TestDatabases } from './test-cells.ts';

const START_MS = 60_000;
const ROWS = 3_000;
const INSTANCES = 600;
const KILLS = 4;
const DONE_MIGRATIONS = 'online-data-migrations';

describe('the gatehouse command', function () {
  this.timeout(START_MS * 4);
  let all: TestDatabases;
  before(async () => {
    all = await startDatabases(2);
  });
  after(() => all.stop());

  async function fill(): Promise<void> {
    await all.api.query('DELETE FROM key_pairs');
    for (const [index, cell] of all.cells.entries()) {
      await cell.query('DELETE FROM instances');
      await cell.query('DELETE FROM key_pairs');
      await cell.query(
        `INSERT INTO key_pairs (id, user_id, name, fingerprint, public_key, type, created_at)
         SELECT g, 'user' || g % 50 || '-' || $1, 'key' || g, 'f' || g, 'ssh-rsa AAAA' || g, 'ssh', '2016-05-06' FROM generate_series(1, $2::integer) g`,
        [String(index), ROWS],
      );
      await cell.query(
        `INSERT INTO instances (uuid, project_id, user_id, key_name, key_data, created_at)
         SELECT gen_random_uuid(), 'p', 'user' || g % 50 || '-' || $1, 'key' || g, 'ssh-rsa AAAA' || g, now() FROM generate_series(1, $2::integer) g`,
        [String(index), INSTANCES],
      );
    }
  }

  /** Every row is in one place or, for a moment, in both; none is in neither. */
  async function everyKeyPair(): Promise<number> {
    const moved = await all.api.query('SELECT user_id, name FROM key_pairs');
    const left = await Promise.all(all.cells.map((cell) => cell.query('SELECT user_id, name FROM key_pairs WHERE deleted = 0')));
    return new Set([...moved, ...left.flat()].map((row) => JSON.stringify([row['user_id'], row['name']]))).size;
  }

  it('is killed at any moment and loses and doubles nothing', async () => {
    await fill();
    let unfinished = 0;
    for (let kill = 0; kill < KILLS; kill += 1) {
      const child = startGatehouse(all, 'db', DONE_MIGRATIONS);
      const end = endOf(child);
      // In the middle of its work, wherever that is, each time a little later.
      await new Promise<void>((resolve) => child.stdout?.once('data', () => setTimeout(resolve, 40 * kill)));
      child.kill('SIGKILL');
      if ((await end).code === null) unfinished += 1;
      assert.equal(await everyKeyPair(), 2 * ROWS);
    }
    assert.ok(unfinished > 0, 'every run had ended before it was killed');
    const { code, stdout } = await endOf(startGatehouse(all, 'db', DONE_MIGRATIONS));
    assert.equal(code, 0, stdout);
    assert.deepEqual(
      await all.api.query("SELECT count(*)::integer AS rows, count(DISTINCT (user_id, name))::integer AS names, bool_and(fingerprint = 'f' || id AND created_at = '2016-05-06') AS same FROM key_pairs"),
      [{ rows: 2 * ROWS, names: 2 * ROWS, same: true }],
    );
    for (const cell of all.cells) {
      assert.deepEqual(await cell.query('SELECT count(*)::integer AS n FROM key_pairs WHERE deleted = 0'), [{ n: 0 }]);
      assert.deepEqual(
        await cell.query("SELECT count(*)::integer AS n, min(generation) AS least, max(generation) AS most FROM instances i JOIN instance_extra e ON e.instance_uuid = i.uuid WHERE e.keypairs LIKE '%\"' || i.key_data || '\"%'"),
        [{ n: INSTANCES, least: 1, most: 1 }],
      );
    }
  });

  it('ends what is under way at SIGINT, prints the table and exits with 1', async () => {
    await fill();
    // It comes no further than its first key pairs until it has heard of the signal.
    await all.api.query('BEGIN');
    await all.api.query('LOCK TABLE key_pairs IN SHARE MODE');
    const child = startGatehouse(all, 'db', DONE_MIGRATIONS);
    const end = endOf(child);
    await new Promise<void>((resolve) => child.stdout?.once('data', () => resolve()));
    child.kill('SIGINT');
    await new Promise<void>((resolve) => child.stderr?.on('data', (chunk: Buffer) => chunk.includes('ends after the batches') && resolve()));
    await all.api.query('COMMIT');
    const { code, stdout, stderr } = await end;
    assert.equal(code, 1, stderr);
    assert.match(stdout, /\| migrate_instance_keypairs +\|/);
    const [left] = await all.cells[0]?.query('SELECT count(*)::integer AS n FROM key_pairs WHERE deleted = 0') ?? [];
    assert.ok(Number(left?.['n']) > 0, 'it had ended before');
    assert.equal(await everyKeyPair(), 2 * ROWS);
  });

  it('works while users make and delete key pairs, and what they delete stays deleted', async () => {
    await fill();
    const run = endOf(startGatehouse(all, 'db', DONE_MIGRATIONS));
    const deleted: string[] = [];
    for (let number = ROWS; number > ROWS - 200; number -= 1) {
      const [user, name] = [`user${number % 50}-0`, `key${number}`];
      // As the api does: the cell first, then the API database.
      await all.cells[0]?.query('UPDATE key_pairs SET deleted = id WHERE user_id = $1 AND name = $2 AND deleted = 0', [user, name]);
      await all.api.query('DELETE FROM key_pairs WHERE user_id = $1 AND name = $2', [user, name]);
      deleted.push(name);
    }
    assert.equal((await run).code, 0);
    assert.deepEqual(await all.api.query("SELECT name FROM key_pairs WHERE user_id LIKE '%-0' AND name = ANY($1::text[])", [deleted]), []);
    assert.equal(await everyKeyPair(), 2 * ROWS - 200);
  });

  it('says in one line what is missing or unknown, and never shows a stack', async () => {
    const run = (words: readonly string[], env: NodeJS.ProcessEnv) => endOf(spawn(process.execPath, ['--import', 'tsx', 'apps/cli/src/main.ts', ...words], { env: { PATH: process.env['PATH'], ...env } }));
    const url = 'postgresql://nobody:secret@127.0.0.1:1/none';
    for (const [words, env, code, expected] of [
      [['db', DONE_MIGRATIONS, '--max-count', '-2'], {}, 127, /^Must supply a positive value for max_number\n$/],
      [['db', DONE_MIGRATIONS], {}, 2, /^gatehouse: GATEHOUSE_API_DATABASE_URL is not set: .*\n$/],
      [['db', DONE_MIGRATIONS], { GATEHOUSE_API_DATABASE_URL: url }, 2, /^gatehouse: GATEHOUSE_CELL_DATABASE_URLS is not set: .*\n$/],
      [['db', DONE_MIGRATIONS], { GATEHOUSE_API_DATABASE_URL: url, GATEHOUSE_CELL_DATABASE_URLS: `${url},mysql://x:secret@y/z` }, 2, /^gatehouse: GATEHOUSE_CELL_DATABASE_URLS is wrong .*\n$/],
      [['db', DONE_MIGRATIONS], { GATEHOUSE_API_DATABASE_URL: url, GATEHOUSE_CELL_DATABASE_URLS: `${url},${url}` }, 2, /^gatehouse: GATEHOUSE_CELL_DATABASE_URLS names 127\.0\.0\.1:1\/none twice: .*\n$/],
    ] as const) {
      const { stdout, stderr, code: ended } = await run(words, env);
      assert.match(stdout + stderr, expected);
      assert.equal(ended, code);
      assert.doesNotMatch(stdout + stderr, /secret[^ ]|at .*\.ts/);
    }
  });

  it('keeps an instance and a key pair that are there already as they are', async () => {
    const cell = all.cells[0] as TestDatabases['cells'][number];
    await addLegacy(cell, { id: 1_000_000, name: 'späte', publicKey: sshKey(5) });
    const uuid = await addInstance(cell, { keyName: 'späte', keyData: sshKey(5) });
    assert.equal((await endOf(startGatehouse(all, 'db', DONE_MIGRATIONS))).code, 0);
    const read = () => cell.query('SELECT keypairs, updated_at, xmin::text FROM instance_extra WHERE instance_uuid = $1', [uuid]);
    const before = await read();
    assert.match(String(before[0]?.['keypairs']), /"name": "sp\\u00e4te"/);
    assert.equal((await endOf(startGatehouse(all, 'db', DONE_MIGRATIONS))).code, 0);
    assert.deepEqual(await read(), before);
  });
});
