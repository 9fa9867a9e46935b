import assert from 'node:assert/strict';
import { SpiceInput } from './spice-input.ts';
import { readSpiceLink } from './spice-link.ts';
import { ack, attachChannels, displayInit, greetingOf, keyDown, spiceLink, SPICE_DISPLAY, SPICE_INPUTS, SPICE_MAIN } from './test-spice-bytes.ts';

describe("a person's input among what a SPICE client says", () => {
  it('is whatever cannot be read', () => {
    assert.equal(new SpiceInput().sees(Buffer.from('no SPICE client says this')), true);
  });

  it('is not what a client says by itself', () => {
    for (const [type, said] of [[SPICE_MAIN, attachChannels], [SPICE_DISPLAY, displayInit], [SPICE_INPUTS, ack]] as const) {
      const input = new SpiceInput();
      assert.equal(input.sees(greetingOf(type)), false);
      assert.equal(input.sees(Buffer.concat([said, ack])), false);
    }
  });

  it('is what comes on the channel of inputs, however it is cut', () => {
    const input = new SpiceInput();
    input.sees(greetingOf(SPICE_INPUTS));
    assert.equal(input.sees(Buffer.concat([ack, keyDown.subarray(0, 5)])), false);
    assert.equal(input.sees(keyDown.subarray(5)), true);
    assert.equal(input.sees(ack), false);
  });
});

describe('the first bytes of a SPICE channel', () => {
  it('say nothing before the channel is named, and at once when they are no SPICE', () => {
    const link = spiceLink({ connectionId: 0x0102_0304, channelType: SPICE_INPUTS });
    for (let bytes = 0; bytes < 22; bytes += 1) assert.equal(readSpiceLink(link.subarray(0, bytes)), 'more', String(bytes));
    assert.deepEqual(readSpiceLink(link.subarray(0, 22)), { connectionId: 0x0102_0304, channelType: 3, channelId: 0 });
    for (const other of ['R ', 'RED ', 'GET / HTTP/1.1\r\nHost: a\r\n']) assert.equal(readSpiceLink(Buffer.from(other)), null);
  });
});
