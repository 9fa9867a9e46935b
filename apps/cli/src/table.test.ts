import assert from 'node:assert/strict';
import { progressText } from './progress.ts';
import { drawTable } from './table.ts';

describe('a table', () => {
  it('is drawn as prettytable draws it, the empty one too', () => {
    assert.equal(drawTable(['Migration', 'N'], [['ab', '1'], ['a', '20']]), `\
+-----------+----+
| Migration | N  |
+-----------+----+
|     ab    | 1  |
|     a     | 20 |
+-----------+----+`);
    assert.equal(drawTable(['A'], []), '+---+\n| A |\n+---+\n+---+');
  });

  it('shows what would steer the terminal instead of obeying it', () => {
    assert.match(drawTable(['Name'], [['a\u001b[2J\u202eb\n']], 'left'), /^\| a\\u001b\[2J\\u202eb\\u000a \|$/m);
  });
});

describe('the progress bar', () => {
  it('says how far, how fast and how long', () => {
    assert.equal(progressText(250_000, 1_000_000, 50, 100), `[${'#'.repeat(7)}${'-'.repeat(23)}]  25 %  250,000 of 1,000,000 rows  5,000/s, 2 min 30 s left`);
  });

  it('never fills a line, and survives a run without rows or time', () => {
    for (const columns of [1, 10, 40, 80]) assert.ok(progressText(123, 4_567, 1, columns).length < Math.max(columns, 1) || columns === 1, String(columns));
    assert.match(progressText(0, 0, 0, 80), /100 %  0 of 0 rows  0\/s$/);
  });
});
