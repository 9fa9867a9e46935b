/**
 * XOR a client's payload with its frame's key (RFC 6455 5.3), in place. Long pieces go by 32-bit words: the
 * byte loop costs four times as much, and this is the hot spot of everything a browser sends.
 */

const WORDS_FROM = 48;
const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** The masking key as four bytes, rotated as needed by `phase`. */
export type MaskKey = readonly [number, number, number, number];

/**
 * Unmask `bytes[start, end)` in place. `phase` says how many payload bytes of this frame came before `start`.
 */
export function unmask(bytes: Buffer, start: number, end: number, key: MaskKey, phase: number): void {
  let at = start;
  let turn = phase;
  if (end - start >= WORDS_FROM) {
    for (; ((bytes.byteOffset + at) & 3) !== 0; at++, turn++) bytes[at]! ^= key[(turn & 3) as 0 | 1 | 2 | 3];
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + at, (end - at) >>> 2);
    const mask = keyWord(key, turn);
    for (let i = 0; i < words.length; i++) words[i]! ^= mask;
    at += words.length << 2;
  }
  for (; at < end; at++, turn++) bytes[at]! ^= key[(turn & 3) as 0 | 1 | 2 | 3];
}

function keyWord(key: MaskKey, phase: number): number {
  const at = (i: number): number => key[((phase + i) & 3) as 0 | 1 | 2 | 3];
  return LITTLE_ENDIAN
    ? at(0) | (at(1) << 8) | (at(2) << 16) | (at(3) << 24)
    : at(3) | (at(2) << 8) | (at(1) << 16) | (at(0) << 24);
}
