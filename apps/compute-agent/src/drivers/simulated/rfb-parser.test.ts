import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isServiceError } from '@gatehouse/errors/service-error';
import { NATIVE_FORMAT, writePixelFormat } from './pixel-format.ts';
import { ENCODINGS_MAX, RfbParser } from './rfb-parser.ts';
import type { RfbMessage } from './rfb-parser.ts';

const HANDSHAKE = Buffer.from('RFB 003.008\n\x01\x01');
const KEPT_BYTES_MAX = 4 + 4 * ENCODINGS_MAX;

function readAll(parser: RfbParser, chunks: readonly Buffer[]): { messages: RfbMessage[]; refused: boolean } {
  const messages: RfbMessage[] = [];
  for (const chunk of chunks) {
    try {
      for (const message of parser.read(chunk)) messages.push(message);
    } catch (error) {
      assert.ok(isServiceError(error) && error.code === 'INVALID_ARGUMENT', String(error));
      return { messages, refused: true };
    }
    assert.ok(parser.keptBytes <= KEPT_BYTES_MAX, `${parser.keptBytes} bytes kept`);
  }
  return { messages, refused: false };
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length));
}

const word = fc.integer({ min: 0, max: 0xffff });
const bytesOf = (length: number, write: (bytes: Buffer) => void): Buffer => {
  const bytes = Buffer.alloc(length);
  write(bytes);
  return bytes;
};

/** Valid messages, as bytes. */
const message = fc.oneof(
  fc.constant(Buffer.concat([Buffer.from([0, 0, 0, 0]), writePixelFormat(NATIVE_FORMAT)])),
  fc.array(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), { maxLength: 40 }).map((encodings) =>
    bytesOf(4 + 4 * encodings.length, (bytes) => {
      bytes[0] = 2;
      bytes.writeUInt16BE(encodings.length, 2);
      encodings.forEach((encoding, index) => bytes.writeInt32BE(encoding, 4 + 4 * index));
    }),
  ),
  fc.tuple(fc.boolean(), word, word, word, word).map(([incremental, ...area]) =>
    bytesOf(10, (bytes) => {
      bytes.writeUInt16BE(0x0300 | Number(incremental), 0);
      area.forEach((value, index) => bytes.writeUInt16BE(value, 2 + 2 * index));
    }),
  ),
  fc.tuple(fc.boolean(), fc.nat({ max: 0xffffffff })).map(([down, keysym]) =>
    bytesOf(8, (bytes) => {
      bytes.writeUInt16BE(0x0400 | Number(down), 0);
      bytes.writeUInt32BE(keysym, 4);
    }),
  ),
  fc.tuple(fc.integer({ min: 0, max: 255 }), word, word).map(([buttons, x, y]) =>
    bytesOf(6, (bytes) => {
      bytes.writeUInt16BE(0x0500 | buttons, 0);
      bytes.writeUInt16BE(x, 2);
      bytes.writeUInt16BE(y, 4);
    }),
  ),
  fc.uint8Array({ maxLength: 300 }).map((text) =>
    bytesOf(8 + text.length, (bytes) => {
      bytes[0] = 6;
      bytes.writeUInt32BE(text.length, 4);
      bytes.set(text, 8);
    }),
  ),
);

describe('the RFB parser', () => {
  it('refuses or waits for anything, in any pieces, and keeps at most one message', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 600 }), { maxLength: 20 }), (chunks) => {
        readAll(new RfbParser(), chunks.map((chunk) => Buffer.from(chunk)));
      }),
    );
  });

  it('does so as well after a good handshake', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), fc.array(fc.nat(), { maxLength: 10 }), (garbage, places) => {
        readAll(new RfbParser(), [HANDSHAKE, ...cut(Buffer.from(garbage), places)]);
      }),
      { numRuns: 300 },
    );
  });

  it('does so where a good message is bent at one place', () => {
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 10 }), fc.nat(), fc.integer({ min: 0, max: 255 }), (messages, place, value) => {
        const bytes = Buffer.concat(messages);
        bytes[place % bytes.length] = value;
        readAll(new RfbParser(), [HANDSHAKE, bytes]);
      }),
      { numRuns: 300 },
    );
  });

  it('reads the same messages however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 20 }), fc.array(fc.nat(), { maxLength: 30 }), (messages, places) => {
        const bytes = Buffer.concat([HANDSHAKE, ...messages]);
        const whole = readAll(new RfbParser(), [bytes]);
        assert.equal(whole.refused, false);
        assert.equal(whole.messages.length, messages.length + 3);
        assert.deepEqual(readAll(new RfbParser(), cut(bytes, places)), whole);
      }),
    );
  });

  it('waits for the rest of every message', () => {
    const parser = new RfbParser();
    assert.deepEqual(readAll(parser, [Buffer.from('RFB 003.00')]), { messages: [], refused: false });
    assert.equal(parser.phase, 'version');
    readAll(parser, [Buffer.from('7\n')]);
    assert.deepEqual([parser.phase, parser.minor], ['security', 7]);
  });
});
