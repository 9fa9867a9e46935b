import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { relayMemory } from './relay-memory.ts';

describe('memory of the relay', () => {
  const memory = relayMemory ?? assert.fail('this machine gives none');
  const whole = memory.take(4_096) ?? assert.fail('there is none left');

  it('XORs any piece with its key as a loop over its bytes does, touches nothing else, and answers with the key for what follows', () => {
    const piece = fc.tuple(fc.nat(300), fc.nat(300), fc.integer());
    fc.assert(fc.property(piece, ([start, length, key]) => {
      whole.forEach((_, at) => (whole[at] = at));
      const expected = Buffer.from(whole);
      let next = key;
      for (let at = start; at < start + length; at++) {
        expected[at]! ^= next & 0xff;
        next = (next >>> 8) | (next << 24);
      }
      assert.equal(memory.xor(whole, start, start + length, key), next);
      assert.ok(whole.equals(expected));
    }), { numRuns: 1_000 });
  });

  it('gives what lies in it and is nobody else\'s, and none when all is taken', () => {
    const other = memory.take(10) ?? assert.fail('there is none left');
    const before = createHash('sha256').update(whole).digest('hex');
    other.fill(0xff);
    assert.equal(createHash('sha256').update(whole).digest('hex'), before);
    assert.ok(memory.has(whole.subarray(7)) && memory.has(other) && !memory.has(Buffer.alloc(1)));
    assert.equal(memory.take(1 << 30), null);
  });
});
