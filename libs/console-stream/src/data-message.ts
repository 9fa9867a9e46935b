/**
 * The bytes of a Data message, written and read by hand: all that a console carries comes in these, and a general encoder
 * copied each payload once more and made ten objects of it. In both directions it is field 2 of the message around it.
 * The tests hold these to be the bytes of the schema's own encoder.
 */
import type { Data } from './attach-messages.ts';

const DATA_TAG = 0x12;
const OFFSET_TAG = 0x08;
const ACK_TAG = 0x10;
const PAYLOAD_TAG = 0x1a;
/** Of a varint, beyond which a number is no longer exact. */
const EXACT_BYTES_MAX = 7;

export function encodeData({ offset, ack, payload }: Data): Buffer {
  const inside = 3 + varintBytes(offset) + varintBytes(ack) + varintBytes(payload.length) + payload.length;
  const bytes = Buffer.allocUnsafe(1 + varintBytes(inside) + inside);
  bytes[0] = DATA_TAG;
  let at = writeVarint(bytes, 1, inside);
  bytes[at] = OFFSET_TAG;
  at = writeVarint(bytes, at + 1, offset);
  bytes[at] = ACK_TAG;
  at = writeVarint(bytes, at + 1, ack);
  bytes[at] = PAYLOAD_TAG;
  at = writeVarint(bytes, at + 1, payload.length);
  bytes.set(payload, at);
  return bytes;
}

/** Null for everything that is not exactly as written above: other messages, other orders, numbers that are too large. */
export function decodeData(bytes: Buffer): Data | null {
  const reader = new Reader(bytes);
  const inside = reader.field(DATA_TAG);
  if (inside !== bytes.length - reader.at) return null;
  const offset = reader.field(OFFSET_TAG);
  const ack = reader.field(ACK_TAG);
  const length = reader.field(PAYLOAD_TAG);
  if (!reader.isGood || length !== bytes.length - reader.at) return null;
  return { offset, ack, payload: bytes.subarray(reader.at) };
}

class Reader {
  readonly #bytes: Buffer;
  at = 0;
  isGood = true;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** The number of the field that begins here. */
  field(tag: number): number {
    if (this.#bytes[this.at] !== tag) this.isGood = false;
    let value = 0;
    let scale = 1;
    for (let i = 1; i <= EXACT_BYTES_MAX; i++, scale *= 128) {
      const byte = this.#bytes[this.at + i];
      if (byte === undefined) break;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.at += i + 1;
        return value;
      }
    }
    this.isGood = false;
    return 0;
  }
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}

/** Answers with where it ends. */
function writeVarint(bytes: Buffer, from: number, value: number): number {
  let at = from;
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes[at++] = (rest % 128) | 0x80;
  bytes[at++] = rest;
  return at;
}
