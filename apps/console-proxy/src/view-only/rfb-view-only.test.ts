import assert from 'node:assert/strict';
import { isServiceError } from '@gatehouse/errors/service-error';
import { RfbViewOnly } from './rfb-view-only.ts';

const VERSION = Buffer.from('RFB 003.008\n');
const bytes = (...values: number[]): Buffer => Buffer.from(values);
const filled = (size: number, ...head: number[]): Buffer => Buffer.concat([bytes(...head), Buffer.alloc(size - head.length, 4)]);

const ALLOWED: Readonly<Record<string, Buffer>> = {
  'its pixel format': filled(20, 0),
  'its encodings': filled(4 + 4 * 3, 2, 0, 0, 3),
  'a request for a picture': filled(10, 3),
  'continuous updates': filled(10, 150),
  'a fence': filled(9 + 3, 248, 0, 0, 0, 0, 0, 0, 0, 3),
  "QEMU's audio": filled(4, 255, 1, 0, 0),
  "the format of QEMU's audio": filled(10, 255, 1, 0, 2),
};
const KEPT_BACK: Readonly<Record<string, Buffer>> = {
  'a key': filled(8, 4, 1),
  'the pointer': filled(6, 5, 0),
  'the pointer with many buttons': filled(7, 5, 0x81),
  'clipboard text': filled(8 + 5, 6, 0, 0, 0, 0, 0, 0, 5),
  'the extended clipboard': filled(8 + 5, 6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfb),
  'a power button': filled(4, 250, 0, 1, 2),
  'another size of the screen': filled(8 + 16, 251, 0, 1, 1, 1, 1, 1, 0),
  "QEMU's key": filled(12, 255, 0, 0, 1),
};

describe('a VNC client that may only look', () => {
  function greeted(): RfbViewOnly {
    const filter = new RfbViewOnly();
    filter.pass(Buffer.concat([VERSION, bytes(1, 1)]));
    return filter;
  }

  for (const [what, said] of [
    ['another version of the protocol', Buffer.from('RFB 003.003\n')],
    ['no VNC at all', Buffer.from('GET / HTTP/1.1\r\n')],
    ['a security type that is not known', Buffer.concat([VERSION, bytes(19)])],
    ['a message that is not known', Buffer.concat([VERSION, bytes(1, 1, 99)])],
    ["a message of QEMU's that is not known", Buffer.concat([VERSION, bytes(1, 1, 255, 9, 0, 0)])],
  ] as const) {
    it(`is refused for ${what}, and nothing of it goes on`, () => {
      const filter = new RfbViewOnly();
      const refused = (error: unknown): boolean => isServiceError(error) && error.code === 'INVALID_ARGUMENT';
      assert.throws(() => filter.pass(Buffer.from(said)), refused);
      assert.throws(() => filter.pass(filled(10, 3)), refused);
    });
  }

  for (const [what, message] of Object.entries(KEPT_BACK)) {
    it(`sends ${what} in vain, and what follows arrives`, () => {
      const ask = ALLOWED['a request for a picture']!;
      assert.deepEqual(greeted().pass(Buffer.concat([ask, message, ask, message])), Buffer.concat([ask, ask]));
    });
  }

  for (const [what, message] of Object.entries(ALLOWED)) {
    it(`is heard when it sends ${what}`, () => {
      assert.deepEqual(greeted().pass(Buffer.concat([message, message])), Buffer.concat([message, message]));
    });
  }

  it('cannot have the others disconnected: it always shares the screen', () => {
    assert.deepEqual(new RfbViewOnly().pass(Buffer.concat([VERSION, bytes(1, 0)])), Buffer.concat([VERSION, bytes(1, 1)]));
  });

  it('is followed however its bytes are cut', () => {
    const messages = Object.entries({ ...KEPT_BACK, ...ALLOWED, ...Object.fromEntries(Object.entries(KEPT_BACK).map(([name, each]) => [`${name} again`, each])) });
    const everything = Buffer.concat([VERSION, bytes(1, 0), ...messages.map(([, each]) => each)]);
    const expected = Buffer.concat([VERSION, bytes(1, 1), ...Object.values(ALLOWED)]);
    for (const size of [1, 2, 3, 5, 7, 11, 13, 64, 1_000]) {
      const filter = new RfbViewOnly();
      const passed: Buffer[] = [];
      for (let at = 0; at < everything.length; at += size) passed.push(filter.pass(everything.subarray(at, at + size)));
      assert.deepEqual(Buffer.concat(passed), expected, `pieces of ${size}`);
    }
  });
});
