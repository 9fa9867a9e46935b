import assert from 'node:assert/strict';
import { systemClock } from './clock.ts';
import { captureLog } from './fixtures/capture-log.ts';
import { periodic } from './periodic.ts';
import { TestClock } from './test-clock.ts';

describe('clocks', () => {
  it('the system clock wakes a sleeper early when its signal aborts', async () => {
    const stop = new AbortController();
    const sleeping = systemClock.sleep(60_000, stop.signal);
    stop.abort();
    await sleeping;
    await systemClock.sleep(60_000, stop.signal);
    await systemClock.sleep(1);
  });

  it('the test clock fires timers in order, also those set on the way, and forgets cancelled ones', async () => {
    const clock = new TestClock(new Date('2026-05-01T00:00:00Z'));
    const seen: string[] = [];
    const note = (what: string) => seen.push(`${what}@${clock.now().getTime() - Date.parse('2026-05-01T00:00:00Z')}`);
    clock.after(30, () => note('late'));
    clock.after(10, () => {
      note('early');
      clock.after(5, () => note('between'));
    });
    clock.after(20, () => note('never'))();
    await clock.advance(29);
    assert.deepEqual(seen, ['early@10', 'between@15']);
    await clock.advance(1);
    assert.deepEqual(seen, ['early@10', 'between@15', 'late@30']);
    assert.equal(clock.pending, 0);
  });
});

describe('periodic work', () => {
  it('goes on after a failed round, tells of the first failure only, and stops cleanly', async () => {
    const clock = new TestClock();
    const log = captureLog({ level: 'info' });
    let rounds = 0;
    const work = periodic({
      name: 'report', everyMs: 1_000, jitter: 0, clock, log: log.logger,
      work: async () => {
        rounds += 1;
        if (rounds < 4) throw new Error('not yet');
      },
    });
    await clock.advance(4_500);
    assert.equal(rounds, 5);
    assert.deepEqual(log.lines().map((line) => line['msg']), ['report failed', 'report works again']);
    await work.stop();
    await clock.advance(10_000);
    assert.equal(rounds, 5);
    assert.equal(clock.pending, 0);
  });

  it('does not overlap rounds, and stopping waits for the one that runs', async () => {
    const clock = new TestClock();
    let running = 0;
    let done = 0;
    const work = periodic({
      name: 'slow', everyMs: 10, clock, log: captureLog().logger,
      work: async () => {
        running += 1;
        assert.equal(running, 1);
        await clock.sleep(1_000);
        running -= 1;
        done += 1;
      },
    });
    await clock.advance(500);
    const stopped = work.stop();
    assert.equal(done, 0);
    await clock.advance(500);
    await stopped;
    assert.equal(done, 1);
  });
});
