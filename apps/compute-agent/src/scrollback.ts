/**
 * The last bytes of an endless output, by their offset in it. Memory grows with what is there up to the limit and
 * no further.
 */
const FIRST_BYTES = 4096;

export class Scrollback {
  readonly #bytesMax: number;
  #ring: Buffer;
  #end: number;
  #length = 0;

  /** `offset` is that of the first byte that will be added. */
  constructor(bytesMax: number, offset: number) {
    this.#bytesMax = bytesMax;
    this.#ring = Buffer.alloc(Math.min(FIRST_BYTES, bytesMax));
    this.#end = offset;
  }

  /** Of the oldest byte kept. */
  get start(): number {
    return this.#end - this.#length;
  }

  /** Of the byte that comes next. */
  get end(): number {
    return this.#end;
  }

  append(chunk: Buffer): void {
    this.#grow(this.#length + chunk.length);
    const kept = chunk.subarray(Math.max(0, chunk.length - this.#ring.length));
    const at = (this.#end + chunk.length - kept.length) % this.#ring.length;
    const first = kept.subarray(0, this.#ring.length - at);
    first.copy(this.#ring, at);
    kept.copy(this.#ring, 0, first.length);
    this.#end += chunk.length;
    this.#length = Math.min(this.#ring.length, this.#length + chunk.length);
  }

  /** A copy of at most `bytesMax` bytes from `offset` on, which must be between start and end. */
  read(offset: number, bytesMax: number): Buffer {
    const length = Math.min(bytesMax, this.#end - offset);
    const at = offset % this.#ring.length;
    const first = this.#ring.subarray(at, Math.min(at + length, this.#ring.length));
    return Buffer.concat([first, this.#ring.subarray(0, length - first.length)]);
  }

  #grow(bytes: number): void {
    if (bytes <= this.#ring.length || this.#ring.length === this.#bytesMax) return;
    const kept = this.read(this.start, this.#length);
    const size = Math.min(this.#bytesMax, Math.max(bytes, this.#ring.length * 2));
    const end = this.#end;
    this.#ring = Buffer.alloc(size);
    this.#end = end - kept.length;
    this.#length = 0;
    this.append(kept);
  }
}
