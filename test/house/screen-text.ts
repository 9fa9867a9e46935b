/**
 * Reads the simulated screen as a person would: looks for words in a picture, drawn as the guest draws them, in
 * whatever colour on whatever ground.
 */
import { Canvas } from '../../apps/compute-agent/src/drivers/simulated/canvas.ts';
import { CELL_HEIGHT, CELL_WIDTH } from '../../apps/compute-agent/src/drivers/simulated/font.ts';

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** RGBA, row by row. */
  readonly data: Uint8Array | Uint8ClampedArray;
}

export type LetterSize = 'plain' | 'large';

export function coloursOf({ data }: Picture): number {
  const colours = new Set<number>();
  for (let i = 0; i < data.length; i += 4) colours.add(((data[i] ?? 0) << 16) | ((data[i + 1] ?? 0) << 8) | (data[i + 2] ?? 0));
  return colours.size;
}

/** Whether the words stand anywhere in the picture. */
export function showsText(picture: Picture, words: string, size: LetterSize = 'plain'): boolean {
  const pixels = new Uint32Array(picture.data.slice().buffer);
  const drawing = draw(words, size);
  const offsetsOf = (wanted: boolean) =>
    [...drawing.pixels.keys()]
      .filter((at) => (drawing.pixels[at] !== drawing.pixels[0]) === wanted)
      .map((at) => Math.floor(at / drawing.area.width) * picture.width + (at % drawing.area.width));
  const [ink, ground] = [offsetsOf(true), offsetsOf(false)];
  for (let y = 0; y + drawing.area.height <= picture.height; y += 1) {
    for (let x = 0; x + drawing.area.width <= picture.width; x += 1) {
      if (standsAt(pixels, y * picture.width + x, ink, ground)) return true;
    }
  }
  return false;
}

/** The words on an empty canvas, whose upper left corner is ground. */
function draw(words: string, size: LetterSize): Canvas {
  const scale = size === 'large' ? 2 : 1;
  const canvas = new Canvas({ x: 0, y: 0, width: words.length * CELL_WIDTH * scale, height: CELL_HEIGHT * scale });
  canvas.fill(canvas.area, 'paper');
  if (size === 'large') canvas.largeText(0, 0, words, 'ink');
  else canvas.text(0, 0, words, 'ink');
  return canvas;
}

function standsAt(pixels: Uint32Array, at: number, ink: readonly number[], ground: readonly number[]): boolean {
  const inkColour = pixels[at + (ink[0] ?? 0)];
  const groundColour = pixels[at + (ground[0] ?? 0)];
  // Most places fail here, at the first look: one colour all over.
  if (inkColour === groundColour) return false;
  return ink.every((offset) => pixels[at + offset] === inkColour) && ground.every((offset) => pixels[at + offset] === groundColour);
}
