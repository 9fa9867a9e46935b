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

/** Large letters have the stairs of their slanted strokes filled in: so much of the ground may be ink. */
const FILLED_SHARE_MAX = 0.08;

/** Whether the words stand anywhere in the picture, each dot of a letter `scale` pixels wide and high. */
export function showsText(picture: Picture, words: string, scale = 1): boolean {
  const mask = [...words].map((character) => glyphOf(character));
  const pixels = new Uint32Array(picture.data.slice().buffer);
  for (let y = 0; y + CELL_HEIGHT * scale <= picture.height; y += 1) {
    for (let x = 0; x + words.length * CELL_WIDTH * scale <= picture.width; x += 1) {
      if (standsAt(pixels, picture.width, { x, y, scale }, mask)) return true;
    }
  }
  return false;
}

interface Place {
  readonly x: number;
  readonly y: number;
  readonly scale: number;
}

function standsAt(pixels: Uint32Array, width: number, { x, y, scale }: Place, mask: readonly Uint8Array[]): boolean {
  let inkColour: number | undefined;
  let groundColour: number | undefined;
  let filled = scale === 1 ? 0 : Math.floor(FILLED_SHARE_MAX * mask.length * CELL_WIDTH * CELL_HEIGHT * scale * scale);
  for (let row = 0; row < CELL_HEIGHT * scale; row += 1) {
    for (let column = 0; column < mask.length * CELL_WIDTH * scale; column += 1) {
      const dot = Math.floor(column / scale);
      const bits = mask[Math.floor(dot / CELL_WIDTH)]?.[Math.floor(row / scale)] ?? 0;
      const isInk = (bits & (0x80 >> dot % CELL_WIDTH)) !== 0;
      const pixel = pixels[(y + row) * width + x + column];
      if (isInk) inkColour ??= pixel;
      else groundColour ??= pixel;
      if (inkColour === groundColour) return false;
      if (pixel === (isInk ? inkColour : groundColour)) continue;
      if (isInk || pixel !== inkColour || filled === 0) return false;
      filled -= 1;
    }
  }
  return inkColour !== undefined;
}
