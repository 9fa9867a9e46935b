import assert from 'node:assert/strict';
import { isServiceError } from '@gatehouse/errors/service-error';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { RateLimit } from './rate-limit.ts';

/** Whole seconds after which a refused one may come again; 0: it was not refused. */
function taken(limit: RateLimit, key: string): number {
  try {
    limit.take(key);
    return 0;
  } catch (error) {
    assert.ok(isServiceError(error) && error.code === 'RESOURCE_EXHAUSTED');
    return Number(error.details['retryAfter']);
  }
}

describe('a bound on how often each may ask', () => {
  it('refuses who has taken all that was there at once, and says in whole seconds when there is more', async () => {
    const clock = new TestClock();
    const limit = new RateLimit({ perSecond: 2, burst: 10 }, clock);
    assert.deepEqual(Array.from({ length: 12 }, () => taken(limit, 'a')), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    await clock.advance(499);
    assert.equal(taken(limit, 'a'), 1);
    await clock.advance(1);
    assert.deepEqual([taken(limit, 'a'), taken(limit, 'a')], [0, 1]);
  });

  it('says a time that suffices where one comes in many seconds', async () => {
    const clock = new TestClock();
    const limit = new RateLimit({ perSecond: 0.1, burst: 1 }, clock);
    assert.deepEqual([taken(limit, 'a'), taken(limit, 'a')], [0, 10]);
    await clock.advance(10_000);
    assert.equal(taken(limit, 'a'), 0);
  });

  it('is each one\'s own', () => {
    const limit = new RateLimit({ perSecond: 1, burst: 1 }, new TestClock());
    assert.deepEqual([taken(limit, 'a'), taken(limit, 'a'), taken(limit, 'b')], [0, 1, 0]);
  });

  it('never holds more than the burst, however long it was quiet', async () => {
    const clock = new TestClock();
    const limit = new RateLimit({ perSecond: 100, burst: 3 }, clock);
    taken(limit, 'a');
    await clock.advance(3_600_000);
    assert.deepEqual(Array.from({ length: 4 }, () => taken(limit, 'a')), [0, 0, 0, 1]);
  });

  it('can be looked at without taking any', () => {
    const limit = new RateLimit({ perSecond: 1, burst: 1 }, new TestClock());
    for (let i = 0; i < 5; i += 1) limit.check('a');
    limit.take('a');
    assert.throws(() => limit.check('a'), { code: 'RESOURCE_EXHAUSTED' });
  });

  it('is none where it is set to 0', () => {
    const limit = new RateLimit({ perSecond: 0, burst: 1 }, new TestClock());
    for (let i = 0; i < 1_000; i += 1) limit.take('a');
    assert.equal(limit.size, 0);
  });

  it('locks nobody out when the clock is set back', () => {
    let now = new Date('2026-01-02T00:00:00Z');
    const limit = new RateLimit({ perSecond: 1, burst: 2 }, { now: () => now, after: () => () => {}, sleep: async () => {} });
    assert.deepEqual([taken(limit, 'a'), taken(limit, 'a')], [0, 0]);
    now = new Date('2026-01-01T00:00:00Z');
    assert.equal(taken(limit, 'a'), 1);
    now = new Date('2026-01-01T00:00:01Z');
    assert.equal(taken(limit, 'a'), 0);
  });

  it('forgets who has been quiet, and at its bound who has been quiet for the longest', async () => {
    const clock = new TestClock();
    const limit = new RateLimit({ perSecond: 1, burst: 5 }, clock, 100);
    for (let i = 0; i < 1_000; i += 1) limit.take(`key ${i}`);
    assert.equal(limit.size, 100);
    await clock.advance(10_000);
    for (let i = 0; i < 60; i += 1) {
      taken(limit, 'one');
    }
    assert.equal(limit.size, 1);
  });
});
