/** A text that has new randomness in one place each time it is read; all around it stays the same. */
import { randomBytes } from 'node:crypto';

export interface SeededText {
  readonly before: string;
  readonly after: string;
  /** Of randomness; they stand in the text in base64. */
  readonly seedBytes: number;
}

export function readSeeded({ before, after, seedBytes }: SeededText): string {
  return before + drawn(seedBytes).toString('base64') + after;
}

/** In UTF-8, at every reading. */
export function bytesOfSeeded({ before, after, seedBytes }: SeededText): number {
  return Buffer.byteLength(before) + Math.ceil(seedBytes / 3) * 4 + Buffer.byteLength(after);
}

/** Drawn for many seeds at once: the system's generator costs more to call than to read. */
let reserve = Buffer.alloc(0);
const RESERVE_BYTES = 32_768;

/** Random bytes that nobody else gets, nor got. */
function drawn(bytes: number): Buffer {
  if (bytes > RESERVE_BYTES) return randomBytes(bytes);
  if (reserve.length < bytes) reserve = randomBytes(RESERVE_BYTES);
  const some = reserve.subarray(0, bytes);
  reserve = reserve.subarray(bytes);
  return some;
}
