import assert from 'node:assert/strict';
import { isServiceError } from '@gatehouse/errors/service-error';
import { SPICE_CURSOR, SPICE_DISPLAY, SPICE_INPUTS, SPICE_MAIN, SPICE_PLAYBACK } from '../spice-link.ts';
import { greetingOf, spiceLink, spiceMessage, spiceTicket } from '../test-spice-bytes.ts';
import { SpiceViewOnly } from './spice-view-only.ts';

const NAMES: Readonly<Record<number, string>> = { [SPICE_MAIN]: 'main', [SPICE_DISPLAY]: 'display', [SPICE_INPUTS]: 'inputs', [SPICE_CURSOR]: 'cursor', [SPICE_PLAYBACK]: 'playback' };
const UPKEEP: readonly (readonly [string, Buffer])[] = [
  ['the answer to a window', spiceMessage(1, 4)],
  ['an acknowledgement', spiceMessage(2)],
  ['an answer to a ping', spiceMessage(3, 12)],
  ['a goodbye', spiceMessage(6, 12)],
];
const ALLOWED: Readonly<Record<number, readonly (readonly [string, Buffer])[]>> = {
  [SPICE_MAIN]: [['its wish to hear of the channels', spiceMessage(104)]],
  [SPICE_DISPLAY]: [['the sizes of its caches', spiceMessage(101, 14)], ['how well it draws a video', spiceMessage(102, 28)]],
};
const KEPT_BACK: Readonly<Record<number, readonly (readonly [string, Buffer])[]>> = {
  [SPICE_MAIN]: [
    ['another mode of the pointer', spiceMessage(105, 2)],
    ['the start of an agent', spiceMessage(106, 4)],
    ["the guest's clipboard, by its agent", spiceMessage(107, 2_048)],
    ['tokens for an agent', spiceMessage(108, 4)],
    ['the end of a migration', spiceMessage(109)],
  ],
  [SPICE_DISPLAY]: [['another compression', spiceMessage(103, 1)], ['what no client says', spiceMessage(4_711, 3)]],
  [SPICE_INPUTS]: [
    ['a key', spiceMessage(101, 4)],
    ['a key that is let go', spiceMessage(102, 4)],
    ['locks of the keyboard', spiceMessage(103, 2)],
    ['scan codes', spiceMessage(104, 5)],
    ['a motion of the mouse', spiceMessage(111, 10)],
    ['a place of the pointer', spiceMessage(112, 11)],
    ['a button', spiceMessage(113, 3)],
    ['a button that is let go', spiceMessage(114, 3)],
  ],
  [SPICE_CURSOR]: [['what only inputs says', spiceMessage(101, 4)]],
  [SPICE_PLAYBACK]: [['what only inputs says', spiceMessage(101, 4)]],
};
const refused = (error: unknown): boolean => isServiceError(error) && error.code === 'INVALID_ARGUMENT';

describe('a SPICE client that may only look', () => {
  function greeted(channelType: number): SpiceViewOnly {
    const filter = new SpiceViewOnly();
    assert.deepEqual(filter.pass(greetingOf(channelType)), greetingOf(channelType));
    return filter;
  }

  for (const [what, said] of [
    ['no SPICE at all', Buffer.from('GET / HTTP/1.1\r\n')],
    ['another magic', spiceLink({ magic: 'REDR' })],
    ['another version', spiceLink({ major: 1 })],
    ['a link that is too short to name a channel', spiceLink({ size: 17 })],
    ['a link that is longer than any', spiceLink({ size: 4_097 })],
    ['a link whose size is a large number', spiceLink({ size: 0xffff_ffff })],
    ['capabilities that stand before the message', spiceLink({ start: 4 })],
    ['capabilities that stand behind it', spiceLink({ start: 23 })],
    ['more capabilities than there is room for', spiceLink({ ownCount: 2 })],
    ['a count of them that is a large number', spiceLink({ commonCount: 0xffff_ffff })],
    ['no capabilities', spiceLink({ commonCount: 0 })],
    ['the long header', spiceLink({ capabilities: 0b0001 })],
    ['no named way to authenticate', spiceLink({ capabilities: 0b1000 })],
    ['SASL', Buffer.concat([spiceLink(), spiceTicket(2)])],
  ] as const) {
    it(`is refused for ${what}, and nothing that follows goes on`, () => {
      const filter = new SpiceViewOnly();
      assert.throws(() => filter.pass(Buffer.from(said)), refused);
      assert.throws(() => filter.pass(Buffer.concat([greetingOf(SPICE_MAIN), spiceMessage(2)])), refused);
    });
  }

  for (const [type, what] of [[0, 'no known channel'], [6, 'a microphone'], [7, 'a tunnel'], [8, 'a smart card'], [9, 'USB'], [10, 'a port'], [11, 'files'], [200, 'a later channel']] as const) {
    it(`is refused a channel for ${what}, and nothing of its greeting goes on`, () => {
      const filter = new SpiceViewOnly();
      const greeting = greetingOf(type);
      assert.equal(filter.pass(greeting.subarray(0, 41)).length, 0);
      assert.throws(() => filter.pass(greeting.subarray(41)), refused);
      assert.throws(() => filter.pass(spiceMessage(2)), refused);
    });
  }

  for (const [type, name] of Object.entries(NAMES).map(([key, each]) => [Number(key), each] as const)) {
    for (const [what, message] of KEPT_BACK[type] ?? []) {
      it(`sends ${what} on ${name} in vain, and what follows arrives`, () => {
        const ask = spiceMessage(2);
        assert.deepEqual(greeted(type).pass(Buffer.concat([ask, message, ask, message])), Buffer.concat([ask, ask]));
      });
    }
    for (const [what, message] of [...UPKEEP, ...(ALLOWED[type] ?? [])]) {
      it(`is heard on ${name} when it sends ${what}`, () => {
        assert.deepEqual(greeted(type).pass(Buffer.concat([message, message])), Buffer.concat([message, message]));
      });
    }

    it(`is followed on ${name} however its bytes are cut`, () => {
      const allowed = [...UPKEEP, ...(ALLOWED[type] ?? [])].map(([, each]) => each);
      const kept = (KEPT_BACK[type] ?? []).map(([, each]) => each);
      const everything = Buffer.concat([greetingOf(type), ...kept, ...allowed.flatMap((each) => [each, ...kept])]);
      const expected = Buffer.concat([greetingOf(type), ...allowed]);
      for (const size of [1, 2, 3, 5, 7, 15, 16, 17, 41, 42, 43, 1_000]) {
        const filter = new SpiceViewOnly();
        const passed: Buffer[] = [];
        for (let at = 0; at < everything.length; at += size) passed.push(filter.pass(everything.subarray(at, at + size)));
        assert.deepEqual(Buffer.concat(passed), expected, `pieces of ${size}`);
      }
    });
  }

  it('may say a message of any length, of which nothing is kept', () => {
    const filter = greeted(SPICE_INPUTS);
    const head = spiceMessage(101);
    head.writeUInt32LE(0xffff_ffff, 2);
    assert.equal(filter.pass(head).length, 0);
    for (let times = 0; times < 4; times += 1) assert.equal(filter.pass(Buffer.alloc(1 << 20, 2)).length, 0);
  });
});
