/**
 * Rectangles as RFB sends them (RFC 6143, 7.7): Raw, which every client takes, and Hextile, which shrinks this
 * screen of flat colours to a few per cent. A rectangle is encoded from palette indices.
 */
import type { Canvas } from './canvas.ts';
import { PALETTE } from './palette.ts';
import { palettePixels } from './pixel-format.ts';
import type { PixelFormat } from './pixel-format.ts';

export const ENCODING_RAW = 0;
export const ENCODING_HEXTILE = 5;
export type Encoding = typeof ENCODING_RAW | typeof ENCODING_HEXTILE;

const RECTANGLE_HEADER_BYTES = 12;
const TILE = 16;
const SUBRECTANGLES_MAX = 255;

const TILE_RAW = 1;
const TILE_BACKGROUND = 2;
const TILE_FOREGROUND = 4;
const TILE_SUBRECTANGLES = 8;
const TILE_COLOURED = 16;

/** How one client wants its pixels. */
export class RectangleEncoder {
  readonly #encoding: Encoding;
  readonly #bytesPerPixel: number;
  readonly #pixels: Uint8Array;

  constructor(format: PixelFormat, encoding: Encoding) {
    this.#encoding = encoding;
    this.#bytesPerPixel = format.bytesPerPixel;
    this.#pixels = palettePixels(format);
  }

  /** A rectangle with its header, ready to send. */
  encode(canvas: Canvas): Buffer {
    const { area } = canvas;
    const tiles = Math.ceil(area.width / TILE) * Math.ceil(area.height / TILE);
    // No tile is ever longer than its raw form, so this holds either encoding.
    const bytes = Buffer.allocUnsafe(RECTANGLE_HEADER_BYTES + tiles + area.width * area.height * this.#bytesPerPixel);
    bytes.writeUInt16BE(area.x, 0);
    bytes.writeUInt16BE(area.y, 2);
    bytes.writeUInt16BE(area.width, 4);
    bytes.writeUInt16BE(area.height, 6);
    bytes.writeInt32BE(this.#encoding, 8);
    const end =
      this.#encoding === ENCODING_RAW
        ? this.#raw(canvas.pixels, bytes, RECTANGLE_HEADER_BYTES)
        : this.#hextile(canvas, bytes, RECTANGLE_HEADER_BYTES);
    // A copy, so that a few hundred bytes that wait to be read do not keep a whole raw rectangle alive.
    return end * 2 < bytes.length ? Buffer.from(bytes.subarray(0, end)) : bytes.subarray(0, end);
  }

  #raw(indices: Uint8Array, bytes: Buffer, start: number): number {
    const size = this.#bytesPerPixel;
    const pixels = this.#pixels;
    let at = start;
    for (let place = 0; place < indices.length; place += 1) {
      const from = indices[place]! * size;
      for (let byte = 0; byte < size; byte += 1) bytes[at + byte] = pixels[from + byte]!;
      at += size;
    }
    return at;
  }

  #pixel(index: number, bytes: Buffer, at: number): number {
    const from = index * this.#bytesPerPixel;
    for (let byte = 0; byte < this.#bytesPerPixel; byte += 1) bytes[at + byte] = this.#pixels[from + byte]!;
    return at + this.#bytesPerPixel;
  }

  #hextile(canvas: Canvas, bytes: Buffer, start: number): number {
    const { width, height } = canvas.area;
    let at = start;
    let background = -1;
    for (let top = 0; top < height; top += TILE) {
      for (let left = 0; left < width; left += TILE) {
        const tile = new Tile(canvas, left, top);
        at = this.#tile(tile, background, bytes, at);
        // A raw tile leaves the background undefined (7.7.4); any other one has set it.
        background = tile.sentRaw ? -1 : tile.background;
      }
    }
    return at;
  }

  #tile(tile: Tile, lastBackground: number, bytes: Buffer, start: number): number {
    const rawBytes = 1 + tile.width * tile.height * this.#bytesPerPixel;
    let flags = tile.background === lastBackground ? 0 : TILE_BACKGROUND;
    let at = start + 1;
    if (flags !== 0) at = this.#pixel(tile.background, bytes, at);
    if (tile.colours > 1) {
      const parts = tile.parts();
      const coloured = tile.colours > 2;
      const partBytes = 2 + (coloured ? this.#bytesPerPixel : 0);
      const total = at - start + 1 + (coloured ? 0 : this.#bytesPerPixel) + parts.length * partBytes;
      if (parts.length > SUBRECTANGLES_MAX || total > rawBytes) {
        tile.sentRaw = true;
        bytes[start] = TILE_RAW;
        return this.#raw(tile.indices, bytes, start + 1);
      }
      flags |= TILE_SUBRECTANGLES | (coloured ? TILE_COLOURED : TILE_FOREGROUND);
      if (!coloured) at = this.#pixel(parts[0]!.index, bytes, at);
      bytes[at] = parts.length;
      at += 1;
      for (const part of parts) {
        if (coloured) at = this.#pixel(part.index, bytes, at);
        bytes[at] = (part.x << 4) | part.y;
        bytes[at + 1] = ((part.width - 1) << 4) | (part.height - 1);
        at += 2;
      }
    }
    bytes[start] = flags;
    return at;
  }
}

interface Part {
  readonly index: number;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** At most 16 by 16 pixels: their most frequent colour, and the rest of them as rectangles. */
class Tile {
  readonly width: number;
  readonly height: number;
  readonly indices: Uint8Array;
  readonly background: number;
  readonly colours: number;
  sentRaw = false;

  constructor(canvas: Canvas, left: number, top: number) {
    this.width = Math.min(TILE, canvas.area.width - left);
    this.height = Math.min(TILE, canvas.area.height - top);
    this.indices = new Uint8Array(this.width * this.height);
    for (let row = 0; row < this.height; row += 1) {
      const start = (top + row) * canvas.area.width + left;
      this.indices.set(canvas.pixels.subarray(start, start + this.width), row * this.width);
    }
    const counts = new Uint16Array(PALETTE.length);
    for (let at = 0; at < this.indices.length; at += 1) counts[this.indices[at]!]! += 1;
    let most = 0;
    let colours = 0;
    for (let index = 0; index < counts.length; index += 1) {
      if (counts[index]! > 0) colours += 1;
      if (counts[index]! > counts[most]!) most = index;
    }
    this.background = most;
    this.colours = colours;
  }

  /** Everything that is not background, grown to the right and then down. */
  parts(): Part[] {
    const left = this.indices.slice();
    const parts: Part[] = [];
    for (let at = 0; at < left.length; at += 1) {
      const index = left[at]!;
      if (index === this.background) continue;
      const part = this.#grow(left, at, index);
      parts.push(part);
      for (let row = part.y; row < part.y + part.height; row += 1) {
        left.fill(this.background, row * this.width + part.x, row * this.width + part.x + part.width);
      }
    }
    return parts;
  }

  #grow(left: Uint8Array, at: number, index: number): Part {
    const x = at % this.width;
    const y = Math.floor(at / this.width);
    let width = 1;
    while (x + width < this.width && left[at + width] === index) width += 1;
    let height = 1;
    while (y + height < this.height && this.#rowIs(left, x, y + height, width, index)) height += 1;
    return { index, x, y, width, height };
  }

  #rowIs(left: Uint8Array, x: number, y: number, width: number, index: number): boolean {
    const start = y * this.width + x;
    for (let at = start; at < start + width; at += 1) {
      if (left[at] !== index) return false;
    }
    return true;
  }
}
