/**
 * The memory that reads of fast flows go into, and the one thing that is done with it there: to XOR a client's bytes with
 * their key, sixteen at a time, which JavaScript cannot and which costs a third of its word by word loop. The function is
 * WebAssembly, so the memory is too. Both are left out where the system does not give them (a limit on address space:
 * V8 reserves gigabytes of it for bounds checks, and touches none).
 */

export interface RelayMemory {
  /** Null when all of it is in use. Never given back to it: who takes some keeps it for the next. */
  take(bytes: number): Buffer | null;
  /** Whether these bytes lie in it. */
  has(bytes: Buffer): boolean;
  /** XORs `bytes` from `start` to `end`; the key's lowest byte is for the first of them. Answers with the key for what follows. */
  xor(bytes: Buffer, start: number, end: number, key: number): number;
}

/** Of 64 KiB: room for sixteen large reads. */
const PAGES = 68;

/**
 * (module
 *   (import "relay" "memory" (memory 1))
 *   (func (export "xor") (param $at i32) (param $end i32) (param $key i32) (result i32)
 *     (local $keys v128) (local $past i32)
 *     (local.set $keys (i32x4.splat (local.get $key)))
 *     (local.set $past (i32.sub (local.get $end) (i32.const 15)))
 *     (block (loop
 *       (br_if 1 (i32.ge_s (local.get $at) (local.get $past)))
 *       (v128.store align=1 (local.get $at) (v128.xor (v128.load align=1 (local.get $at)) (local.get $keys)))
 *       (local.set $at (i32.add (local.get $at) (i32.const 16)))
 *       (br 0)))
 *     (block (loop
 *       (br_if 1 (i32.ge_s (local.get $at) (local.get $end)))
 *       (i32.store8 (local.get $at) (i32.xor (i32.load8_u (local.get $at)) (local.get $key)))
 *       (local.set $key (i32.rotr (local.get $key) (i32.const 8)))
 *       (local.set $at (i32.add (local.get $at) (i32.const 1)))
 *       (br 0)))
 *     (local.get $key)))
 */
const XOR_BODY = [
  ...[0x02, 0x01, 0x7b, 0x01, 0x7f],
  ...[0x20, 2, 0xfd, 0x11, 0x21, 3],
  ...[0x20, 1, 0x41, 15, 0x6b, 0x21, 4],
  ...[0x02, 0x40, 0x03, 0x40],
  ...[0x20, 0, 0x20, 4, 0x4e, 0x0d, 1],
  ...[0x20, 0, 0x20, 0, 0xfd, 0x00, 0, 0, 0x20, 3, 0xfd, 0x51, 0xfd, 0x0b, 0, 0],
  ...[0x20, 0, 0x41, 16, 0x6a, 0x21, 0],
  ...[0x0c, 0, 0x0b, 0x0b],
  ...[0x02, 0x40, 0x03, 0x40],
  ...[0x20, 0, 0x20, 1, 0x4e, 0x0d, 1],
  ...[0x20, 0, 0x20, 0, 0x2d, 0, 0, 0x20, 2, 0x73, 0x3a, 0, 0],
  ...[0x20, 2, 0x41, 8, 0x78, 0x21, 2],
  ...[0x20, 0, 0x41, 1, 0x6a, 0x21, 0],
  ...[0x0c, 0, 0x0b, 0x0b],
  ...[0x20, 2, 0x0b],
];

const section = (id: number, content: readonly number[]): readonly number[] => [id, content.length & 0x7f | 0x80, content.length >> 7, ...content];
const named = (name: string): readonly number[] => [name.length, ...Buffer.from(name)];

const MODULE = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...section(1, [1, 0x60, 3, 0x7f, 0x7f, 0x7f, 1, 0x7f]),
  ...section(2, [1, ...named('relay'), ...named('memory'), 2, 0, 1]),
  ...section(3, [1, 0]),
  ...section(7, [1, ...named('xor'), 0, 0]),
  ...section(10, [1, XOR_BODY.length & 0x7f | 0x80, XOR_BODY.length >> 7, ...XOR_BODY]),
]);

/** Null where the system does not give it. */
export const relayMemory: RelayMemory | null = openRelayMemory();

function openRelayMemory(): RelayMemory | null {
  try {
    return relayMemoryOf(new WebAssembly.Memory({ initial: PAGES, maximum: PAGES }));
  } catch {
    return null;
  }
}

function relayMemoryOf(memory: WebAssembly.Memory): RelayMemory {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(MODULE), { relay: { memory } });
  const xor = exports['xor'] as (at: number, end: number, key: number) => number;
  const { buffer } = memory;
  let taken = 0;
  return {
    take(bytes) {
      if (taken + bytes > buffer.byteLength) return null;
      taken += bytes;
      return Buffer.from(buffer, taken - bytes, bytes);
    },
    has: (bytes) => bytes.buffer === buffer,
    xor: (bytes, start, end, key) => xor(bytes.byteOffset + start, bytes.byteOffset + end, key),
  };
}
