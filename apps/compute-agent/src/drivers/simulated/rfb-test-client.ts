/**
 * A small RFB client for tests: speaks the handshake, asks for updates, decodes Raw and Hextile into red, green and
 * blue, and reads letters off the screen by comparing pixels with the font. Written from RFC 6143, not from the server beside it.
 */
import type { Duplex } from 'node:stream';
import { glyphOf, CELL_HEIGHT, CELL_WIDTH } from './font.ts';

export interface TestPixelFormat {
  readonly bits: 8 | 16 | 32;
  readonly depth: number;
  readonly bigEndian: boolean;
  readonly maxima: readonly [number, number, number];
  readonly shifts: readonly [number, number, number];
  readonly trueColour?: boolean;
}

export interface UpdatedRectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly encoding: number;
}

export const NATIVE: TestPixelFormat = { bits: 32, depth: 24, bigEndian: false, maxima: [255, 255, 255], shifts: [16, 8, 0] };

export class RfbTestClient {
  readonly stream: Duplex;
  width = 0;
  height = 0;
  name = '';
  /** Three bytes a pixel. */
  screen = Buffer.alloc(0);
  bytesRead = 0;
  #format = NATIVE;
  #kept: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => {};

  constructor(stream: Duplex) {
    this.stream = stream;
    stream.on('readable', () => this.#wake());
    for (const event of ['end', 'close'] as const) {
      stream.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
    }
  }

  /** Exactly `length` bytes; rejects when the stream ends first. */
  async read(length: number): Promise<Buffer> {
    while (this.#kept.length < length) {
      const chunk = this.stream.read() as Buffer | null;
      if (chunk !== null) {
        this.#kept = Buffer.concat([this.#kept, chunk]);
        continue;
      }
      if (this.#ended) throw new Error(`the stream ended, ${length - this.#kept.length} bytes short`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const bytes = this.#kept.subarray(0, length);
    this.#kept = this.#kept.subarray(length);
    this.bytesRead += length;
    return bytes;
  }

  /** Everything up to the end of the stream. */
  async readToEnd(): Promise<Buffer> {
    const pieces = [this.#kept];
    for (;;) {
      const piece = this.stream.read() as Buffer | null;
      if (piece !== null) pieces.push(piece);
      else if (this.#ended) return Buffer.concat(pieces);
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  send(...parts: readonly (Buffer | string | readonly number[])[]): void {
    const pieces = parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part)));
    this.stream.write(Buffer.concat(pieces));
  }

  /** The whole handshake as a client of that version; resolves with what ServerInit said filled in. */
  async handshake(minor = 8): Promise<this> {
    const greeting = (await this.read(12)).toString();
    if (greeting !== 'RFB 003.008\n') throw new Error(`unexpected greeting ${greeting}`);
    this.send(`RFB 003.00${minor}\n`);
    if (minor >= 7) {
      const [count] = await this.read(1);
      const types = await this.read(count!);
      if (!types.includes(1)) throw new Error('security type None was not offered');
      this.send([1]);
      if (minor >= 8 && (await this.read(4)).readUInt32BE() !== 0) throw new Error('security failed');
    } else if ((await this.read(4)).readUInt32BE() !== 1) {
      throw new Error('security type None was not chosen');
    }
    this.send([1]);
    return this.serverInit();
  }

  async serverInit(): Promise<this> {
    const init = await this.read(24);
    this.width = init.readUInt16BE(0);
    this.height = init.readUInt16BE(2);
    this.name = (await this.read(init.readUInt32BE(20))).toString();
    this.screen = Buffer.alloc(this.width * this.height * 3);
    return this;
  }

  setPixelFormat(format: TestPixelFormat): void {
    this.#format = format;
    this.send(pixelFormatMessage(format));
  }

  setEncodings(...encodings: readonly number[]): void {
    const bytes = Buffer.alloc(4 + 4 * encodings.length);
    bytes[0] = 2;
    bytes.writeUInt16BE(encodings.length, 2);
    encodings.forEach((encoding, index) => bytes.writeInt32BE(encoding, 4 + 4 * index));
    this.send(bytes);
  }

  request(incremental: boolean, x = 0, y = 0, width = this.width, height = this.height): void {
    const bytes = Buffer.alloc(10);
    bytes[0] = 3;
    bytes[1] = incremental ? 1 : 0;
    [x, y, width, height].forEach((value, index) => bytes.writeUInt16BE(value, 2 + 2 * index));
    this.send(bytes);
  }

  key(down: boolean, keysym: number): void {
    const bytes = Buffer.from([4, down ? 1 : 0, 0, 0, 0, 0, 0, 0]);
    bytes.writeUInt32BE(keysym, 4);
    this.send(bytes);
  }

  type(text: string): void {
    for (const character of text) {
      const keysym = character === '\n' ? 0xff0d : character.codePointAt(0)!;
      this.key(true, keysym);
      this.key(false, keysym);
    }
  }

  pointer(buttons: number, x: number, y: number): void {
    const bytes = Buffer.from([5, buttons, 0, 0, 0, 0]);
    bytes.writeUInt16BE(x, 2);
    bytes.writeUInt16BE(y, 4);
    this.send(bytes);
  }

  /** Reads one FramebufferUpdate into `screen`. */
  async update(): Promise<UpdatedRectangle[]> {
    const header = await this.read(4);
    if (header[0] !== 0) throw new Error(`unexpected message ${header[0]}`);
    const rectangles: UpdatedRectangle[] = [];
    for (let left = header.readUInt16BE(2); left > 0; left -= 1) rectangles.push(await this.#rectangle());
    return rectangles;
  }

  /** Asks for changes until what is on the screen pleases. */
  async until(pleases: () => boolean): Promise<void> {
    while (!pleases()) {
      this.request(true);
      await this.update();
    }
  }

  pixel(x: number, y: number): number {
    return this.screen.readUIntBE((y * this.width + x) * 3, 3);
  }

  /** The letters in `colour` from (x, y) on; what matches no drawing reads as `?`. */
  textAt(x: number, y: number, length: number, colour: number): string {
    return Array.from({ length }, (_, index) => this.#letterAt(x + index * CELL_WIDTH, y, colour)).join('');
  }

  #letterAt(x: number, y: number, colour: number): string {
    for (let code = 32; code <= 126; code += 1) {
      const letter = String.fromCharCode(code);
      if (this.#isLetter(glyphOf(letter), x, y, colour)) return letter;
    }
    return '?';
  }

  #isLetter(glyph: Uint8Array, x: number, y: number, colour: number): boolean {
    for (let row = 0; row < CELL_HEIGHT; row += 1) {
      for (let column = 0; column < CELL_WIDTH - 1; column += 1) {
        const drawn = (glyph[row]! & (0x80 >> column)) !== 0;
        if (drawn !== (this.pixel(x + column, y + row) === colour)) return false;
      }
    }
    return true;
  }

  async #rectangle(): Promise<UpdatedRectangle> {
    const header = await this.read(12);
    const [x, y, width, height] = [0, 2, 4, 6].map((at) => header.readUInt16BE(at)) as [number, number, number, number];
    const encoding = header.readInt32BE(8);
    if (x + width > this.width || y + height > this.height) throw new Error('a rectangle outside the screen');
    if (encoding === 0) await this.#raw(x, y, width, height);
    else if (encoding === 5) await this.#hextile(x, y, width, height);
    else throw new Error(`unasked encoding ${encoding}`);
    return { x, y, width, height, encoding };
  }

  async #raw(x: number, y: number, width: number, height: number): Promise<void> {
    const size = this.#format.bits / 8;
    const bytes = await this.read(width * height * size);
    for (let at = 0; at < width * height; at += 1) {
      this.#set(x + (at % width), y + Math.floor(at / width), this.#colour(bytes.subarray(at * size)));
    }
  }

  async #hextile(x: number, y: number, width: number, height: number): Promise<void> {
    const size = this.#format.bits / 8;
    let background = 0;
    let foreground = 0;
    for (let top = y; top < y + height; top += 16) {
      for (let left = x; left < x + width; left += 16) {
        const across = Math.min(16, x + width - left);
        const down = Math.min(16, y + height - top);
        const flags = (await this.read(1))[0]!;
        if ((flags & 1) !== 0) {
          await this.#raw(left, top, across, down);
          continue;
        }
        if ((flags & 2) !== 0) background = this.#colour(await this.read(size));
        if ((flags & 4) !== 0) foreground = this.#colour(await this.read(size));
        this.#fill(left, top, across, down, background);
        if ((flags & 8) === 0) continue;
        for (let parts = (await this.read(1))[0]!; parts > 0; parts -= 1) {
          const colour = (flags & 16) !== 0 ? this.#colour(await this.read(size)) : foreground;
          const [place, extent] = (await this.read(2)) as unknown as [number, number];
          this.#fill(left + (place >> 4), top + (place & 15), (extent >> 4) + 1, (extent & 15) + 1, colour);
        }
      }
    }
  }

  /** One pixel of the wire as 0xRRGGBB. */
  #colour(bytes: Buffer): number {
    const { bits, bigEndian, maxima, shifts } = this.#format;
    const value = bigEndian ? bytes.readUIntBE(0, bits / 8) : bytes.readUIntLE(0, bits / 8);
    const channels = maxima.map((max, index) => Math.round((((value >>> shifts[index]!) & max) * 255) / max));
    return (channels[0]! << 16) | (channels[1]! << 8) | channels[2]!;
  }

  #fill(x: number, y: number, width: number, height: number, colour: number): void {
    for (let row = y; row < y + height; row += 1) {
      for (let column = x; column < x + width; column += 1) this.#set(column, row, colour);
    }
  }

  #set(x: number, y: number, colour: number): void {
    this.screen.writeUIntBE(colour, (y * this.width + x) * 3, 3);
  }
}

export function pixelFormatMessage(format: TestPixelFormat): Buffer {
  const bytes = Buffer.alloc(20);
  bytes[4] = format.bits;
  bytes[5] = format.depth;
  bytes[6] = format.bigEndian ? 1 : 0;
  bytes[7] = format.trueColour === false ? 0 : 1;
  format.maxima.forEach((max, index) => bytes.writeUInt16BE(max, 8 + 2 * index));
  format.shifts.forEach((shift, index) => bytes.writeUInt8(shift, 14 + index));
  return bytes;
}
