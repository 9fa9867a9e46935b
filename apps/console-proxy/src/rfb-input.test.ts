import assert from 'node:assert/strict';
import { RfbInput } from './rfb-input.ts';

const HANDSHAKE = Buffer.concat([Buffer.from('RFB 003.008\n'), Buffer.from([1]), Buffer.from([1])]);
const bytes = (...values: number[]): Buffer => Buffer.from(values);
const filled = (size: number, ...head: number[]): Buffer => Buffer.concat([bytes(...head), Buffer.alloc(size - head.length, 4)]);

const ASK = filled(10, 3);
const QUIET: Readonly<Record<string, Buffer>> = {
  'a request for a picture': ASK,
  'its pixel format': filled(20, 0),
  'its encodings': filled(4 + 4 * 3, 2, 0, 0, 3),
  'clipboard text': filled(8 + 5, 6, 0, 0, 0, 0, 0, 0, 5),
  'the extended clipboard': filled(8 + 5, 6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfb),
  'continuous updates': filled(10, 150),
  'a fence': filled(9 + 3, 248, 0, 0, 0, 0, 0, 0, 0, 3),
  'a size of the desktop': filled(8 + 16, 251, 0, 1, 1, 1, 1, 1, 0),
  "QEMU's audio": filled(4, 255, 1, 0, 0),
  "the format of QEMU's audio": filled(10, 255, 1, 0, 2),
};
const INPUT: Readonly<Record<string, Buffer>> = {
  'a key': filled(8, 4, 1),
  'the pointer': filled(6, 5, 0),
  'the pointer with many buttons': filled(7, 5, 0x81),
  "QEMU's key": filled(12, 255, 0, 0, 1),
  'a power button': filled(4, 250, 0, 1, 2),
};

describe('the input of a VNC client', () => {
  function greeted(): RfbInput {
    const input = new RfbInput();
    assert.equal(input.sees(HANDSHAKE), false);
    return input;
  }

  for (const [what, message] of Object.entries(QUIET)) {
    it(`is not ${what}, and what follows is still understood`, () => {
      const input = greeted();
      assert.equal(input.sees(Buffer.concat([message, ASK, message])), false);
      assert.equal(input.sees(INPUT['a key']!), true);
    });
  }

  for (const [what, message] of Object.entries(INPUT)) {
    it(`is ${what}, and what follows is still understood`, () => {
      const input = greeted();
      assert.equal(input.sees(Buffer.concat([ASK, message, ASK])), true);
      assert.equal(input.sees(ASK), false);
    });
  }

  it('is found however the bytes are cut', () => {
    const everything = Buffer.concat([HANDSHAKE, ...Object.values(QUIET), ...Object.values(INPUT), ...Object.values(QUIET)]);
    const inputBytes = Buffer.concat(Object.values(INPUT)).length;
    for (const size of [1, 2, 3, 5, 7, 11, 13, 64]) {
      const input = new RfbInput();
      let seen = 0;
      for (let at = 0; at < everything.length; at += size) if (input.sees(everything.subarray(at, at + size))) seen += 1;
      // A message of input that is cut counts with each of its pieces, and nothing else does.
      assert.ok(seen >= 1 && seen <= inputBytes, `${seen} with pieces of ${size}`);
      assert.equal(input.sees(ASK), false, `pieces of ${size}`);
    }
  });

  it('is not what proves who the client is', () => {
    const input = new RfbInput();
    assert.equal(input.sees(Buffer.concat([Buffer.from('RFB 003.007\n'), bytes(2), Buffer.alloc(16, 4), bytes(1)])), false);
    assert.equal(input.sees(ASK), false);
  });

  for (const [what, said] of [
    ['another version', Buffer.from('RFB 003.003\n')],
    ['no VNC at all', Buffer.from('GET / HTTP/1.1\r\n')],
    ['a security type that is not known', Buffer.concat([Buffer.from('RFB 003.008\n'), bytes(19)])],
    ['a message that is not known', Buffer.concat([HANDSHAKE, bytes(99)])],
    ["a message of QEMU's that is not known", Buffer.concat([HANDSHAKE, bytes(255, 9, 0, 0)])],
  ] as const) {
    it(`is everything after ${what}`, () => {
      const input = new RfbInput();
      assert.equal(input.sees(Buffer.from(said)), true);
      assert.equal(input.sees(ASK), true);
    });
  }
});
