// The migrations over real databases. Nova's functional tests of the same stand here under their names (nova/tests/functional/db/test_keypair.py
// and nova/tests/unit/objects/test_instance.py as of Newton), then what differs on purpose (docs/upgrading.md).
import assert from 'node:assert/strict';
import { runFor } from '../../../test/servers/running-time.ts';
import { addInstance, addLegacy, fingerprint, gatehouse, sshKey, startDatabases } from './test-cells.ts';
import type { TestDatabases } from './test-cells.ts';

const START_MS = 120_000;
const WAIT_MS_MAX = 30_000;

function counts(printed: string, name: string): readonly number[] {
  const row = new RegExp(`^\\| ${name} +\\| +(\\d+) +\\| +(\\d+) +\\|$`, 'm').exec(printed);
  return row === null ? [] : [Number(row[1]), Number(row[2])];
}

function objects(stored: unknown): readonly Record<string, unknown>[] {
  const list = JSON.parse(String(stored)) as { readonly 'nova_object.data': { readonly objects: readonly { readonly 'nova_object.data': Record<string, unknown> }[] } };
  return list['nova_object.data'].objects.map((each) => each['nova_object.data']);
}

describe('online data migrations of one cell', function () {
  this.timeout(START_MS);
  let all: TestDatabases;
  before(async () => {
    all = await startDatabases(1);
  });
  afterEach(async () => {
    await all.api.query('DELETE FROM key_pairs');
    await all.cells[0]?.query('DELETE FROM key_pairs');
    await all.cells[0]?.query('DELETE FROM instances');
  });
  after(() => all.stop());
  const cell = () => all.cells[0] as TestDatabases['cells'][number];

  describe('as Nova tests them', () => {
    it('test_migrate_keypairs: (2, 2), (1, 1), (0, 0)', async () => {
      for (const number of [1, 2, 3]) await addLegacy(cell(), { name: `key${number}`, publicKey: sshKey(number) });
      const passes = [];
      for (let pass = 0; pass < 3; pass += 1) {
        const { printed, code } = await all.gatehouse('--max-count', '2');
        passes.push([...counts(printed, 'migrate_keypairs_to_api_db'), code]);
      }
      assert.deepEqual(passes, [[2, 2, 1], [1, 1, 1], [0, 0, 0]]);
      assert.equal((await all.api.query('SELECT 1 FROM key_pairs')).length, 3);
      assert.equal((await cell().query('SELECT 1 FROM key_pairs WHERE deleted = 0')).length, 0);
    });

    it('test_migrate_keypairs_skips_existing: (1, 1), then (0, 0)', async () => {
      await all.api.query(`INSERT INTO key_pairs (user_id, name, fingerprint, public_key, type, created_at) VALUES ('alice', 'key1', 'theirs', $1, 'ssh', now())`, [sshKey(1)]);
      await addLegacy(cell(), { name: 'key1', publicKey: sshKey(1) });
      assert.deepEqual(counts((await all.gatehouse()).printed, 'migrate_keypairs_to_api_db'), [1, 1]);
      assert.deepEqual(counts((await all.gatehouse()).printed, 'migrate_keypairs_to_api_db'), [0, 0]);
      assert.deepEqual(await all.api.query('SELECT fingerprint FROM key_pairs'), [{ fingerprint: 'theirs' }]);
    });

    it('test_migrate_instance_keypairs: with key, done already, deleted; a missing key is set aside where Nova stored an empty list', async () => {
      await addLegacy(cell(), { name: 'key1', publicKey: sshKey(1) });
      const done = await addInstance(cell(), { keyName: 'key1', keypairs: '{"done": "before"}' });
      const named = await addInstance(cell(), { keyName: 'key1', keypairs: null });
      const missing = await addInstance(cell(), { keyName: 'gone', keypairs: null });
      const deleted = await addInstance(cell(), { keyName: 'key1', keypairs: null, deleted: true });
      const { printed, code } = await all.gatehouse();
      assert.deepEqual(counts(printed, 'migrate_instance_keypairs'), [2, 1]);
      assert.equal(code, 2);
      const rows = new Map((await cell().query('SELECT instance_uuid, keypairs, set_aside FROM instance_extra')).map((row) => [row['instance_uuid'], row]));
      assert.equal(rows.get(done)?.['keypairs'], '{"done": "before"}');
      assert.equal(objects(rows.get(named)?.['keypairs'])[0]?.['public_key'], sshKey(1));
      assert.deepEqual([rows.get(missing)?.['keypairs'], rows.get(deleted)?.['keypairs']], [null, null]);
      assert.match(String(rows.get(missing)?.['set_aside']), /no key_data, and its user has no key pair/);
      assert.equal(rows.get(deleted)?.['set_aside'], null);
    });

    it('prints what Nova printed of seven key pairs and four instances, and zeros after that', async () => {
      for (const number of [1, 2, 3, 4, 5, 6, 7]) await addLegacy(cell(), { name: `key${number}`, publicKey: sshKey(number) });
      await all.api.query(`INSERT INTO key_pairs (user_id, name, fingerprint, public_key, type, created_at) VALUES ('alice', 'key1', 'f', $1, 'ssh', now())`, [sshKey(1)]);
      for (const keyName of ['key1', 'key2', 'gone', null]) await addInstance(cell(), { keyName, keyData: keyName === null ? null : sshKey(9), keypairs: null });
      const table = (instances: number, keyPairs: number): string => `\
+----------------------------+--------------+-----------+
|         Migration          | Total Needed | Completed |
+----------------------------+--------------+-----------+
| migrate_instance_keypairs  |      ${instances}       |     ${instances}     |
| migrate_keypairs_to_api_db |      ${keyPairs}       |     ${keyPairs}     |
+----------------------------+--------------+-----------+
`;
      assert.deepEqual(await all.gatehouse(), {
        printed: `Running batches of 50 until complete\n4 rows matched query migrate_instance_keypairs, 4 migrated\n7 rows matched query migrate_keypairs_to_api_db, 7 migrated\n${table(4, 7)}`,
        code: 0,
      });
      assert.deepEqual(await all.gatehouse(), { printed: `Running batches of 50 until complete\n${table(0, 0)}`, code: 0 });
    });

    it('--max-count 3 of the same: 1, 1, 1, 1, 0', async () => {
      for (const number of [1, 2, 3, 4, 5, 6, 7]) await addLegacy(cell(), { name: `key${number}`, publicKey: sshKey(number) });
      for (const keyName of ['key1', 'key2', 'key3', null]) await addInstance(cell(), { keyName, keypairs: null });
      const seen = [];
      for (let pass = 0; pass < 5; pass += 1) {
        const { printed, code } = await all.gatehouse('--max-count', '3');
        seen.push([code, counts(printed, 'migrate_instance_keypairs'), counts(printed, 'migrate_keypairs_to_api_db')]);
      }
      assert.deepEqual(seen, [[1, [3, 3], []], [1, [1, 1], [2, 2]], [1, [0, 0], [3, 3]], [1, [0, 0], [2, 2]], [0, [0, 0], [0, 0]]]);
    });
  });

  describe('otherwise than Nova', () => {
    it('test_migrate_keypairs_bails_on_unmigrated_instances does not hold: an instance that cannot be migrated blocks no key pair', async () => {
      await addInstance(cell(), { keyName: 'gone', keypairs: null });
      await addLegacy(cell(), { name: 'key1' });
      assert.deepEqual(counts((await all.gatehouse()).printed, 'migrate_keypairs_to_api_db'), [1, 1]);
    });

    it('keeps ids and moments, makes missing fingerprints, and new ids begin above', async () => {
      await addLegacy(cell(), { id: 4_711, name: 'old', fingerprint: null, createdAt: '2016-05-06 07:08:09.123' });
      await addLegacy(cell(), { id: 4_712, name: 'never', createdAt: null });
      assert.equal((await all.gatehouse()).code, 0);
      const [old, never] = await all.api.query('SELECT id, fingerprint, created_at::text AS at FROM key_pairs ORDER BY id');
      assert.deepEqual(old, { id: 4_711, fingerprint: fingerprint(sshKey(1)), at: '2016-05-06 07:08:09.123' });
      assert.match(String(never?.['at']), /^20/);
      const [next] = await all.api.query("SELECT nextval('key_pairs_id_seq')::integer AS id");
      assert.ok(Number(next?.['id']) > 4_712);
      const [left] = await cell().query('SELECT deleted, deleted_at, set_aside FROM key_pairs WHERE id = 4711');
      assert.equal(left?.['deleted'], 4_711);
      assert.ok(left?.['deleted_at'] instanceof Date);
    });

    it('sets rows aside one by one, moves all others, and takes the mended ones when it is asked to', async () => {
      for (let number = 1; number <= 120; number += 1) await addLegacy(cell(), { name: `key${number}`, publicKey: sshKey(number) });
      await addLegacy(cell(), { id: 901, name: 'orphan', userId: null });
      await addLegacy(cell(), { id: 902, name: 'empty', publicKey: null });
      await addLegacy(cell(), { id: 903, name: 'huge', publicKey: `ssh-rsa ${'A'.repeat(100_000)}` });
      await addLegacy(cell(), { id: 904, name: 'odd', type: 'gpg' });
      await addLegacy(cell(), { id: 905, name: 'timeless', createdAt: 'infinity' });
      await addLegacy(cell(), { id: 906, name: 'unread', publicKey: 'nothing', fingerprint: null });
      await addLegacy(cell(), { id: 907, name: 'mine\u001b[2J', userId: '' });
      const first = await all.gatehouse();
      assert.deepEqual([counts(first.printed, 'migrate_keypairs_to_api_db'), first.code], [[127, 120], 2]);
      assert.match(first.printed, /7 rows could not move and are set aside/);
      assert.match(first.printed, /\| key_pairs \| 901 \| NULL +\| orphan +\| it has no user +\|/);
      assert.match(first.printed, /\| 903 .*at most 98304 are accepted/);
      assert.match(first.printed, /mine\\u001b\[2J/);
      const second = await all.gatehouse();
      assert.deepEqual([counts(second.printed, 'migrate_keypairs_to_api_db'), second.code], [[0, 0], 2]);
      await cell().query("UPDATE key_pairs SET user_id = 'bob' WHERE id = 901");
      const third = await all.gatehouse('--retry-set-aside');
      assert.deepEqual([counts(third.printed, 'migrate_keypairs_to_api_db'), third.code], [[7, 1], 2]);
      assert.deepEqual(await all.api.query('SELECT user_id FROM key_pairs WHERE id = 901'), [{ user_id: 'bob' }]);
    });

    it('one row that the API database refuses spoils only itself', async () => {
      for (let number = 1; number <= 7; number += 1) await addLegacy(cell(), { id: number, name: `key${number}` });
      await all.api.query("ALTER TABLE key_pairs ADD CONSTRAINT no_five CHECK (name <> 'key5')");
      try {
        const { printed, code } = await all.gatehouse();
        assert.deepEqual([counts(printed, 'migrate_keypairs_to_api_db'), code], [[7, 6], 2]);
        assert.match(printed, /key5 \| the API database does not take its values/);
      } finally {
        await all.api.query('ALTER TABLE key_pairs DROP CONSTRAINT no_five');
      }
    });

    it('goes on with no row of a cell that has let go of them meanwhile: what its users delete by then stays deleted', async () => {
      for (let number = 1; number <= 7; number += 1) await addLegacy(cell(), { id: number, name: `key${number}`, publicKey: sshKey(number) });
      await all.api.query("ALTER TABLE key_pairs ADD CONSTRAINT no_five CHECK (name <> 'key5')");
      // The batch waits for this one, and is refused and halved after that.
      const first = await startHolder(all.api.url, "INSERT INTO key_pairs (user_id, name, fingerprint, public_key, type, created_at) VALUES ('alice', 'key1', 'f', 'p', 'ssh', now())");
      try {
        const run = all.gatehouse();
        const waiting = () => all.api.query("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'");
        await until(async () => (await waiting()).length > 0, 'the batch waits for the name that somebody holds');
        await cell().query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
        await cell().query("UPDATE key_pairs SET deleted = id WHERE name = 'key2'");
        await first.release('ROLLBACK');
        assert.equal((await run).code, 2);
        assert.deepEqual(await all.api.query('SELECT name FROM key_pairs'), []);
      } finally {
        await all.api.query('ALTER TABLE key_pairs DROP CONSTRAINT no_five');
      }
      assert.deepEqual(counts((await all.gatehouse()).printed, 'migrate_keypairs_to_api_db'), [6, 6]);
    });

    it('a duplicate with other material is told with both fingerprints, and users go on seeing the newer one', async () => {
      await all.api.query(`INSERT INTO key_pairs (user_id, name, fingerprint, public_key, type, created_at) VALUES ('alice', 'key', $1, $2, 'ssh', now())`, [fingerprint(sshKey(2)), sshKey(2)]);
      await addLegacy(cell(), { name: 'key', publicKey: sshKey(1) });
      const { printed, code } = await all.gatehouse();
      assert.equal(code, 2);
      assert.ok(printed.includes(`fingerprint ${fingerprint(sshKey(2))}; this row's is ${fingerprint(sshKey(1))}`));
      assert.deepEqual(await all.api.query('SELECT public_key FROM key_pairs'), [{ public_key: sshKey(2) }]);
      assert.equal((await cell().query('SELECT 1 FROM key_pairs WHERE deleted = 0')).length, 1);
    });

    it("an instance gets the key it was started with, not what its user has under that name by now, and its generation grows", async () => {
      await all.api.query(`INSERT INTO key_pairs (user_id, name, fingerprint, public_key, type, created_at) VALUES ('alice', 'key', 'new', $1, 'ssh', now())`, [sshKey(2)]);
      await addLegacy(cell(), { id: 77, name: 'same', publicKey: sshKey(3), fingerprint: 'told' });
      const remade = await addInstance(cell(), { keyName: 'key', keyData: sshKey(1) });
      const same = await addInstance(cell(), { keyName: 'same', keyData: `${sshKey(3)} another comment` });
      const none = await addInstance(cell(), {});
      assert.equal((await all.gatehouse()).code, 0);
      const stored = async (uuid: string) => (await cell().query('SELECT e.keypairs, i.generation FROM instance_extra e JOIN instances i ON i.uuid = e.instance_uuid WHERE i.uuid = $1', [uuid]))[0];
      const own = { name: 'key', user_id: 'alice', public_key: sshKey(1), fingerprint: fingerprint(sshKey(1)), type: 'ssh', created_at: null, updated_at: null, deleted_at: null, deleted: false };
      assert.deepEqual(objects((await stored(remade))?.['keypairs']), [own]);
      assert.equal((await stored(remade))?.['generation'], 1);
      const [kept] = objects((await stored(same))?.['keypairs']);
      assert.deepEqual([kept?.['id'], kept?.['fingerprint'], kept?.['created_at'], kept?.['public_key']], [77, 'told', '2016-05-06T07:08:09Z', `${sshKey(3)} another comment`]);
      assert.equal(
        (await stored(none))?.['keypairs'],
        '{"nova_object.name": "KeyPairList", "nova_object.namespace": "nova", "nova_object.version": "1.3", "nova_object.data": {"objects": []}, "nova_object.changes": ["objects"]}',
      );
      assert.equal((await stored(none))?.['generation'], 0);
    });

    it('--dry-run writes nothing and tells every row that would be set aside', async () => {
      for (let number = 1; number <= 60; number += 1) await addLegacy(cell(), { name: `key${number}`, publicKey: sshKey(number) });
      await addLegacy(cell(), { name: 'orphan', userId: null });
      await addInstance(cell(), { keyName: 'gone' });
      const before = await cell().query('SELECT * FROM key_pairs ORDER BY id');
      const { printed, code } = await all.gatehouse('--dry-run');
      assert.equal(code, 1);
      assert.deepEqual(counts(printed.replace('Would Be Completed', 'Completed'), 'migrate_keypairs_to_api_db'), [61, 60]);
      assert.match(printed, /orphan +\| it has no user/);
      assert.match(printed, /gone +\| it has no key_data/);
      assert.deepEqual(await cell().query('SELECT * FROM key_pairs ORDER BY id'), before);
      assert.deepEqual([await all.api.query('SELECT 1 FROM key_pairs'), await cell().query('SELECT 1 FROM instance_extra')], [[], []]);
    });

    it('waits in the end for a row that somebody holds', async () => {
      await addLegacy(cell(), { name: 'held' });
      await addLegacy(cell(), { name: 'free' });
      const holder = await startHolder(cell().url);
      const run = all.gatehouse();
      const moved = () => all.api.query('SELECT name FROM key_pairs');
      await until(async () => (await moved()).length > 0, 'what nobody holds is moved');
      await runFor(500);
      assert.deepEqual(await moved(), [{ name: 'free' }]);
      await holder.release();
      assert.deepEqual(counts((await run).printed, 'migrate_keypairs_to_api_db'), [2, 2]);
    });

    it('two runs at once share the work, and nothing is done twice', async () => {
      await cell().query(`INSERT INTO key_pairs (user_id, name, fingerprint, public_key, type, created_at) SELECT 'user' || g % 7, 'key' || g, 'f', 'ssh-rsa AAAA' || g, 'ssh', now() FROM generate_series(1, 1500) g`);
      await cell().query(`INSERT INTO instances (uuid, project_id, user_id, key_name, key_data, created_at) SELECT gen_random_uuid(), 'p', 'user', 'key', 'ssh-rsa AAAA' || g, now() FROM generate_series(1, 500) g`);
      const runs = await Promise.all([all.gatehouse(), all.gatehouse()]);
      assert.deepEqual(runs.map(({ code }) => code), [0, 0]);
      for (const [name, total] of [['migrate_instance_keypairs', 500], ['migrate_keypairs_to_api_db', 1_500]] as const) {
        assert.equal(runs.reduce((sum, { printed }) => sum + (counts(printed, name)[1] ?? 0), 0), total, name);
      }
      assert.deepEqual(await all.api.query('SELECT count(*)::integer AS n FROM key_pairs'), [{ n: 1_500 }]);
      assert.deepEqual(await cell().query('SELECT max(generation) AS most, min(generation) AS least FROM instances'), [{ most: 1, least: 1 }]);
    });

    it('tells what became of it to machines', async () => {
      await addLegacy(cell(), { id: 5, name: 'orphan', userId: null });
      const { printed, code } = await all.gatehouse('--json');
      const { set_aside: setAside, cells, ...rest } = JSON.parse(printed) as Record<string, unknown[]>;
      assert.equal(code, 2);
      assert.deepEqual(rest, {
        dry_run: false, exit_code: 2, interrupted: false, errors: [], set_aside_total: 1,
        migrations: [{ name: 'migrate_instance_keypairs', total_needed: 0, completed: 0, set_aside: 0 }, { name: 'migrate_keypairs_to_api_db', total_needed: 1, completed: 0, set_aside: 1 }],
      });
      assert.equal(cells?.length, 2);
      const [row] = setAside as Record<string, unknown>[];
      assert.deepEqual([row?.['table'], row?.['id'], row?.['user'], row?.['reason']], ['key_pairs', '5', null, 'it has no user']);
    });
  });
});

describe('online data migrations of several cells', function () {
  this.timeout(START_MS);
  let all: TestDatabases;
  before(async () => {
    all = await startDatabases(2);
  });
  after(() => all.stop());

  it('share a limit', async () => {
    for (const [index, cell] of all.cells.entries()) {
      for (let number = 1; number <= 10; number += 1) await addLegacy(cell, { name: `cell${index}-${number}`, publicKey: sshKey(number) });
    }
    assert.deepEqual(counts((await all.gatehouse('--max-count', '7')).printed, 'migrate_keypairs_to_api_db'), [7, 7]);
    assert.deepEqual(await all.api.query('SELECT count(*)::integer AS n FROM key_pairs'), [{ n: 7 }]);
  });

  it('a cell that does not answer is told of, the others go on, and the exit is 2', async () => {
    const away = 'postgresql://nobody:secret@127.0.0.1:1/away';
    const { printed, code } = await gatehouse(all.api.url, [away, ...all.cells.map(({ url }) => url)], []);
    assert.equal(code, 2);
    assert.match(printed, /^Error attempting to run migrate_keypairs_to_api_db in 127\.0\.0\.1:1\/away: the database cannot be reached$/m);
    assert.match(printed, /\| +127\.0\.0\.1:1\/away +\| migrate_keypairs_to_api_db \| +0 +\| +0 +\| +0 +\| the database cannot be reached \|/);
    assert.doesNotMatch(printed, /secret|nobody/);
    assert.deepEqual(await all.api.query('SELECT count(*)::integer AS n FROM key_pairs'), [{ n: 20 }]);
  });

  it('two cells that have different keys under one name: one moves, and --dry-run says beforehand which', async () => {
    for (const [index, cell] of all.cells.entries()) await addLegacy(cell, { name: 'twice', publicKey: sshKey(100 + index) });
    assert.match((await all.gatehouse('--dry-run')).printed, new RegExp(`twice +\\| the API database has another key .*${fingerprint(sshKey(100))}; this row's is ${fingerprint(sshKey(101))}`));
    const { printed, code } = await all.gatehouse();
    assert.deepEqual([counts(printed, 'migrate_keypairs_to_api_db'), code], [[2, 1], 2]);
  });

  it('says which database it is that has not been migrated to this release, or does not let it write', async () => {
    const [cell] = all.cells;
    assert.ok(cell !== undefined);
    const reader = (url: string) => url.replace('//gatehouse@', '//reader@');
    // Users are the whole server's, and a run before this one may have made it.
    await cell.query("DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    for (const { query } of [all.api, cell]) await query('GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader');
    await addLegacy(cell, { name: 'kept' });
    assert.match((await gatehouse(all.api.url, [reader(cell.url)], [])).printed, /^Error .* run migrate_keypairs_to_api_db in [^ ]+: our user may not do this in the database/m);
    assert.match((await gatehouse(reader(all.api.url), [cell.url], [])).printed, /^Error .* run migrate_keypairs_to_api_db in [^ ]+: the API database [^ ]+: our user may not do this in the database/m);
    await cell.query('ALTER TABLE key_pairs RENAME set_aside TO later');
    try {
      const { printed, code } = await gatehouse(all.api.url, [cell.url], []);
      assert.equal(code, 2);
      assert.match(printed, /^Error .* run migrate_keypairs_to_api_db in [^ ]+: the database has not been migrated to this release yet$/m);
    } finally {
      await cell.query('ALTER TABLE key_pairs RENAME later TO set_aside');
    }
    assert.equal((await cell.query("SELECT 1 FROM key_pairs WHERE deleted = 0 AND name = 'kept'")).length, 1);
  });

  it('the API database away: all is told, nothing is lost', async () => {
    await addLegacy(all.cells[0] as TestDatabases['cells'][number], { name: 'waiting' });
    const { printed, code } = await gatehouse('postgresql://nobody:secret@127.0.0.1:1/api', all.cells.map(({ url }) => url), []);
    assert.equal(code, 2);
    assert.match(printed, /Error attempting to run migrate_keypairs_to_api_db in .*: the API database 127\.0\.0\.1:1\/api: the database cannot be reached/);
    assert.equal((await all.cells[0]?.query("SELECT 1 FROM key_pairs WHERE deleted = 0 AND name = 'waiting'"))?.length, 1);
  });
});

async function until(check: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + WAIT_MS_MAX;
  while (!(await check())) {
    assert.ok(Date.now() < deadline, `not so within ${WAIT_MS_MAX} ms: ${what}`);
    await runFor(50);
  }
}

/** Somebody else's transaction, on the row `held` unless told otherwise. */
async function startHolder(url: string, statement = "UPDATE key_pairs SET updated_at = now() WHERE name = 'held'"): Promise<{ release(how?: 'COMMIT' | 'ROLLBACK'): Promise<void> }> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('BEGIN');
  await client.query(statement);
  return {
    async release(how = 'COMMIT') {
      await client.query(how);
      await client.end();
    },
  };
}
