/** The fields of an SSH wire blob (RFC 4251 5), one after the other; every read past the end throws RangeError. */
export class SshReader {
  readonly #blob: Buffer;
  #at = 0;

  constructor(blob: Buffer) {
    this.#blob = blob;
  }

  /** A length-prefixed string of bytes. */
  bytes(): Buffer {
    this.skip(4);
    const length = this.#blob.readUInt32BE(this.#at - 4);
    this.skip(length);
    return this.#blob.subarray(this.#at - length, this.#at);
  }

  /** A length-prefixed string that must be printable ASCII. */
  text(): string {
    const text = this.bytes().toString('latin1');
    if (!/^[\x21-\x7e]+$/.test(text)) throw new RangeError('a name in it is not readable');
    return text;
  }

  /** An mpint above zero, as its big-endian bytes without leading zeros. */
  positive(): Buffer {
    const bytes = this.bytes();
    if (bytes.length === 0 || (bytes[0] ?? 0) >= 0x80) throw new RangeError('a number in it is not above zero');
    const start = bytes[0] === 0 ? 1 : 0;
    if ((bytes[start] ?? 0) === 0) throw new RangeError('a number in it begins with needless zeros');
    return bytes.subarray(start);
  }

  skip(count: number): void {
    if (this.#at + count > this.#blob.length) throw new RangeError('it ends early');
    this.#at += count;
  }

  /** Nothing may follow. */
  end(): void {
    if (this.#at !== this.#blob.length) throw new RangeError('bytes follow its last field');
  }
}
