import assert from 'node:assert/strict';
import { silentLogger } from '@gatehouse/runtime/logger';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { Outages } from './outages.ts';

const LEASE_MS = 15_000;
const works = async (): Promise<void> => {};
const fails = (): Promise<void> => Promise.reject(new Error('away'));

describe('outages', () => {
  let clock: TestClock;
  let outages: Outages;
  beforeEach(() => {
    clock = new TestClock();
    outages = new Outages(LEASE_MS / 1_000, clock, silentLogger);
  });

  const excused = () => outages.excuse(clock.now());

  /** As the round that looks does it. */
  async function pass(ms: number, check: () => Promise<void> = works): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1_000) {
      await clock.advance(Math.min(1_000, ms - passed));
      await outages.look(check).catch(() => {});
    }
  }

  it('excuse no lease for a look that failed, or for a gap that costs nobody one', async () => {
    await pass(LEASE_MS);
    await pass(2_000, fails);
    assert.equal(excused(), false);
    await pass(1_000);
    assert.equal(excused(), false);
  });

  it('are over one lease after a start', async () => {
    await pass(LEASE_MS - 1);
    assert.equal(excused(), true);
    await pass(1);
    assert.equal(excused(), false);
  });

  it('excuse all leases while broker or database are away, and for one lease afterwards', async () => {
    await pass(LEASE_MS);
    await pass(60_000, fails);
    assert.equal(excused(), true);
    await pass(1_000);
    await pass(LEASE_MS - 1);
    assert.equal(excused(), true);
    await pass(1);
    assert.equal(excused(), false);
  });

  it('begin anew when it is away again before that lease is over', async () => {
    await pass(LEASE_MS);
    await pass(10_000, fails);
    await pass(10_000);
    await pass(10_000, fails);
    await pass(1_000);
    await pass(LEASE_MS - 1);
    assert.equal(excused(), true);
    await pass(1);
    assert.equal(excused(), false);
  });

  it('are seen by whoever asks first when the whole process stood still', async () => {
    await pass(LEASE_MS);
    // No timer has run: the machine slept.
    await clock.advance(60_000);
    assert.equal(excused(), true);
    await outages.look(works);
    await pass(LEASE_MS - 1);
    assert.equal(excused(), true);
    await pass(1);
    assert.equal(excused(), false);
  });

  it('are seen though time itself jumps: nobody could renew in between', async () => {
    await pass(LEASE_MS);
    await clock.advance(5 * 60_000);
    await outages.look(works);
    assert.equal(excused(), true);
  });

  it('are not seen in a look under way, unless it hangs', async function () {
    this.timeout(20_000);
    // As long as a look may hang at most: this test may stand still for a moment too.
    const slow = new Outages(20, clock, silentLogger);
    await clock.advance(1_000);
    await slow.look(works);
    await clock.advance(1_000);
    await slow.look(works);
    await clock.advance(1_000);
    let answer = (): void => {};
    const looking = slow.look(() => new Promise((resolve) => (answer = resolve)));
    await clock.advance(60_000);
    assert.equal(slow.excuse(clock.now()), false);
    await new Promise((resolve) => setTimeout(resolve, 5_100));
    assert.equal(slow.excuse(clock.now()), true);
    answer();
    await looking;
    assert.equal(slow.excuse(clock.now()), true, 'afterwards everybody gets a lease');
  });
});
