import assert from 'node:assert/strict';
import { KnownRequests } from './known-requests.ts';

describe('the requests a server has taken', () => {
  it('are known while they run, however many come after them', () => {
    const known = new KnownRequests();
    known.begin('slow');
    for (let i = 0; i < 5_000; i++) {
      assert.equal(known.stateOf(String(i)), null);
      known.begin(String(i));
      known.end(String(i));
    }
    assert.equal(known.stateOf('slow'), 'running');
  });

  it('are known for a while after they have ended, and then forgotten', () => {
    const known = new KnownRequests();
    for (let i = 0; i < 2_000; i++) {
      known.begin(String(i));
      known.end(String(i));
    }
    for (let i = 1_488; i < 2_000; i++) assert.equal(known.stateOf(String(i)), 'ended', String(i));
    assert.equal(known.stateOf('0'), null);
  });
});
