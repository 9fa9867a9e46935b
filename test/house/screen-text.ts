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
  const { width, height } = picture;
  const pixels = new Uint32Array(picture.data.slice().buffer);
  const { ink, ground } = offsetsOf(words, scale, width);
  const filledMax = scale === 1 ? 0 : Math.floor(FILLED_SHARE_MAX * ground.length);
  for (let y = 0; y + CELL_HEIGHT * scale <= height; y += 1) {
    for (let x = 0; x + words.length * CELL_WIDTH * scale <= width; x += 1) {
      if (standsAt(pixels, y * width + x, ink, ground, filledMax)) return true;
    }
  }
  return false;
}

/** Where the words' ink and their ground lie, as distances in the picture from their upper left corner. */
function offsetsOf(words: string, scale: number, width: number): { readonly ink: number[]; readonly ground: number[] } {
  const glyphs = [...words].map((character) => glyphOf(character));
  const ink: number[] = [];
  const ground: number[] = [];
  for (let row = 0; row < CELL_HEIGHT * scale; row += 1) {
    for (let column = 0; column < glyphs.length * CELL_WIDTH * scale; column += 1) {
      const dot = Math.floor(column / scale);
      const bits = glyphs[Math.floor(dot / CELL_WIDTH)]?.[Math.floor(row / scale)] ?? 0;
      const isInk = (bits & (0x80 >> dot % CELL_WIDTH)) !== 0;
      (isInk ? ink : ground).push(row * width + column);
    }
  }
  return { ink, ground };
}

function standsAt(pixels: Uint32Array, at: number, ink: readonly number[], ground: readonly number[], filledMax: number): boolean {
  const inkColour = pixels[at + (ink[0] ?? 0)];
  const groundColour = pixels[at + (ground[0] ?? 0)];
  // Most places fail here, at the first look: one colour all over.
  if (inkColour === groundColour || ink.some((offset) => pixels[at + offset] !== inkColour)) return false;
  let filled = 0;
  for (const offset of ground) {
    const pixel = pixels[at + offset];
    if (pixel === groundColour) continue;
    filled += 1;
    if (pixel !== inkColour || filled > filledMax) return false;
  }
  return true;
}
