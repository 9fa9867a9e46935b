import assert from 'node:assert/strict';
import fc from 'fast-check';
import { clientFrame, type ClientFrame } from './client-frame.ts';
import { FRAME_BYTES_MAX, FrameParser, TEXT_BYTES_MAX, type Violation } from './frame-parser.ts';

interface Heard {
  readonly events: string[];
  readonly data: Buffer;
  readonly violation: Violation | null;
}

function listen(bytes: Buffer, cuts: readonly number[] = [], textAllowed = true): Heard {
  const events: string[] = [];
  const data: Buffer[] = [];
  const parser = new FrameParser(
    {
      data: (piece) => void data.push(Buffer.from(piece)),
      text: (message) => void events.push(`text ${message}`),
      ping: (payload) => void events.push(`ping ${payload.toString()}`),
      pong: () => void events.push('pong'),
      close: (code, reason) => void events.push(`close ${code} ${reason}`),
    },
    { textAllowed },
  );
  let violation: Violation | null = null;
  const edges = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
  for (let i = 1; i < edges.length; i++) violation ??= parser.push(Buffer.from(bytes.subarray(edges[i - 1], edges[i])));
  return { events, data: Buffer.concat(data), violation };
}

const hear = (...frames: ClientFrame[]): Heard => listen(Buffer.concat(frames.map(clientFrame)));
const closeWith = (code: number, reason: string | Uint8Array = ''): ClientFrame => {
  const payload = Buffer.concat([Buffer.alloc(2), Buffer.from(reason)]);
  payload.writeUInt16BE(code, 0);
  return { opcode: 8, payload };
};

describe('the frame parser refuses', () => {
  const cases: readonly (readonly [string, number, readonly ClientFrame[]])[] = [
    ['an unmasked frame', 1002, [{ opcode: 2, payload: 'x', masked: false }]],
    ['a reserved bit', 1002, [{ opcode: 2, reserved: 0x40 }]],
    ['a reserved data opcode', 1002, [{ opcode: 3 }]],
    ['a reserved control opcode', 1002, [{ opcode: 11 }]],
    ['a fragmented ping', 1002, [{ opcode: 9, final: false }]],
    ['a ping of 126 bytes', 1002, [{ opcode: 9, payload: Buffer.alloc(126) }]],
    ['a continuation of nothing', 1002, [{ opcode: 0, payload: 'x' }]],
    ['a second message inside a fragmented one', 1002, [{ opcode: 2, final: false }, { opcode: 2 }]],
    ['a continuation after the message was complete', 1002, [{ opcode: 2 }, { opcode: 0 }]],
    ['a length in more bytes than needed (2)', 1002, [{ opcode: 2, payload: 'x', lengthBytes: 2 }]],
    ['a length in more bytes than needed (8)', 1002, [{ opcode: 2, payload: Buffer.alloc(126), lengthBytes: 8 }]],
    ['a frame beyond the limit, before its payload came', 1009, [{ opcode: 2, announced: FRAME_BYTES_MAX + 1 }]],
    ['a length that only 64 bits hold', 1009, [{ opcode: 2, announced: Number.MAX_SAFE_INTEGER }]],
    ['a text beyond the limit', 1009, [{ opcode: 1, payload: Buffer.alloc(TEXT_BYTES_MAX + 1, 'a') }]],
    [
      'a text beyond the limit by its fragments',
      1009,
      [{ opcode: 1, payload: Buffer.alloc(TEXT_BYTES_MAX, 'a'), final: false }, { opcode: 0, payload: 'a' }],
    ],
    ['a text that is not UTF-8', 1007, [{ opcode: 1, payload: Uint8Array.of(0xc0, 0xaf) }]],
    ['a text cut inside a character at its end', 1007, [{ opcode: 1, payload: Uint8Array.of(0xe2, 0x82) }]],
    ['a close frame of one byte', 1002, [{ opcode: 8, payload: 'x' }]],
    ['a close code nobody may send (1005)', 1002, [closeWith(1005)]],
    ['a close code nobody may send (999)', 1002, [closeWith(999)]],
    ['a close code nobody may send (5000)', 1002, [closeWith(5000)]],
    ['a close reason that is not UTF-8', 1007, [closeWith(1000, Uint8Array.of(0xff))]],
  ];
  for (const [what, code, frames] of cases) {
    it(`${what} with ${code}`, () => assert.equal(hear(...frames).violation?.code, code));
  }

  it('text where only binary was agreed, with 1003', () => {
    assert.equal(listen(clientFrame({ opcode: 1, payload: 'x' }), [], false).violation?.code, 1003);
  });

  it('everything after a violation', () => {
    const heard = hear({ opcode: 2, payload: 'a' }, { opcode: 3 }, { opcode: 2, payload: 'b' });
    assert.equal(heard.data.toString(), 'a');
  });
});

