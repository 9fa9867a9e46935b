// Nova's own tests of its driver (nova/tests/unit/cmd/test_manage.py) by their names, and what is ours beside them.
import assert from 'node:assert/strict';
import { NOTHING } from './migration.ts';
import type { Batch, Migration } from './migration.ts';
import { MIGRATE_INSTANCE_KEYPAIRS } from './migrate-instance-keypairs.ts';
import { MIGRATE_KEYPAIRS_TO_API_DB } from './migrate-keypairs-to-api-db.ts';
import { exitCodeOf, readMaxCount, runOnlineDataMigrations } from './online-data-migrations.ts';
import type { DriverResult } from './online-data-migrations.ts';
import { textReport } from './report.ts';

function fake(name: string, results: (count: number) => Partial<Batch>, counts: number[] = []): Migration {
  return {
    name,
    async run(count, ended) {
      counts.push(count);
      ended({ ...NOTHING, ...results(count) });
      return [];
    },
  };
}

function failing(name: string): Migration {
  return { name, run: () => Promise.reject(new Error('no')) };
}

function upTo(remaining: number): (count: number) => Partial<Batch> {
  let left = remaining;
  return (count) => {
    const found = left;
    const done = Math.min(found, count);
    left -= done;
    return { found, done };
  };
}

/** What the command prints, and its exit code. */
async function run(migrations: readonly Migration[], maxCount: number | null, signal = new AbortController().signal): Promise<{ readonly printed: string; readonly code: number; readonly result: DriverResult }> {
  const lines: string[] = [];
  const result = await runOnlineDataMigrations(migrations, { maxCount, signal, line: (text) => lines.push(text) });
  const code = exitCodeOf(result, maxCount !== null, 0);
  lines.push(textReport({ result, cells: [], setAside: { rows: [], total: 0 }, isDryRun: false, exitCode: code }));
  return { printed: `${lines.join('\n')}\n`, code, result };
}

describe("Nova's driver of online data migrations", () => {
  it('test_online_migrations: a limit is shared, and the output is the same to the letter', async () => {
    const counts: number[] = [];
    const { printed } = await run([fake('mock_mig_1', () => ({ found: 5, done: 4 }), counts), fake('mock_mig_2', () => ({ found: 6, done: 6 }), counts)], 10);
    assert.deepEqual(counts, [10, 6]);
    assert.equal(printed, `\
5 rows matched query mock_mig_1, 4 migrated
6 rows matched query mock_mig_2, 6 migrated
+------------+--------------+-----------+
| Migration  | Total Needed | Completed |
+------------+--------------+-----------+
| mock_mig_1 |      5       |     4     |
| mock_mig_2 |      6       |     6     |
+------------+--------------+-----------+
`);
  });

  it('test_online_migrations_no_max_count: batches of 50 until one does nothing', async () => {
    const [batches, counts]: [number[], number[]] = [[50, 40, 30, 0], []];
    const { printed } = await run([fake('fake_migration', () => ({ found: batches[0] ?? 0, done: batches.shift() ?? 0 }), counts)], null);
    assert.equal(printed, `\
Running batches of 50 until complete
50 rows matched query fake_migration, 50 migrated
40 rows matched query fake_migration, 40 migrated
30 rows matched query fake_migration, 30 migrated
+----------------+--------------+-----------+
|   Migration    | Total Needed | Completed |
+----------------+--------------+-----------+
| fake_migration |     120      |    120    |
+----------------+--------------+-----------+
`);
    assert.deepEqual(batches, []);
    assert.deepEqual(counts, [50, 50, 50, 50]);
  });

  it('test_online_migrations_error: 1 while another one does something, then 2; without a limit 2', async () => {
    const good = fake('good_migration', upTo(50));
    assert.equal((await run([failing('bad'), good], 50)).code, 1);
    assert.equal((await run([failing('bad'), good], 50)).code, 2);
    const { code, printed } = await run([failing('bad'), fake('good_migration', upTo(125))], null);
    assert.equal(code, 2);
    assert.match(printed, /^Error attempting to run bad: no\n125 rows/m);
    assert.match(printed, /\nSome migrations failed unexpectedly\. Check log for details\.\n$/);
  });

  it('test_online_migrations_bad_max: -2, a and 0 are no counts', () => {
    assert.deepEqual(['-2', 'a', '0', '', '1.5', '0x10'].map(readMaxCount), [null, null, null, null, null, null]);
    assert.deepEqual(['1', ' 7 ', '+5', '1_000'].map(readMaxCount), [1, 7, 5, 1000]);
  });

  it('test_online_migrations_no_max and _finished: 0 where nothing was to be done', async () => {
    assert.equal((await run([fake('mig', () => NOTHING)], null)).code, 0);
    assert.equal((await run([fake('mig', () => NOTHING)], 5)).code, 0);
  });

  it('test_online_migrations_not_finished: 1 where a limited run has done something', async () => {
    assert.equal((await run([fake('mig', () => ({ found: 10, done: 5 }))], 5)).code, 1);
  });

  it('test_online_migrations_unique: no two have one name', () => {
    assert.notEqual(MIGRATE_INSTANCE_KEYPAIRS, MIGRATE_KEYPAIRS_TO_API_DB);
  });

  it('stops at the limit, and later migrations are not in the table', async () => {
    const { printed } = await run([fake('first', () => ({ found: 3, done: 3 })), fake('second', () => ({ found: 1, done: 1 }))], 3);
    assert.doesNotMatch(printed, /second/);
  });
});

describe('rows that are set aside', () => {
  it('do not end a run with the rest unmoved', async () => {
    const batches = [{ found: 50, setAside: 50 }, { found: 50, done: 50 }, {}];
    const { printed } = await run([fake('mig', () => batches.shift() ?? {})], null);
    assert.match(printed, /\| {4}mig {4}\| {5}100 {6}\| {5}50 {4}\|/);
  });

  it('make the exit 2 once nothing else is left', async () => {
    const { result } = await run([fake('mig', () => NOTHING)], null);
    assert.equal(exitCodeOf(result, false, 1), 2);
    assert.equal(exitCodeOf(result, true, 1), 2);
  });
});

describe('a run that is interrupted', () => {
  it('ends after its pass, with 1', async () => {
    const stopping = new AbortController();
    const endless = fake('mig', () => {
      stopping.abort();
      return { found: 50, done: 50 };
    });
    const { code, printed } = await run([endless, fake('later', () => NOTHING)], null, stopping.signal);
    assert.equal(code, 1);
    assert.doesNotMatch(printed, /later/);
  });
});
