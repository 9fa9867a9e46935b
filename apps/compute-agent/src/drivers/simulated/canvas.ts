/**
 * A window onto the screen that is being painted: palette indices for one rectangle of it. The guest holds no
 * frame buffer; whatever part a viewer needs is painted into such a window when it is sent, so an idle guest costs
 * no pixels. Coordinates are the screen's; what falls outside the window is cut.
 */
import { CELL_HEIGHT, CELL_WIDTH, glyphOf } from './font.ts';
import type { Glyph } from './font.ts';
import { ink } from './palette.ts';
import type { ColourName } from './palette.ts';
import { intersect } from './rectangles.ts';
import type { Rectangle } from './rectangles.ts';

export class Canvas {
  readonly area: Rectangle;
  /** Row by row, `area.width` to the row. */
  readonly pixels: Uint8Array;

  constructor(area: Rectangle) {
    this.area = area;
    this.pixels = new Uint8Array(area.width * area.height);
  }

  fill(area: Rectangle, colour: ColourName): void {
    const cut = intersect(area, this.area);
    const value = ink(colour);
    for (let y = cut.y; y < cut.y + cut.height; y += 1) {
      const start = (y - this.area.y) * this.area.width + cut.x - this.area.x;
      this.pixels.fill(value, start, start + cut.width);
    }
  }

  /** A filled rectangle whose corners are cut by one pixel, with an edge of one pixel. */
  panel(area: Rectangle, colour: ColourName, edge: ColourName): void {
    const { x, y, width, height } = area;
    this.fill({ x: x + 1, y, width: width - 2, height }, edge);
    this.fill({ x, y: y + 1, width, height: height - 2 }, edge);
    this.fill({ x: x + 1, y: y + 1, width: width - 2, height: height - 2 }, colour);
  }

  text(x: number, y: number, words: string, colour: ColourName): void {
    let left = x;
    for (const character of words) {
      if (this.#shows(left, y, CELL_WIDTH, CELL_HEIGHT)) this.#bits(left, y, glyphOf(character), colour);
      left += CELL_WIDTH;
    }
  }

  /** Twice the size, with the stairs of the slanted strokes filled in. */
  largeText(x: number, y: number, words: string, colour: ColourName): void {
    let left = x;
    for (const character of words) {
      if (this.#shows(left, y, CELL_WIDTH * 2, CELL_HEIGHT * 2)) this.#largeBits(left, y, glyphOf(character), colour);
      left += CELL_WIDTH * 2;
    }
  }

  /** A filled disc, or a ring when `innerRadius` is given. */
  disc(centreX: number, centreY: number, radius: number, colour: ColourName, innerRadius = -1): void {
    // Half a pixel is added to the radius: without it, small circles have pimples at the four poles.
    const outer = (radius + 0.5) ** 2;
    const inner = innerRadius < 0 ? -1 : (innerRadius + 0.5) ** 2;
    for (let dy = -radius; dy <= radius; dy += 1) {
      for (let dx = -radius; dx <= radius; dx += 1) {
        const distance = dx * dx + dy * dy;
        if (distance <= outer && distance > inner) this.#dot(centreX + dx, centreY + dy, ink(colour));
      }
    }
  }

  #shows(x: number, y: number, width: number, height: number): boolean {
    const cut = intersect({ x, y, width, height }, this.area);
    return cut.width > 0 && cut.height > 0;
  }

  #bits(x: number, y: number, glyph: Glyph, colour: ColourName): void {
    const value = ink(colour);
    for (let row = 0; row < CELL_HEIGHT; row += 1) {
      for (let bits = glyph[row]!, column = 0; bits !== 0; bits = (bits << 1) & 0xff, column += 1) {
        if ((bits & 0x80) !== 0) this.#dot(x + column, y + row, value);
      }
    }
  }

  #largeBits(x: number, y: number, glyph: Glyph, colour: ColourName): void {
    const value = ink(colour);
    for (let row = 0; row < CELL_HEIGHT * 2; row += 1) {
      for (let column = 0; column < CELL_WIDTH * 2; column += 1) {
        if (largePixel(glyph, column, row)) this.#dot(x + column, y + row, value);
      }
    }
  }

  #dot(x: number, y: number, value: number): void {
    const left = x - this.area.x;
    const top = y - this.area.y;
    if (left < 0 || top < 0 || left >= this.area.width || top >= this.area.height) return;
    this.pixels[top * this.area.width + left] = value;
  }
}

function bit(glyph: Glyph, column: number, row: number): boolean {
  if (column < 0 || column >= CELL_WIDTH) return false;
  return ((glyph[row] ?? 0) & (0x80 >> column)) !== 0;
}

/**
 * A quarter of a source pixel takes the colour of its two outer neighbours where these agree with each other and
 * the opposite two disagree (the rule known as Scale2x): slopes lose their steps, right angles stay sharp.
 */
function largePixel(glyph: Glyph, column: number, row: number): boolean {
  const x = column >> 1;
  const y = row >> 1;
  const toRight = (column & 1) === 1 ? 1 : -1;
  const toBottom = (row & 1) === 1 ? 1 : -1;
  const beside = bit(glyph, x + toRight, y);
  const behind = bit(glyph, x - toRight, y);
  const above = bit(glyph, x, y + toBottom);
  const below = bit(glyph, x, y - toBottom);
  if (beside === above && beside !== behind && above !== below) return beside;
  return bit(glyph, x, y);
}
