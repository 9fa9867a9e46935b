import assert from 'node:assert/strict';
import { Scrollback } from './scrollback.ts';

describe('the scrollback', () => {
  it('keeps the last bytes up to its limit, by their offset', () => {
    const scrollback = new Scrollback(10, 1000);
    scrollback.append(Buffer.from('0123456'));
    assert.deepEqual([scrollback.start, scrollback.end], [1000, 1007]);
    scrollback.append(Buffer.from('789abc'));
    assert.deepEqual([scrollback.start, scrollback.end], [1003, 1013]);
    assert.equal(scrollback.read(1003, 100).toString(), '3456789abc');
    assert.equal(scrollback.read(1005, 4).toString(), '5678');
    assert.equal(scrollback.read(1013, 4).toString(), '');
  });

  it('keeps the end of a piece that is larger than itself', () => {
    const scrollback = new Scrollback(4, 7);
    scrollback.append(Buffer.from('abcdefghij'));
    assert.equal(scrollback.read(scrollback.start, 100).toString(), 'ghij');
    assert.equal(scrollback.end, 17);
  });

  it('agrees with a plain string over many odd pieces while it grows', () => {
    const limit = 20_000;
    const scrollback = new Scrollback(limit, 123_456_789_012_345);
    let all = '';
    for (let round = 1; round < 400; round += 1) {
      const piece = String.fromCharCode(97 + (round % 26)).repeat((round * 7919) % 331);
      all += piece;
      scrollback.append(Buffer.from(piece));
      const kept = all.slice(-limit);
      assert.equal(scrollback.end - scrollback.start, kept.length);
      assert.equal(scrollback.read(scrollback.start, limit).toString(), kept);
    }
  });
});
