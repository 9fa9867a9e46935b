/**
 * bzip2, the reading half: what kombu's `bzip2` compression puts on a wire, in memory and within a limit. Node has no
 * decoder of its own, and the packages that have one bound neither what they put out nor what they believe.
 *
 * A stream is blocks, each the Burrows-Wheeler transform of up to 900,000 bytes behind a run-length coding, coded as
 * move-to-front indices with two to six Huffman tables that change every fifty symbols. Every number read is checked
 * against what it may be, and block and stream checksums against what was written.
 */

const STREAM_MAGIC = 0x425a68;
const BLOCK_MAGIC = [0x314159, 0x265359] as const;
const END_MAGIC = [0x177245, 0x385090] as const;
const BLOCK_UNIT = 100_000;
const GROUP_SYMBOLS = 50;
const CODE_BITS_MAX = 20;
const RUN_A = 0;
const RUN_B = 1;

/** The block at hand. Calls never overlap, and to make 3.6 MB anew for 300 bytes would cost more than reading them. */
let scratch = new Uint32Array(0);

function blockOf(length: number): Uint32Array {
  if (scratch.length < length) scratch = new Uint32Array(length);
  return scratch.subarray(0, length);
}

/** The decoded bytes. @throws RangeError when they are more than `bytesMax`; Error when the input is no bzip2 */
export function bunzip2(input: Uint8Array, bytesMax: number): Buffer {
  const bits = new BitReader(input);
  if (bits.read(24) !== STREAM_MAGIC) throw new Error('no bzip2');
  const level = bits.read(8) - 0x30;
  if (level < 1 || level > 9) throw new Error('no bzip2: a block size that there is not');
  const output = new Output(bytesMax);
  const block = blockOf(level * BLOCK_UNIT);
  let streamSum = 0;
  for (;;) {
    const magic = [bits.read(24), bits.read(24)];
    const expectedSum = bits.read(32);
    if (magic[0] === END_MAGIC[0] && magic[1] === END_MAGIC[1]) {
      if (expectedSum !== streamSum) throw new Error('bzip2: the checksum is wrong');
      return output.bytes();
    }
    if (magic[0] !== BLOCK_MAGIC[0] || magic[1] !== BLOCK_MAGIC[1]) throw new Error('bzip2: neither a block nor the end');
    const blockSum = decodeBlock(bits, block, output);
    if (blockSum !== expectedSum) throw new Error('bzip2: the checksum of a block is wrong');
    streamSum = (((streamSum << 1) | (streamSum >>> 31)) ^ blockSum) >>> 0;
  }
}

/** Returns the checksum of what was put out. */
function decodeBlock(bits: BitReader, block: Uint32Array, output: Output): number {
  if (bits.read(1) === 1) throw new Error('bzip2: randomised blocks are not written any more');
  const origin = bits.read(24);
  const symbols = readUsedBytes(bits);
  const tableCount = bits.read(3);
  if (tableCount < 2 || tableCount > 6) throw new Error('bzip2: a number of tables that there is not');
  const selectors = readSelectors(bits, tableCount);
  // Two for runs, one for the end of the block, and one less because index 0 is always a run.
  const codeCount = symbols.length + 2;
  const tables = Array.from({ length: tableCount }, () => readTable(bits, codeCount));
  const length = readSymbols(bits, symbols, selectors, tables, block);
  if (origin >= length) throw new Error('bzip2: a block that begins nowhere');
  linkTransform(block, length);
  return emit(block, length, origin, output);
}

function readUsedBytes(bits: BitReader): Uint8Array {
  const used: number[] = [];
  const rows = bits.read(16);
  for (let row = 0; row < 16; row++) {
    if ((rows & (0x8000 >>> row)) === 0) continue;
    const columns = bits.read(16);
    for (let column = 0; column < 16; column++) if ((columns & (0x8000 >>> column)) !== 0) used.push(row * 16 + column);
  }
  if (used.length === 0) throw new Error('bzip2: a block without bytes');
  return Uint8Array.from(used);
}

/** Which table codes each group of symbols, itself move-to-front coded. */
function readSelectors(bits: BitReader, tableCount: number): Uint8Array {
  const selectors = new Uint8Array(bits.read(15));
  if (selectors.length === 0) throw new Error('bzip2: no selectors');
  const order = Uint8Array.from({ length: tableCount }, (_, i) => i);
  for (let i = 0; i < selectors.length; i++) {
    let index = 0;
    while (bits.read(1) === 1) if (++index >= tableCount) throw new Error('bzip2: a selector beyond the tables');
    selectors[i] = toFront(order, index);
  }
  return selectors;
}

/** A canonical Huffman code: for each length its largest code, and where its symbols begin. */
interface Table {
  readonly limits: Int32Array;
  readonly offsets: Int32Array;
  readonly symbols: Uint16Array;
}

function readTable(bits: BitReader, codeCount: number): Table {
  const lengths = new Uint8Array(codeCount);
  let length = bits.read(5);
  for (let i = 0; i < codeCount; i++) {
    while (bits.read(1) === 1) length += bits.read(1) === 1 ? -1 : 1;
    if (length < 1 || length > CODE_BITS_MAX) throw new Error('bzip2: a code length that there is not');
    lengths[i] = length;
  }
  const limits = new Int32Array(CODE_BITS_MAX + 1).fill(-1);
  const offsets = new Int32Array(CODE_BITS_MAX + 1);
  const symbols = new Uint16Array(codeCount);
  let code = 0;
  let placed = 0;
  for (let size = 1; size <= CODE_BITS_MAX; size++) {
    offsets[size] = placed - code;
    for (let i = 0; i < codeCount; i++) {
      if (lengths[i] !== size) continue;
      symbols[placed++] = i;
      code++;
    }
    limits[size] = code - 1;
    code <<= 1;
  }
  return { limits, offsets, symbols };
}

