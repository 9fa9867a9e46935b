/**
 * Reads what an RFB client sends (RFC 6143): handshake, then messages. Bytes come in any pieces; what is kept between
 * two of them is at most one message of bounded length. The first thing that is not RFB throws, and the
 * parser is of no use after that.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import { PIXEL_FORMAT_BYTES, readPixelFormat } from './pixel-format.ts';
import type { PixelFormat } from './pixel-format.ts';
import type { Rectangle } from './rectangles.ts';

/** noVNC sends about 25, TigerVNC about 35. */
export const ENCODINGS_MAX = 1_024;
/** As QEMU has it. The text is not kept, only counted. */
export const CUT_TEXT_BYTES_MAX = 1 << 20;
export const SECURITY_NONE = 1;

const VERSION_BYTES = 12;

export type RfbMinor = 3 | 7 | 8;
export type RfbPhase = 'version' | 'security' | 'client-init' | 'running';

export type RfbMessage =
  | { readonly type: 'version'; readonly minor: RfbMinor }
  | { readonly type: 'security-none' }
  | { readonly type: 'client-init'; readonly shared: boolean }
  | { readonly type: 'set-pixel-format'; readonly format: PixelFormat }
  | { readonly type: 'set-encodings'; readonly encodings: readonly number[] }
  | { readonly type: 'update-request'; readonly incremental: boolean; readonly area: Rectangle }
  | { readonly type: 'key'; readonly down: boolean; readonly keysym: number }
  | { readonly type: 'pointer'; readonly buttons: number; readonly x: number; readonly y: number }
  | { readonly type: 'cut-text'; readonly characters: number };

interface Read {
  readonly message: RfbMessage;
  readonly bytes: number;
}

export class RfbParser {
  #phase: RfbPhase = 'version';
  #minor: RfbMinor = 8;
  #rest: Buffer = Buffer.alloc(0);
  #cutTextLeft = 0;

  get phase(): RfbPhase {
    return this.#phase;
  }

  get minor(): RfbMinor {
    return this.#minor;
  }

  /** Bytes kept until the rest of their message comes. */
  get keptBytes(): number {
    return this.#rest.length;
  }

  /** The messages that `chunk` completes, each read when it is asked for; INVALID_ARGUMENT where one is not RFB. */
  *read(chunk: Buffer): Generator<RfbMessage, void, void> {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    try {
      for (;;) {
        const skipped = Math.min(this.#cutTextLeft, bytes.length);
        this.#cutTextLeft -= skipped;
        bytes = bytes.subarray(skipped);
        if (bytes.length === 0) return;
        const read = this.#next(bytes);
        if (read === null) return;
        bytes = bytes.subarray(read.bytes);
        yield read.message;
      }
    } finally {
      // A copy: a view of a few bytes would keep the whole chunk alive.
      this.#rest = Buffer.from(bytes);
    }
  }

  #next(bytes: Buffer): Read | null {
    switch (this.#phase) {
      case 'version':
        return this.#version(bytes);
      case 'security':
        return this.#security(bytes);
      case 'client-init':
        this.#phase = 'running';
        return { message: { type: 'client-init', shared: bytes[0] !== 0 }, bytes: 1 };
      case 'running':
        return this.#message(bytes);
    }
  }

  #version(bytes: Buffer): Read | null {
    const text = bytes.subarray(0, VERSION_BYTES).toString('latin1');
    if (!couldBeVersion(text)) throw refused('a greeting that is not "RFB 003.xxx"', 'RFB 003.003, 003.007 or 003.008');
    if (bytes.length < VERSION_BYTES) return null;
    const claimed = Number(text.slice(8, 11));
    // Any version but 3.7 and 3.8 is to be treated as 3.3: their handshakes are younger (7.1.1).
    this.#minor = claimed === 7 || claimed === 8 ? claimed : 3;
    this.#phase = this.#minor === 3 ? 'client-init' : 'security';
    return { message: { type: 'version', minor: this.#minor }, bytes: VERSION_BYTES };
  }

  #security(bytes: Buffer): Read {
    if (bytes[0] !== SECURITY_NONE) throw refused(`security type ${bytes[0]}`, `${SECURITY_NONE} (None)`);
    this.#phase = 'client-init';
    return { message: { type: 'security-none' }, bytes: 1 };
  }

  #message(bytes: Buffer): Read | null {
    switch (bytes[0]) {
      case 0:
        return fixed(bytes, 4 + PIXEL_FORMAT_BYTES, () => ({ type: 'set-pixel-format', format: readPixelFormat(bytes.subarray(4)) }));
      case 2:
        return encodings(bytes);
      case 3:
        return fixed(bytes, 10, () => updateRequest(bytes));
      case 4:
        return fixed(bytes, 8, () => ({ type: 'key', down: bytes[1] !== 0, keysym: bytes.readUInt32BE(4) }));
      case 5:
        return fixed(bytes, 6, () => ({ type: 'pointer', buttons: bytes[1]!, x: bytes.readUInt16BE(2), y: bytes.readUInt16BE(4) }));
      case 6:
        return this.#cutText(bytes);
      default:
        throw refused(`message type ${bytes[0]}`, '0, 2, 3, 4, 5 or 6');
    }
  }

  #cutText(bytes: Buffer): Read | null {
    return fixed(bytes, 8, () => {
      const characters = bytes.readUInt32BE(4);
      if (characters > CUT_TEXT_BYTES_MAX) throw refused(`a clipboard of ${characters} bytes`, `at most ${CUT_TEXT_BYTES_MAX}`);
      this.#cutTextLeft = characters;
      return { type: 'cut-text', characters };
    });
  }
}

/** Whether `text`, the beginning of a greeting, may still become `RFB 003.ddd\n`. */
function couldBeVersion(text: string): boolean {
  const pattern = 'RFB 003.ddd\n';
  return [...text].every((character, at) => (pattern[at] === 'd' ? /\d/.test(character) : character === pattern[at]));
}

function fixed(bytes: Buffer, length: number, read: () => RfbMessage): Read | null {
  return bytes.length < length ? null : { message: read(), bytes: length };
}

function encodings(bytes: Buffer): Read | null {
  if (bytes.length < 4) return null;
  const count = bytes.readUInt16BE(2);
  if (count > ENCODINGS_MAX) throw refused(`${count} encodings`, `at most ${ENCODINGS_MAX}`);
  return fixed(bytes, 4 + 4 * count, () => ({
    type: 'set-encodings',
    encodings: Array.from({ length: count }, (_, index) => bytes.readInt32BE(4 + 4 * index)),
  }));
}

function updateRequest(bytes: Buffer): RfbMessage {
  const area = { x: bytes.readUInt16BE(2), y: bytes.readUInt16BE(4), width: bytes.readUInt16BE(6), height: bytes.readUInt16BE(8) };
  return { type: 'update-request', incremental: bytes[1] !== 0, area };
}

function refused(what: string, accepted: string): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', `RFB client refused: it sent ${what}; accepted: ${accepted}`);
}
