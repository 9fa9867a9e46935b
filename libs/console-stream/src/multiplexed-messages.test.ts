import assert from 'node:assert/strict';
import { failsWith } from './test-streams.ts';
import { decodeMultiplexedRequest, decodeMultiplexedResponse, encodeMultiplexedRequest, encodeMultiplexedResponse } from './multiplexed-messages.ts';
import type { MultiplexedRequest, MultiplexedResponse } from './multiplexed-messages.ts';

/** The wire of the first version. A change here breaks proxies and agents that run already. */
const REQUESTS: readonly (readonly [string, MultiplexedRequest, string])[] = [
  ['what a call says', { call: 1, what: Buffer.from('ls') }, '080112026c73'],
  ['an end of what a call says', { call: 300, what: 'half-close' }, '08ac021801'],
  ['that a call was left', { call: 2 ** 32 - 1, what: 'cancel' }, '08ffffffff0f2001'],
];
const RESPONSES: readonly (readonly [string, MultiplexedResponse, string])[] = [
  ['what a call says', { call: 1, what: Buffer.from('ls') }, '080112026c73'],
  ['that a call is over', { call: 2, what: { code: 0, details: '', errorCode: '' } }, '08021a0608001200' + '1a00'],
  ['why a call failed', { call: 2, what: { code: 9, details: 'no', errorCode: 'X' } }, '08021a09080912026e6f1a0158'],
];
const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  ['what is no message', 'ff', /not a message/],
  ['nothing at all', '', /names its call/],
  ['a call 0', '080012026c73', /names its call/],
  ['a call that says nothing', '0801', /one thing of its call, not 0/],
  ['a call that says what this version does not know', '08013a0101', /one thing of its call, not 0/],
];

describe('messages of multiplexed calls', () => {
  for (const [name, message, hex] of REQUESTS) {
    it(`carry ${name} to the host`, () => {
      assert.equal(encodeMultiplexedRequest(message).toString('hex'), hex);
      assert.deepEqual(decodeMultiplexedRequest(Buffer.from(hex, 'hex')), message);
    });
  }

  for (const [name, message, hex] of RESPONSES) {
    it(`carry ${name} to the proxy`, () => {
      assert.equal(encodeMultiplexedResponse(message).toString('hex'), hex);
      assert.deepEqual(decodeMultiplexedResponse(Buffer.from(hex, 'hex')), message);
    });
  }

  for (const [name, hex, words] of REFUSED) {
    it(`are not ${name}`, () => {
      for (const decode of [decodeMultiplexedRequest, decodeMultiplexedResponse]) {
        assert.throws(() => decode(Buffer.from(hex, 'hex')), failsWith('INVALID_ARGUMENT', words));
      }
    });
  }

  it('say one thing of one call', () => {
    const both = Buffer.from('080112026c732001', 'hex');
    assert.throws(() => decodeMultiplexedRequest(both), failsWith('INVALID_ARGUMENT', /not 2/));
  });
});
