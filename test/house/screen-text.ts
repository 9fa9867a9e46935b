/**
 * Reads the simulated screen as a person would: looks for words in a picture, drawn with the guest's own
 * letters, in whatever colour on whatever ground.
 */
import { CELL_HEIGHT, CELL_WIDTH, glyphOf } from '../../apps/compute-agent/src/drivers/simulated/font.ts';

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** RGBA, row by row. */
  readonly data: Uint8Array | Uint8ClampedArray;
}

export function coloursOf({ data }: Picture): number {
  const colours = new Set<number>();
  for (let i = 0; i < data.length; i += 4) colours.add(((data[i] ?? 0) << 16) | ((data[i + 1] ?? 0) << 8) | (data[i + 2] ?? 0));
  return colours.size;
}

/** Whether the words stand anywhere in the picture. */
export function showsText(picture: Picture, words: string): boolean {
  const pixels = new Uint32Array(picture.data.slice().buffer);
  for (let y = 0; y + CELL_HEIGHT <= picture.height; y += 1) {
    for (let x = 0; x + words.length * CELL_WIDTH <= picture.width; x += 1) {
      if (standsAt(pixels, picture.width, x, y, words)) return true;
    }
  }
  return false;
}

function standsAt(pixels: Uint32Array, width: number, left: number, top: number, words: string): boolean {
  let inkColour: number | undefined;
  let groundColour: number | undefined;
  for (let index = 0; index < words.length; index += 1) {
    const glyph = glyphOf(words[index] ?? ' ');
    for (let row = 0; row < CELL_HEIGHT; row += 1) {
      for (let column = 0; column < CELL_WIDTH; column += 1) {
        const pixel = pixels[(top + row) * width + left + index * CELL_WIDTH + column];
        if (((glyph[row] ?? 0) & (0x80 >> column)) !== 0) inkColour ??= pixel;
        else groundColour ??= pixel;
        const wanted = ((glyph[row] ?? 0) & (0x80 >> column)) !== 0 ? inkColour : groundColour;
        if (pixel !== wanted || inkColour === groundColour) return false;
      }
    }
  }
  return true;
}
