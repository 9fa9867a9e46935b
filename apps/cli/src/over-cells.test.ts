import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { BATCH_ROWS, LANES, NOTHING, PASS_BATCHES } from './migration.ts';
import type { Batch, CellMigration } from './migration.ts';
import { OverCells } from './over-cells.ts';

const full: Batch = { found: BATCH_ROWS, done: BATCH_ROWS, setAside: 0 };

function cellOf(batch: (limit: number) => Promise<Batch>, hasLanes = true): CellMigration {
  return { name: 'move', hasLanes, batch };
}

/** `rows` of them. */
function rowsOf(rows: number): CellMigration {
  let left = rows;
  return cellOf(async (limit) => {
    const found = Math.min(left, limit);
    left -= found;
    return { found, done: found, setAside: 0 };
  });
}

function over(cells: Readonly<Record<string, CellMigration>>, isUnlimited = true, signal = new AbortController().signal): OverCells {
  return new OverCells('move', new Map(Object.entries(cells)), { isUnlimited, signal, onBatch: () => {} });
}

async function linesOf(migration: OverCells, count = BATCH_ROWS): Promise<readonly number[]> {
  const lines: number[] = [];
  await migration.run(count, ({ found }) => lines.push(found));
  return lines.filter((found) => found > 0);
}

describe('a migration of several cells', () => {
  it('tells of a cell that fails once, however many of its batches do, and goes on without it', async () => {
    let calls = 0;
    const failing = cellOf(async () => {
      calls += 1;
      if (calls === 1) return full;
      await sleep(1);
      throw new Error('no');
    });
    const migration = over({ failing, working: rowsOf(120) });
    assert.deepEqual(await migration.run(BATCH_ROWS, () => {}), [{ cell: 'failing', message: 'no' }]);
    assert.deepEqual(await migration.run(BATCH_ROWS, () => {}), []);
    assert.equal(calls, 1 + LANES);
    assert.deepEqual(migration.progress.map(({ done, failure }) => [done, failure]), [[BATCH_ROWS, 'no'], [120, null]]);
  });

  it('begins nothing after it was interrupted, and ends what is under way', async () => {
    const stopping = new AbortController();
    let batches = 0;
    const endless = cellOf(async () => {
      batches += 1;
      if (batches === 2) stopping.abort();
      await sleep(1);
      return full;
    });
    const migration = over({ endless }, true, stopping.signal);
    await migration.run(BATCH_ROWS, () => {});
    assert.equal(batches, 2);
    assert.equal(migration.progress[0]?.done, 2 * BATCH_ROWS);
  });

  it('takes one batch where that is all there is, so that it is told of in one line', async () => {
    assert.deepEqual(await linesOf(over({ small: rowsOf(BATCH_ROWS - 1) })), [BATCH_ROWS - 1]);
  });

  it('lets no batch wait for another one before the pass ends', async () => {
    let begun = 0;
    let release: () => void = () => {};
    const allOthers = new Promise<void>((resolve) => (release = resolve));
    const cell = cellOf(async () => {
      begun += 1;
      if (begun === 1 + PASS_BATCHES) release();
      if (begun === 2) await allOthers;
      return full;
    });
    await over({ cell }).run(BATCH_ROWS, () => {});
    assert.equal(begun, 1 + PASS_BATCHES);
  });

  it('has never more of a cell under way than its lanes, or one where it has none', async () => {
    for (const [hasLanes, lanes] of [[true, LANES], [false, 1]] as const) {
      let [running, most] = [0, 0];
      const cell = cellOf(async () => {
        running += 1;
        most = Math.max(most, running);
        await sleep(0);
        running -= 1;
        return full;
      }, hasLanes);
      await over({ cell }).run(BATCH_ROWS, () => {});
      assert.equal(most, lanes);
    }
  });

  it('looks at no row more than a limit, over all cells, in one line', async () => {
    for (const limit of [1, 7, 130, 1_000]) {
      const migration = over({ one: rowsOf(300), two: rowsOf(20), none: cellOf(async () => NOTHING) }, false);
      assert.deepEqual(await linesOf(migration, limit), [Math.min(limit, 320)]);
    }
  });
});