describe('the frame parser', () => {
  it('hands on payload before the frame is complete', () => {
    const bytes = clientFrame({ opcode: 2, payload: 'hello' });
    assert.equal(listen(bytes.subarray(0, bytes.length - 2)).data.toString(), 'hel');
  });

  it('keeps nothing of the empty fragments of a text, however many come', () => {
    let heard = '';
    const parser = new FrameParser({ data() {}, text: (message) => void (heard = message), ping() {}, pong() {}, close() {} }, { textAllowed: true });
    const empty = Buffer.concat(Array.from({ length: 10_000 }, () => clientFrame({ opcode: 0, final: false })));
    parser.push(clientFrame({ opcode: 1, payload: 'whole', final: false }));
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 50; i++) parser.push(Buffer.from(empty));
    // Each of them as a buffer of its own would be a hundred megabytes.
    assert.ok(process.memoryUsage().heapUsed - before < 50e6);
    assert.equal(parser.push(clientFrame({ opcode: 0, payload: '!' })), null);
    assert.equal(heard, 'whole!');
  });

  it('joins the fragments of a text, with a ping and a pong between them', () => {
    const heard = hear({ opcode: 1, payload: 'gr', final: false }, { opcode: 9, payload: '?' }, { opcode: 10 }, { opcode: 0, payload: 'üß' });
    assert.deepEqual(heard.events, ['ping ?', 'pong', 'text grüß']);
  });

  it('hears nothing after a close frame', () => {
    const heard = hear(closeWith(4000, 'bye'), { opcode: 2, payload: 'late' });
    assert.deepEqual(heard.events, ['close 4000 bye']);
    assert.equal(heard.data.length, 0);
    assert.equal(heard.violation, null);
  });

  it('takes a close frame without a code', () => assert.deepEqual(hear({ opcode: 8 }).events, ['close null ']));

  it('gives the data that came before a text first', () => {
    const order: string[] = [];
    const parser = new FrameParser(
      { data: (b) => void order.push(b.toString()), text: (t) => void order.push(t), ping() {}, pong() {}, close() {} },
      { textAllowed: true },
    );
    parser.push(Buffer.concat([{ opcode: 2, payload: 'a' }, { opcode: 1, payload: 'b' }, { opcode: 2, payload: 'c' }].map(clientFrame)));
    assert.deepEqual(order, ['a', 'b', 'c']);
  });

  it('gives many small frames of one read as one piece', () => {
    let pieces = 0;
    const parser = new FrameParser({ data: () => void pieces++, text() {}, ping() {}, pong() {}, close() {} }, { textAllowed: false });
    parser.push(Buffer.concat(Array.from({ length: 50 }, () => clientFrame({ opcode: 2, payload: 'keys' }))));
    assert.equal(pieces, 1);
  });

  it('yields the same bytes however the reads and the frames are cut', () => {
    const frameOf = fc.record({ size: fc.integer({ min: 0, max: 300 }), final: fc.boolean(), pinged: fc.boolean() });
    const cuts = fc.array(fc.nat(3000), { maxLength: 20 });
    fc.assert(
      fc.property(fc.array(frameOf, { minLength: 1, maxLength: 12 }), cuts, (frames, at) => {
        const sent: Buffer[] = [];
        const wire: Buffer[] = [];
        let inside = false;
        for (const each of frames) {
          const payload = Buffer.from(Array.from({ length: each.size }, (_, i) => (i * 7 + wire.length) & 0xff));
          sent.push(payload);
          if (each.pinged) wire.push(clientFrame({ opcode: 9, payload: 'p' }));
          wire.push(clientFrame({ opcode: inside ? 0 : 2, payload, final: each.final }));
          inside = !each.final;
        }
        const heard = listen(Buffer.concat(wire), at);
        assert.equal(heard.violation, null);
        assert.deepEqual(heard.data, Buffer.concat(sent));
      }),
      { numRuns: 300 },
    );
  });

  it('lives through any bytes at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(400), { maxLength: 5 }), (bytes, cuts) => {
        listen(Buffer.from(bytes), cuts);
      }),
      { numRuns: 500 },
    );
  });
});
