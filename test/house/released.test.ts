import assert from 'node:assert/strict';
import { hashOfReleased, listReleased, RELEASED } from './released.ts';

describe('the frozen releases', () => {
  it('are those that are pinned, no more and no less', () => {
    assert.deepEqual(listReleased(), Object.keys(RELEASED).sort());
  });

  for (const [level, hash] of Object.entries(RELEASED)) {
    it(`have not been touched since ${level} was frozen`, () => {
      assert.equal(hashOfReleased(level), hash);
    });
  }
});
