import assert from 'node:assert/strict';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { changeWaitOf } from './change-wait.ts';
import { Changes, WAITING_MAX, WAITING_PER_INSTANCE_MAX } from './changes.ts';

const UUID = '15b942e0-b17a-5deb-b468-acabe2a20ce2';
const OTHER = '2236ef75-e2e1-5c5b-a001-b22630201a25';

describe('waiting for a change', () => {
  it('is refused beyond so many of an instance, with word of when to come back, and beyond so many in all', () => {
    const changes = new Changes(new TestClock());
    const places = Array.from({ length: WAITING_PER_INSTANCE_MAX }, () => changes.enter(UUID));
    assert.throws(() => changes.enter(UUID), { code: 'RESOURCE_EXHAUSTED', details: { retryAfter: 5 } });
    places[0]?.leave();
    places[0]?.leave();
    const again = changes.enter(UUID);
    assert.throws(() => changes.enter(UUID), { code: 'RESOURCE_EXHAUSTED' });
    for (let each = WAITING_PER_INSTANCE_MAX; each < WAITING_MAX; each += 1) changes.enter(`of-${each >> 2}`);
    assert.throws(() => changes.enter(OTHER), { code: 'UNAVAILABLE', details: { retryAfter: 5 } });
    again.leave();
    assert.doesNotThrow(() => changes.enter(OTHER));
    assert.equal(changes.waiting, WAITING_MAX);
  });

  it('ends at news of that instance, at its time, and when its client leaves', async () => {
    const clock = new TestClock();
    const changes = new Changes(clock);
    const place = changes.enter(UUID);
    const client = new AbortController();
    const ended: string[] = [];
    const wait = (what: string): Promise<void> => place.next(1_000, client.signal).then(() => void ended.push(what));
    const first = wait('news');
    changes.tell(OTHER);
    await clock.advance(500);
    assert.deepEqual(ended, []);
    changes.tell(UUID);
    await first;
    const second = wait('time');
    await clock.advance(1_000);
    await second;
    const third = wait('gone');
    client.abort();
    await third;
    assert.deepEqual(ended, ['news', 'time', 'gone']);
    assert.equal(clock.pending, 0);
  });

  it('does not miss news that come between two waits', async () => {
    const clock = new TestClock();
    const changes = new Changes(clock);
    const place = changes.enter(UUID);
    changes.tell(UUID);
    await place.next(1_000, new AbortController().signal);
    assert.equal(clock.pending, 0);
  });

  it('ends for everybody when the service stops, and for those who come then', async () => {
    const clock = new TestClock();
    const changes = new Changes(clock);
    const { signal } = new AbortController();
    const waits = [changes.enter(UUID), changes.enter(UUID), changes.enter(OTHER)].map((place) => place.next(1_000, signal));
    changes.drain();
    await Promise.all(waits);
    await changes.enter(UUID).next(1_000, signal);
  });
});

describe('the query of a wait', () => {
  const read = (query: string) => changeWaitOf(`/openstack/latest/meta_data.json${query}`);

  it('is refused for what it does not say right', () => {
    for (const query of [
      'wait_for_change=1', 'wait_for_change=', 'wait_for_change=TRUE', 'wait_for_change=true&wait_for_change=true', 'wait_for_change=true&timeout_sec=',
      'wait_for_change=true&timeout_sec=-1', 'wait_for_change=true&timeout_sec=301', 'wait_for_change=true&timeout_sec=1.5', 'wait_for_change=true&timeout_sec=1e2',
      'wait_for_change=true&timeout_sec=٣', 'wait_for_change=true&timeout_sec=99999999999999999999', 'wait_for_change=true&timeout_sec=1&timeout_sec=2',
      'wait_for_change=true&last_etag=', 'wait_for_change=true&last_etag=a&last_etag=b', `wait_for_change=true&last_etag=${'a'.repeat(129)}`,
    ]) {
      assert.throws(() => read(`?${query}`), { code: 'INVALID_ARGUMENT' }, query);
    }
  });

  it('says what the client has, quoted or not, and for how long it waits', () => {
    assert.equal(read(''), null);
    assert.equal(read('?x=1'), null);
    assert.equal(read('?wait_for_change=false&timeout_sec=nonsense'), null);
    assert.deepEqual(read('?wait_for_change=true'), { lastTag: null, timeoutMs: 25_000 });
    assert.deepEqual(read('?wait_for_change=true&last_etag=abc&timeout_sec=0'), { lastTag: 'abc', timeoutMs: 0 });
    assert.deepEqual(read('?timeout_sec=300&last_etag=W%2F%22abc%22&wait_for_change=true'), { lastTag: 'abc', timeoutMs: 300_000 });
  });
});
