import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Canvas } from './canvas.ts';
import { PALETTE } from './palette.ts';
import { NATIVE_FORMAT } from './pixel-format.ts';
import { ENCODING_HEXTILE, ENCODING_RAW, RectangleEncoder } from './rfb-encodings.ts';
import { RfbTestClient } from './rfb-test-client.ts';
import { streamPair } from './stream-pair.ts';

const INIT = Buffer.from('032002582018000100ff00ff00ff10080000000000000000', 'hex');

/** What the test client makes of an encoded rectangle, as palette colours. */
async function decoded(canvas: Canvas, bytes: Buffer): Promise<number[]> {
  const [near, far] = streamPair();
  const client = new RfbTestClient(far);
  near.write(Buffer.concat([INIT, Buffer.from([0, 0, 0, 1]), bytes]));
  await client.serverInit();
  const [rectangle] = await client.update();
  near.destroy();
  assert.deepEqual({ x: rectangle!.x, y: rectangle!.y, width: rectangle!.width, height: rectangle!.height }, canvas.area);
  const { x, y, width } = canvas.area;
  return Array.from(canvas.pixels, (_, at) => client.pixel(x + (at % width), y + Math.floor(at / width)));
}

const colourOf = (index: number): number => {
  const { red, green, blue } = PALETTE[index]!;
  return (red << 16) | (green << 8) | blue;
};

/** Canvases from flat to noise: `colours` palette entries, each pixel repeated `run` times. */
const canvases = fc
  .record({
    x: fc.integer({ min: 0, max: 300 }),
    y: fc.integer({ min: 0, max: 300 }),
    width: fc.integer({ min: 1, max: 50 }),
    height: fc.integer({ min: 1, max: 50 }),
    colours: fc.integer({ min: 1, max: PALETTE.length }),
    run: fc.integer({ min: 1, max: 200 }),
    seed: fc.integer({ min: 1, max: 2 ** 31 - 2 }),
  })
  .map(({ x, y, width, height, colours, run, seed }) => {
    const canvas = new Canvas({ x, y, width, height });
    let state = seed;
    for (let at = 0; at < canvas.pixels.length; at += 1) {
      if (at % run === 0) state = (state * 48_271) % 2_147_483_647;
      canvas.pixels[at] = state % colours;
    }
    return canvas;
  });

describe('a rectangle of the screen', () => {
  for (const [name, encoding] of [['raw', ENCODING_RAW], ['hextile', ENCODING_HEXTILE]] as const) {
    it(`comes back pixel by pixel from ${name}, and never takes more than raw and a byte a tile`, async () => {
      const encoder = new RectangleEncoder(NATIVE_FORMAT, encoding);
      await fc.assert(
        fc.asyncProperty(canvases, async (canvas) => {
          const bytes = encoder.encode(canvas);
          const { width, height } = canvas.area;
          assert.ok(bytes.length <= 12 + width * height * 4 + Math.ceil(width / 16) * Math.ceil(height / 16));
          assert.deepEqual(await decoded(canvas, bytes), Array.from(canvas.pixels, colourOf));
        }),
      );
    });
  }

  it('of one colour takes a byte a tile in hextile', () => {
    const encoder = new RectangleEncoder(NATIVE_FORMAT, ENCODING_HEXTILE);
    assert.equal(encoder.encode(new Canvas({ x: 0, y: 0, width: 160, height: 32 })).length, 12 + 4 + 20);
  });
});
