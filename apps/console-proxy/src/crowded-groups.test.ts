import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { CrowdedGroups } from './crowded-groups.ts';

describe('members in groups', () => {
  it('are none at first, and none of what is not there is taken out', () => {
    const groups = new CrowdedGroups<number>();
    groups.remove('a', 1);
    assert.deepEqual([groups.largest(), groups.takeNext(), groups.of('a').size], [null, null, 0]);
  });

  it('have turns: each group one, however large it is', () => {
    const groups = new CrowdedGroups<string>();
    for (const member of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2']) groups.add(member[0]!, member);
    assert.deepEqual(Array.from({ length: 7 }, () => groups.takeNext()), ['a1', 'b1', 'c1', 'a2', 'c2', 'a3', null]);
    assert.equal(groups.largest(), null);
  });

  it('are largest where most are, and of those as large where that has been so for longest', () => {
    const groups = new CrowdedGroups<number>();
    groups.add('a', 1);
    groups.add('b', 1);
    assert.equal(groups.largest(), 'a');
    groups.add('b', 2);
    groups.add('b', 2);
    assert.equal(groups.largest(), 'b');
    groups.add('a', 2);
    assert.equal(groups.largest(), 'b');
    groups.remove('b', 1);
    assert.equal(groups.largest(), 'a');
  });

  it('are counted right whatever was added and removed', () => {
    const groups = new CrowdedGroups<number>();
    const model = new Map<string, Set<number>>();
    for (let step = 0; step < 20_000; step += 1) {
      const [group, member] = [`g${randomInt(8)}`, randomInt(20)];
      const members = model.get(group) ?? new Set();
      model.set(group, members);
      if (randomInt(2) === 0) assert.equal(groups.add(group, member), members.add(member).size);
      else {
        groups.remove(group, member);
        members.delete(member);
      }
      const most = Math.max(...[...model.values()].map(({ size }) => size));
      const largest = groups.largest();
      assert.equal(largest === null ? 0 : groups.of(largest).size, most);
    }
  });
});
