/** Pixel formats of RFB (RFC 6143, 7.4): reading one that a client asks for, and the palette's colours in it. */
import { ServiceError } from '@gatehouse/errors/service-error';
import { PALETTE } from './palette.ts';

export interface Channel {
  /** The largest value: 2^n - 1. */
  readonly max: number;
  readonly shift: number;
}

export interface PixelFormat {
  readonly bytesPerPixel: 1 | 2 | 4;
  readonly depth: number;
  readonly bigEndian: boolean;
  readonly red: Channel;
  readonly green: Channel;
  readonly blue: Channel;
}

export const PIXEL_FORMAT_BYTES = 16;

/** What the server offers first: 32 bits, little endian, blue lowest. */
export const NATIVE_FORMAT: PixelFormat = {
  bytesPerPixel: 4,
  depth: 24,
  bigEndian: false,
  red: { max: 255, shift: 16 },
  green: { max: 255, shift: 8 },
  blue: { max: 255, shift: 0 },
};

export function writePixelFormat(format: PixelFormat): Buffer {
  const bytes = Buffer.alloc(PIXEL_FORMAT_BYTES);
  bytes.writeUInt8(format.bytesPerPixel * 8, 0);
  bytes.writeUInt8(format.depth, 1);
  bytes.writeUInt8(format.bigEndian ? 1 : 0, 2);
  bytes.writeUInt8(1, 3);
  bytes.writeUInt16BE(format.red.max, 4);
  bytes.writeUInt16BE(format.green.max, 6);
  bytes.writeUInt16BE(format.blue.max, 8);
  bytes.writeUInt8(format.red.shift, 10);
  bytes.writeUInt8(format.green.shift, 11);
  bytes.writeUInt8(format.blue.shift, 12);
  return bytes;
}

/** Reads 16 bytes; INVALID_ARGUMENT for a format that no picture can be sent in. */
export function readPixelFormat(bytes: Buffer): PixelFormat {
  const bits = bytes.readUInt8(0);
  if (bits !== 8 && bits !== 16 && bits !== 32) throw refused(`${bits} bits per pixel`, '8, 16 or 32');
  if (bytes.readUInt8(3) === 0) throw refused('a colour map', 'true colour');
  const channel = (maxAt: number, shiftAt: number): Channel => ({ max: bytes.readUInt16BE(maxAt), shift: bytes.readUInt8(shiftAt) });
  const format: PixelFormat = {
    bytesPerPixel: (bits / 8) as 1 | 2 | 4,
    depth: bytes.readUInt8(1),
    bigEndian: bytes.readUInt8(2) !== 0,
    red: channel(4, 10),
    green: channel(6, 11),
    blue: channel(8, 12),
  };
  for (const name of ['red', 'green', 'blue'] as const) checkChannel(name, format[name], bits);
  return format;
}

/** Every palette colour as the bytes of one pixel, `bytesPerPixel` after another. */
export function palettePixels(format: PixelFormat): Uint8Array {
  const { bytesPerPixel } = format;
  const table = new Uint8Array(PALETTE.length * bytesPerPixel);
  PALETTE.forEach((colour, index) => {
    const value =
      (scaled(colour.red, format.red) | scaled(colour.green, format.green) | scaled(colour.blue, format.blue)) >>> 0;
    for (let byte = 0; byte < bytesPerPixel; byte += 1) {
      const place = format.bigEndian ? bytesPerPixel - 1 - byte : byte;
      table[index * bytesPerPixel + place] = (value >>> (8 * byte)) & 0xff;
    }
  });
  return table;
}

function scaled(intensity: number, channel: Channel): number {
  return Math.round((intensity * channel.max) / 255) << channel.shift;
}

function checkChannel(name: string, { max, shift }: Channel, bits: number): void {
  if (max === 0 || (max & (max + 1)) !== 0) throw refused(`a ${name} maximum of ${max}`, '2^n - 1, at least 1');
  if (shift + Math.log2(max + 1) > bits) throw refused(`${name} shifted by ${shift} beyond ${bits} bits`, 'a channel inside the pixel');
}

function refused(what: string, accepted: string): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', `RFB pixel format refused: ${what}; accepted: ${accepted}`);
}
