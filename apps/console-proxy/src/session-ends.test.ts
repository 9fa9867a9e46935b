import assert from 'node:assert/strict';
import { silentLogger } from '@gatehouse/runtime/logger';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { SessionEnds } from './session-ends.ts';

describe('the ends of sessions', () => {
  const clock = new TestClock();
  let told: string[];
  let isAway: boolean;
  let ends: SessionEnds;
  const use = (id: string) => ({ id, bytesIn: 1, bytesOut: 2 });
  beforeEach(() => {
    told = [];
    isAway = false;
    const release = async ({ id }: { id: string }, reason: string): Promise<void> => {
      if (isAway) throw new Error('nobody listens');
      told.push(`${id} ${reason}`);
    };
    ends = new SessionEnds(release, clock, silentLogger);
  });

  it('are told again after a while when nobody heard', async () => {
    isAway = true;
    ends.tell(use('a'), 'guest_closed');
    await ends.settled();
    isAway = false;
    await ends.tellDue();
    assert.deepEqual(told, []);
    await clock.advance(5_000);
    await ends.tellDue();
    await ends.tellDue();
    assert.deepEqual(told, ['a guest_closed']);
  });

  it('are told once more at their time, also when nobody heard the first', async () => {
    for (const away of [false, true]) {
      told = [];
      isAway = away;
      const dueAt = clock.now().getTime() + 12_000;
      ends.tell(use('b'), 'lease_lost');
      ends.tellAt(dueAt, use('b'), 'lease_lost');
      await ends.settled();
      isAway = false;
      await clock.advance(11_000);
      await ends.tellDue();
      assert.equal(told.length, away ? 0 : 1);
      await clock.advance(1_000);
      await ends.tellDue();
      assert.equal(told.length, away ? 1 : 2);
    }
  });
});
