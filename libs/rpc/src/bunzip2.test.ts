import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { bunzip2 } from './bunzip2.ts';
import { readRecording } from './fixtures/test-vectors.ts';

interface Vector {
  readonly name: string;
  readonly compressed: string;
  readonly bytes: number;
  readonly sha256: string;
}

const vectors = readRecording('bzip2')['vectors'] as readonly Vector[];
const compressed = (name: string): Buffer => Buffer.from(vectors.find((each) => each.name === name)?.compressed ?? '', 'base64');

describe('bunzip2', () => {
  it('refuses what is no bzip2, or only the beginning of one', () => {
    const whole = compressed('noise');
    for (const bytes of [Buffer.alloc(0), Buffer.from('BZ'), Buffer.from('BZh0aaaaaaaaaa'), Buffer.from('GZh9'), Buffer.alloc(1_000, 0xff)]) {
      assert.throws(() => bunzip2(bytes, 1_000), Error);
    }
    for (let length = 0; length < whole.length; length++) assert.throws(() => bunzip2(whole.subarray(0, length), 10_000), /bzip2/);
  });

  it('finds every flipped bit, or is not touched by it', () => {
    for (const name of ['four equal bytes', 'runs of every length', 'text beyond ASCII']) {
      const whole = compressed(name);
      const plain = bunzip2(whole, 10_000);
      for (let bit = 0; bit < whole.length * 8; bit++) {
        const flipped = Buffer.from(whole);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        try {
          assert.ok(bunzip2(flipped, 10_000).equals(plain), `${name}, bit ${bit}: something else`);
        } catch (error) {
          assert.match(String(error), /bzip2|more than/);
        }
      }
    }
  }).timeout(60_000);

  it('stops at its limit, however little came in', () => {
    const bomb = compressed('a long run');
    assert.ok(bomb.length < 100);
    assert.throws(() => bunzip2(bomb, 999_999), RangeError);
    assert.equal(bunzip2(bomb, 1_000_000).length, 1_000_000);
  });

  for (const { name, compressed: text, bytes, sha256 } of vectors) {
    it(`reads ${name} as Python compressed it`, () => {
      const plain = bunzip2(Buffer.from(text, 'base64'), 2_000_000);
      assert.equal(plain.length, bytes);
      assert.equal(createHash('sha256').update(plain).digest('hex'), sha256);
    });
  }
});
