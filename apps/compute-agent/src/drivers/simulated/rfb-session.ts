/**
 * One RFB client at the guest's screen (RFC 6143). Updates are made only when asked for, one at a time, a band of rows
 * at a time, and each band waits until the client has read the one before: a client that never reads costs one
 * band of memory, and one that asks without end gets a frame every FRAME_MS.
 *
 * The `shared` flag is not obeyed: who may look at a console is decided before the bytes come here, so one viewer cannot
 * throw out another.
 */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isServiceError } from '@gatehouse/errors/service-error';
import { SCREEN } from './desktop-picture.ts';
import type { HeldInput } from './desktop.ts';
import { NATIVE_FORMAT, writePixelFormat } from './pixel-format.ts';
import { Damage, intersect, isEmpty, join } from './rectangles.ts';
import type { Rectangle } from './rectangles.ts';
import { ENCODING_HEXTILE, ENCODING_RAW, RectangleEncoder } from './rfb-encodings.ts';
import type { Encoding } from './rfb-encodings.ts';
import { RfbParser, SECURITY_NONE } from './rfb-parser.ts';
import type { RfbMessage } from './rfb-parser.ts';
import { FRAME_MS } from './screen.ts';
import type { Screen, Viewer } from './screen.ts';

export const SERVER_VERSION = 'RFB 003.008\n';
/** A band at 32 bits is then at most 64 KiB. */
const BAND_PIXELS_MAX = 16_384;
const BAND_ROWS_STEP = 16;
const NAME_BYTES_MAX = 255;

/**
 * Speaks RFB on `stream` until either end closes it. A client that breaks the protocol is told where the protocol
 * has words for it, and cut off; `onRefused` then hears why.
 */
export function serveRfb(screen: Screen, stream: Duplex, onRefused: (reason: Error) => void = () => {}): void {
  const session = new RfbSession(screen, stream, onRefused);
  session.start();
}

class RfbSession implements Viewer {
  readonly #screen: Screen;
  readonly #stream: Duplex;
  readonly #onRefused: (reason: Error) => void;
  readonly #parser = new RfbParser();
  readonly #damage = new Damage();
  readonly #held: HeldInput = { modifiers: new Set(), buttons: 0 };
  #format = NATIVE_FORMAT;
  #encoding: Encoding = ENCODING_RAW;
  #encoder = new RectangleEncoder(NATIVE_FORMAT, ENCODING_RAW);
  #wanted: Rectangle | null = null;
  #busy = false;
  #over = false;

  constructor(screen: Screen, stream: Duplex, onRefused: (reason: Error) => void) {
    this.#screen = screen;
    this.#stream = stream;
    this.#onRefused = onRefused;
  }

  start(): void {
    this.#stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#stream.on('error', () => this.#leave());
    this.#stream.on('close', () => this.#leave());
    this.#stream.on('end', () => this.#stream.end());
    this.#stream.write(SERVER_VERSION);
  }

  damaged(areas: readonly Rectangle[]): void {
    for (const area of areas) this.#damage.add(area);
    this.#update();
  }

