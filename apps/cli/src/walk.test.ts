import assert from 'node:assert/strict';
import type { Batch } from './migration.ts';
import type { Step } from './walk.ts';
import { Walk } from './walk.ts';

const batchOf = (rows: readonly { readonly id: number }[]): Batch => ({ found: rows.length, done: rows.length, setAside: 0 });
const rowsFrom = (first: number, count: number): readonly { readonly id: number }[] => Array.from({ length: count }, (_, index) => ({ id: first + index }));

describe('the way through a table', () => {
  it('goes on behind rows that a batch has taken before that batch has ended', async () => {
    const walk = new Walk(false);
    let end: () => void = () => {};
    const first = walk.next(50, async ({ found }) => {
      found(rowsFrom(1, 50));
      await new Promise<void>((resolve) => (end = resolve));
      return batchOf(rowsFrom(1, 50));
    });
    let after = 0;
    await walk.next(50, async ({ page, found }) => {
      after = page.after;
      found(rowsFrom(51, 3));
      return batchOf(rowsFrom(51, 3));
    });
    assert.equal(after, 50);
    end();
    assert.equal((await first).found, 50);
  });

  it('begins once more, and waits then for what others hold, before it is over', async () => {
    const walk = new Walk(false);
    const seen: (readonly [number, string])[] = [];
    const work = async ({ page, locked, found }: Step): Promise<Batch> => {
      seen.push([page.after, locked]);
      // Row 5 is held by somebody at first.
      const rows = rowsFrom(1, 9).filter(({ id }) => id > page.after && (locked === 'wait' ? id === 5 : id !== 5)).slice(0, page.limit);
      found(rows);
      return batchOf(rows);
    };
    const taken = [];
    for (let turn = 0; turn < 4; turn += 1) taken.push((await walk.next(4, work)).found);
    assert.deepEqual(taken, [4, 4, 1, 0]);
    assert.deepEqual(seen.map(([, locked]) => locked), ['skip', 'skip', 'skip', 'wait', 'wait']);
    assert.equal(seen[0]?.[0], seen[3]?.[0]);
  });

  it('turns back no further for a late answer of the first way', async () => {
    const walk = new Walk(false);
    let answer: () => void = () => {};
    const late = walk.next(50, async ({ found }) => {
      await new Promise<void>((resolve) => (answer = resolve));
      found(rowsFrom(900, 1));
      return batchOf(rowsFrom(900, 1));
    });
    const pages: number[] = [];
    const second = walk.next(50, async ({ page, locked, found }) => {
      pages.push(page.after);
      if (locked === 'skip') return batchOf([]);
      answer();
      await late;
      found(rowsFrom(1, 2));
      return batchOf(rowsFrom(1, 2));
    });
    await second;
    await walk.next(50, async ({ page }) => {
      pages.push(page.after);
      return batchOf([]);
    });
    assert.deepEqual(pages.slice(1), [-(2 ** 31), 2]);
  });
});