function readSymbol(bits: BitReader, { limits, offsets, symbols }: Table): number {
  let code = 0;
  for (let size = 1; size <= CODE_BITS_MAX; size++) {
    code = (code << 1) | bits.read(1);
    if (code > (limits[size] as number)) continue;
    const symbol = symbols[code + (offsets[size] as number)];
    if (symbol !== undefined) return symbol;
  }
  throw new Error('bzip2: a code that there is not');
}

/** Fills the block with the transform's last column; returns its length. */
function readSymbols(bits: BitReader, order: Uint8Array, selectors: Uint8Array, tables: readonly Table[], block: Uint32Array): number {
  const endOfBlock = order.length + 1;
  let length = 0;
  let run = 0;
  let runWeight = 1;
  for (let count = 0; ; count++) {
    const table = tables[selectors[Math.floor(count / GROUP_SYMBOLS)] ?? tables.length];
    if (table === undefined) throw new Error('bzip2: more symbols than selectors');
    const symbol = readSymbol(bits, table);
    if (symbol === RUN_A || symbol === RUN_B) {
      run += symbol === RUN_A ? runWeight : 2 * runWeight;
      runWeight *= 2;
      if (run > block.length) throw new Error('bzip2: a block that is too long');
      continue;
    }
    if (run > 0) {
      if (length + run > block.length) throw new Error('bzip2: a block that is too long');
      block.fill(order[0] as number, length, length + run);
      length += run;
      run = 0;
      runWeight = 1;
    }
    if (symbol === endOfBlock) return length;
    if (length >= block.length) throw new Error('bzip2: a block that is too long');
    block[length++] = toFront(order, symbol - 1);
  }
}

/** The inverse transform's links, in the upper 24 bits; the byte stays in the lower eight. */
function linkTransform(block: Uint32Array, length: number): void {
  const starts = new Uint32Array(257);
  for (let i = 0; i < length; i++) (starts[((block[i] as number) & 0xff) + 1] as number)++;
  for (let byte = 0; byte < 256; byte++) starts[byte + 1] = (starts[byte + 1] as number) + (starts[byte] as number);
  for (let i = 0; i < length; i++) {
    const byte = (block[i] as number) & 0xff;
    const at = (starts[byte] as number)++;
    block[at] = ((block[at] as number) & 0xff) | (i << 8);
  }
}

/** Follows the links and undoes the first run-length coding: after four equal bytes, a count of more of them. */
function emit(block: Uint32Array, length: number, origin: number, output: Output): number {
  let sum = 0xffffffff;
  let at = (block[origin] as number) >>> 8;
  let last = -1;
  let equal = 0;
  for (let i = 0; i < length; i++) {
    const entry = block[at] as number;
    const byte = entry & 0xff;
    at = entry >>> 8;
    if (equal === 4) {
      output.repeat(last, byte);
      for (let n = 0; n < byte; n++) sum = checksum(sum, last);
      equal = 0;
      last = -1;
      continue;
    }
    equal = byte === last ? equal + 1 : 1;
    last = byte;
    output.repeat(byte, 1);
    sum = checksum(sum, byte);
  }
  return ~sum >>> 0;
}

function toFront(order: Uint8Array, index: number): number {
  const value = order[index];
  if (value === undefined) throw new Error('bzip2: an index beyond the list');
  order.copyWithin(1, 0, index);
  order[0] = value;
  return value;
}

/** CRC-32 of the polynomial 0x04c11db7, most significant bit first. */
const CHECKSUMS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte << 24;
  for (let bit = 0; bit < 8; bit++) value = value & 0x80000000 ? (value << 1) ^ 0x04c11db7 : value << 1;
  return value >>> 0;
});

function checksum(sum: number, byte: number): number {
  return (sum << 8) ^ (CHECKSUMS[((sum >>> 24) ^ byte) & 0xff] as number);
}

/** Bits, most significant first. */
class BitReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #held = 0;
  #heldBits = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** At most 32. @throws Error at the end of the input */
  read(count: number): number {
    if (count > 24) return this.read(count - 16) * 0x10000 + this.read(16);
    while (this.#heldBits < count) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new Error('bzip2: cut short');
      this.#held = ((this.#held << 8) | byte) & 0xffffffff;
      this.#heldBits += 8;
    }
    this.#heldBits -= count;
    return (this.#held >>> this.#heldBits) & ((1 << count) - 1);
  }
}

/** Bytes that grow up to a limit. */
class Output {
  readonly #bytesMax: number;
  #buffer: Buffer;
  #length = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#buffer = Buffer.allocUnsafe(Math.min(bytesMax, 65_536));
  }

  repeat(byte: number, count: number): void {
    const length = this.#length + count;
    if (length > this.#bytesMax) throw new RangeError(`more than ${this.#bytesMax} bytes`);
    if (length > this.#buffer.length) this.#grow(length);
    if (count === 1) this.#buffer[this.#length] = byte;
    else this.#buffer.fill(byte, this.#length, length);
    this.#length = length;
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #grow(length: number): void {
    const larger = Buffer.allocUnsafe(Math.min(this.#bytesMax, Math.max(length, 2 * this.#buffer.length)));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}