  #leave(): void {
    this.#over = true;
    this.#screen.leave(this);
  }

  #receive(chunk: Buffer): void {
    if (this.#over) return;
    try {
      for (const message of this.#parser.read(chunk)) this.#act(message);
    } catch (error) {
      if (!isServiceError(error)) throw error;
      this.#refuse(error);
    }
  }

  /** In 3.8 a refused security type is answered with the reason; elsewhere RFB has no words for it. */
  #refuse(reason: Error): void {
    const sayWhy = this.#parser.phase === 'security' && this.#parser.minor === 8;
    this.#leave();
    this.#stream.end(sayWhy ? Buffer.concat([uint32(1), lengthAndText(reason.message)]) : undefined);
    this.#onRefused(reason);
  }

  #act(message: RfbMessage): void {
    switch (message.type) {
      case 'version':
        this.#stream.write(this.#parser.minor === 3 ? uint32(SECURITY_NONE) : Buffer.from([1, SECURITY_NONE]));
        return;
      case 'security-none':
        if (this.#parser.minor === 8) this.#stream.write(uint32(0));
        return;
      case 'client-init':
        this.#stream.write(serverInit(this.#screen.identity.name));
        this.#screen.join(this);
        return;
      case 'set-pixel-format':
        this.#format = message.format;
        this.#encoder = new RectangleEncoder(this.#format, this.#encoding);
        return;
      case 'set-encodings':
        this.#encoding = message.encodings.find(isSupported) ?? ENCODING_RAW;
        this.#encoder = new RectangleEncoder(this.#format, this.#encoding);
        return;
      case 'update-request':
        return this.#request(message.incremental, message.area);
      case 'key':
        return this.#screen.key(this.#held, message.down, message.keysym);
      case 'pointer':
        return this.#screen.pointer(this.#held, message.buttons, message.x, message.y);
      case 'cut-text':
        return this.#screen.clipboard(message.characters);
    }
  }

  /** Requests join: several that wait are answered by one update. */
  #request(incremental: boolean, asked: Rectangle): void {
    const area = intersect(asked, SCREEN);
    if (isEmpty(area)) return;
    if (!incremental) this.#damage.add(area);
    this.#wanted = this.#wanted === null ? area : join(this.#wanted, area);
    this.#update();
  }

  #update(): void {
    if (this.#busy || this.#over || this.#wanted === null || !this.#stream.writable) return;
    const areas = this.#damage.take(this.#wanted).flatMap(bands);
    if (areas.length === 0) return;
    this.#wanted = null;
    this.#busy = true;
    void this.#send(areas, this.#encoder).then(() => {
      if (this.#over) return;
      this.#screen.clock.after(FRAME_MS, () => {
        this.#busy = false;
        this.#update();
      });
    });
  }

  /** The encoder is the one of the update's beginning: a format that changes meanwhile holds for the next. */
  async #send(areas: readonly Rectangle[], encoder: RectangleEncoder): Promise<void> {
    const header = Buffer.alloc(4);
    header.writeUInt16BE(areas.length, 2);
    await this.#write(header);
    for (const area of areas) {
      if (this.#over) return;
      await this.#write(encoder.encode(this.#screen.paint(area)));
      // Others have their turn between two bands.
      await nextTurn();
    }
  }

  async #write(bytes: Buffer): Promise<void> {
    if (this.#over || !this.#stream.writable || this.#stream.write(bytes)) return;
    const settled = new AbortController();
    const { signal } = settled;
    await Promise.race([once(this.#stream, 'drain', { signal }), once(this.#stream, 'close', { signal })]).catch(() => this.#leave());
    settled.abort();
  }
}

function isSupported(encoding: number): encoding is Encoding {
  return encoding === ENCODING_HEXTILE || encoding === ENCODING_RAW;
}

/** Cuts a rectangle into pieces of full width that each make one write. */
function bands(area: Rectangle): Rectangle[] {
  const rows = Math.max(BAND_ROWS_STEP, Math.floor(BAND_PIXELS_MAX / area.width / BAND_ROWS_STEP) * BAND_ROWS_STEP);
  const pieces: Rectangle[] = [];
  for (let y = area.y; y < area.y + area.height; y += rows) {
    pieces.push({ x: area.x, y, width: area.width, height: Math.min(rows, area.y + area.height - y) });
  }
  return pieces;
}

function serverInit(name: string): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt16BE(SCREEN.width, 0);
  size.writeUInt16BE(SCREEN.height, 2);
  return Buffer.concat([size, writePixelFormat(NATIVE_FORMAT), lengthAndText(name)]);
}

function lengthAndText(words: string): Buffer {
  const text = Buffer.from(words).subarray(0, NAME_BYTES_MAX);
  return Buffer.concat([uint32(text.length), text]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
