/** The sending half of RFC 6455: a server's frames are never masked, and ours are never fragmented. */
import { OPCODE } from './frame-parser.ts';

/** A close reason has what is left of a control frame's 125 bytes after the code. */
export const REASON_BYTES_MAX = 123;

/** The header of a final frame with `length` bytes of payload. */
export function frameHeader(opcode: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(headerBytes(length));
  writeHeader(header, 0, opcode, length);
  return header;
}

/** The frame whose payload is `whole` from `start` on, with its header written before it; null where there is no room for one. */
export function frameAround(whole: Buffer, start: number, opcode: number): Buffer | null {
  const length = whole.length - start;
  const at = start - headerBytes(length);
  if (at < 0) return null;
  writeHeader(whole, at, opcode, length);
  return at === 0 ? whole : whole.subarray(at);
}

/** A whole frame in one buffer: for payloads small enough that a copy costs less than a second write. */
export function frame(opcode: number, payload: Uint8Array): Buffer {
  const size = headerBytes(payload.length);
  const whole = Buffer.allocUnsafe(size + payload.length);
  writeHeader(whole, 0, opcode, payload.length);
  whole.set(payload, size);
  return whole;
}

/** A close frame; a reason longer than the protocol allows is cut at a character. */
export function closeFrame(code: number, reason: string): Buffer {
  const words = cutToBytes(reason, REASON_BYTES_MAX);
  const payload = Buffer.allocUnsafe(2 + words.length);
  payload.writeUInt16BE(code, 0);
  payload.set(words, 2);
  return frame(OPCODE.close, payload);
}

function headerBytes(length: number): number {
  return length < 126 ? 2 : length < 65_536 ? 4 : 10;
}

function writeHeader(into: Buffer, at: number, opcode: number, length: number): void {
  into[at] = 0x80 | opcode;
  if (length < 126) {
    into[at + 1] = length;
  } else if (length < 65_536) {
    into[at + 1] = 126;
    into.writeUInt16BE(length, at + 2);
  } else {
    into[at + 1] = 127;
    into.writeUInt32BE(Math.floor(length / 2 ** 32), at + 2);
    into.writeUInt32BE(length >>> 0, at + 6);
  }
}

function cutToBytes(text: string, bytesMax: number): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= bytesMax) return bytes;
  let end = bytesMax;
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}
