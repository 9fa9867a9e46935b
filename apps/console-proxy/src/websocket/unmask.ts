/**
 * XOR a client's payload with its frame's key (RFC 6455 5.3), in place. This is the hot spot of everything a browser sends:
 * what lies in the relay's memory goes by sixteen bytes, and long pieces elsewhere by 32-bit words, for the byte loop costs
 * four times as much as that. So is what it would cost to make a view for each frame: one read has one, and a frame is two numbers.
 */
import { relayMemory, type RelayMemory } from '@gatehouse/console-stream/relay-memory';

const WORDS_FROM = 32;
const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

const NOTHING: Buffer = Buffer.alloc(0);

export class Unmasker {
  #bytes = NOTHING;
  /** Null where the bytes do not lie in it. */
  #memory: RelayMemory | null = null;
  #words: Int32Array | null = null;
  /** Of the first word's first byte. */
  #wordsAt = 0;
  /** The key's four bytes as a number, in the order of the next payload byte. */
  #key = 0;

  /** What is unmasked from now on stands in these bytes. */
  begin(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#memory = relayMemory !== null && relayMemory.has(bytes) ? relayMemory : null;
    this.#words = null;
  }

  /** They are not kept: an idle connection would hold what it read last. */
  finish(): void {
    this.#bytes = NOTHING;
    this.#words = null;
  }

  /** A new frame: its key stands at `at`. */
  setKey(bytes: Buffer, at: number): void {
    this.#key = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  }

  /** The next payload of the frame is [start, end). */
  unmask(start: number, end: number): void {
    const bytes = this.#bytes;
    if (this.#memory !== null) {
      this.#key = this.#memory.xor(bytes, start, end, this.#key);
      return;
    }
    let at = start;
    if (end - start >= WORDS_FROM) {
      for (; ((bytes.byteOffset + at) & 3) !== 0; at++) this.#unmaskByte(at);
      at = this.#unmaskWords(at, end);
    }
    for (; at < end; at++) this.#unmaskByte(at);
  }

  #unmaskByte(at: number): void {
    this.#bytes[at]! ^= this.#key & 0xff;
    this.#key = (this.#key >>> 8) | (this.#key << 24);
  }

  /** From an address that words can have; answers with where it stopped. */
  #unmaskWords(at: number, end: number): number {
    const words = (this.#words ??= this.#viewWords());
    const key = LITTLE_ENDIAN ? this.#key : swapped(this.#key);
    const first = (at - this.#wordsAt) >> 2;
    const past = first + ((end - at) >> 2);
    for (let i = first; i < past; i++) words[i]! ^= key;
    return at + ((past - first) << 2);
  }

  #viewWords(): Int32Array {
    const { buffer, byteOffset, length } = this.#bytes;
    this.#wordsAt = -byteOffset & 3;
    return new Int32Array(buffer, byteOffset + this.#wordsAt, (length - this.#wordsAt) >> 2);
  }
}

function swapped(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}
