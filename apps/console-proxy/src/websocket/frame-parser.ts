/**
 * The receiving half of RFC 6455 for a relay. Binary payload is handed on as it arrives, unmasked in place and
 * without waiting for a frame or a message to be complete: the guest's protocol is a byte stream and the
 * relay's memory must not depend on how a client cuts it. The payloads of many small frames that came in one read
 * are moved together, so that they leave in one write. Only text and control payloads, both small, are gathered.
 */
import { Unmasker } from './unmask.ts';

/** A binary frame may announce at most this much. It is streamed, so the limit only stops absurd lengths. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;
/** A text message, over all its fragments: our control messages are a few hundred bytes. */
export const TEXT_BYTES_MAX = 4096;
const CONTROL_BYTES_MAX = 125;

export const OPCODE = Object.freeze({ continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 });

export interface FrameSink {
  /** Bytes of binary messages in order, in whatever pieces: views of what was pushed. */
  data(bytes: Buffer): void;
  /** A whole text message, valid UTF-8. */
  text(message: string): void;
  ping(payload: Buffer): void;
  pong(): void;
  /** The peer's close frame; `code` is null when it carried none. Nothing follows it. */
  close(code: number | null, reason: string): void;
}

/** What the peer did that the protocol forbids: the close code to answer with, and why, in words. */
export interface Violation {
  readonly code: 1002 | 1003 | 1007 | 1009;
  readonly reason: string;
}

export interface FrameParserOptions {
  /** Whether text frames are understood; refused with 1003 otherwise, as Nova's proxy does. */
  readonly textAllowed: boolean;
}

const NOTHING: Buffer = Buffer.alloc(0);
const utf8 = new TextDecoder('utf-8', { fatal: true });

export class FrameParser {
  #sink: FrameSink;
  #textAllowed: boolean;
  #finished = false;
  /** A header that a read cut in two. */
  #partial: Buffer | null = null;
  /** Of the frame that is open; -1: none is. */
  #opcode = -1;
  #final = false;
  #payloadLeft = 0;
  readonly #unmasker = new Unmasker();
  /** Kind of the message that fragments continue: 0 when none is open. */
  #message = 0;
  #text: Buffer[] = [];
  #textBytes = 0;
  #control: Buffer = NOTHING;

  constructor(sink: FrameSink, options: FrameParserOptions) {
    this.#sink = sink;
    this.#textAllowed = options.textAllowed;
  }

  /** Whether a close frame or a violation was seen; what is pushed afterwards is ignored. */
  get finished(): boolean {
    return this.#finished;
  }

  /**
   * Take the bytes of one read, which the parser may overwrite. The sink is called before this returns.
   * Answers with what the peer did wrong, or null.
   */
  push(bytes: Buffer): Violation | null {
    if (this.#finished) return null;
    const violation = this.#consume(this.#withPartial(bytes));
    if (violation !== null) this.#finished = true;
    return violation;
  }

  #withPartial(bytes: Buffer): Buffer {
    if (this.#partial === null) return bytes;
    const whole = Buffer.concat([this.#partial, bytes]);
    this.#partial = null;
    return whole;
  }

  /** Binary payload found so far lies in [dataStart, dataEnd), moved together at the first payload's place. */
  #consume(bytes: Buffer): Violation | null {
    let at = 0;
    let dataStart = 0;
    let dataEnd = 0;
    let violation: Violation | null = null;
    this.#unmasker.begin(bytes);
    while (at < bytes.length && violation === null && !this.#finished) {
      if (this.#opcode < 0) {
        const size = headerSize(bytes, at);
        if (size === null || at + size > bytes.length) {
          // Copied: the memory is somebody else's.
          this.#partial = Buffer.from(bytes.subarray(at));
          break;
        }
        violation = this.#openFrame(bytes, at, size);
        at += size;
        if (violation !== null) break;
      }
      const take = Math.min(this.#payloadLeft, bytes.length - at);
      const isBinary = isData(this.#opcode) && this.#message === OPCODE.binary;
      this.#unmasker.unmask(at, at + take);
      this.#payloadLeft -= take;
      if (isBinary) {
        if (dataEnd === dataStart) dataStart = dataEnd = at;
        if (dataEnd !== at) bytes.copyWithin(dataEnd, at, at + take);
        dataEnd += take;
      } else {
        // What came before it goes first.
        if (dataEnd > dataStart) this.#sink.data(bytes.subarray(dataStart, dataEnd));
        dataStart = dataEnd = 0;
        this.#gather(bytes.subarray(at, at + take));
      }
      at += take;
      if (this.#payloadLeft === 0) violation = this.#closeFrame();
    }
    this.#unmasker.finish();
    if (dataEnd > dataStart) this.#sink.data(bytes.subarray(dataStart, dataEnd));
    return violation;
  }

  /** Read and judge the header at `at`, which is wholly there. */
  #openFrame(bytes: Buffer, at: number, size: number): Violation | null {
    const first = bytes[at]!;
    const opcode = first & 0x0f;
    const final = (first & 0x80) !== 0;
    const short = bytes[at + 1]! & 0x7f;
    if ((first & 0x70) !== 0) return wrong('reserved bits are set, and no extension was agreed');
    if ((bytes[at + 1]! & 0x80) === 0) return wrong('a client must mask its frames');
    let length = short;
    if (short === 126) length = bytes.readUInt16BE(at + 2);
    if (short === 127) length = bytes.readUInt32BE(at + 2) * 2 ** 32 + bytes.readUInt32BE(at + 6);
    if ((short === 126 && length < 126) || (short === 127 && length < 65_536)) {
      return wrong('the length is not written in the fewest bytes');
    }
    const violation = opcode >= OPCODE.close ? judgeControl(opcode, final, length) : this.#judgeData(opcode, length);
    if (violation !== null) return violation;
    this.#opcode = opcode;
    this.#final = final;
    this.#payloadLeft = length;
    this.#unmasker.setKey(bytes, at + size - 4);
    if (opcode === OPCODE.text || opcode === OPCODE.binary) this.#message = opcode;
    return null;
  }

  #judgeData(opcode: number, length: number): Violation | null {
    if (opcode > OPCODE.binary) return wrong(`opcode ${opcode} is reserved`);
    if (opcode === OPCODE.continuation && this.#message === 0) return wrong('a continuation frame without a message');
    if (opcode !== OPCODE.continuation && this.#message !== 0) return wrong('a new message inside a fragmented one');
    if (opcode === OPCODE.text && !this.#textAllowed) return { code: 1003, reason: 'text frames are not supported; send binary ones' };
    if (length > FRAME_BYTES_MAX) return { code: 1009, reason: `a frame of ${length} bytes; at most ${FRAME_BYTES_MAX}` };
    const kind = opcode === OPCODE.continuation ? this.#message : opcode;
    if (kind === OPCODE.text && this.#textBytes + length > TEXT_BYTES_MAX) {
      return { code: 1009, reason: `a text message has at most ${TEXT_BYTES_MAX} bytes` };
    }
    return null;
  }

  /** Control frames may come between the fragments of a text, so each gathers in a place of its own. */
  #gather(piece: Buffer): void {
    // A message may have any number of empty fragments, and they count towards no limit: nothing of them is kept.
    if (piece.length === 0) return;
    if (isData(this.#opcode)) {
      this.#text.push(Buffer.from(piece));
      this.#textBytes += piece.length;
    } else {
      this.#control = Buffer.concat([this.#control, piece]);
    }
  }

  #closeFrame(): Violation | null {
    const opcode = this.#opcode;
    this.#opcode = -1;
    if (!isData(opcode)) return this.#closeControl(opcode);
    if (!this.#final) return null;
    const kind = this.#message;
    this.#message = 0;
    if (kind !== OPCODE.text) return null;
    const message = decode(Buffer.concat(this.#text, this.#textBytes));
    this.#text = [];
    this.#textBytes = 0;
    if (message === null) return { code: 1007, reason: 'a text message is not UTF-8' };
    this.#sink.text(message);
    return null;
  }

  #closeControl(opcode: number): Violation | null {
    const payload = this.#control;
    this.#control = NOTHING;
    if (opcode === OPCODE.ping) this.#sink.ping(payload);
    else if (opcode === OPCODE.pong) this.#sink.pong();
    else return this.#peerClosed(payload);
    return null;
  }

  #peerClosed(payload: Buffer): Violation | null {
    if (payload.length === 1) return wrong('a close frame of one byte');
    const code = payload.length === 0 ? null : payload.readUInt16BE(0);
    if (code !== null && !isCloseCode(code)) return wrong(`close code ${code} may not be sent`);
    const reason = decode(payload.subarray(2));
    if (reason === null) return { code: 1007, reason: 'a close reason is not UTF-8' };
    this.#finished = true;
    this.#sink.close(code, reason);
    return null;
  }
}

function isData(opcode: number): boolean {
  return opcode < OPCODE.close;
}

/** Bytes of the frame header at `at`, or null when not even its length byte is there. */
function headerSize(bytes: Buffer, at: number): number | null {
  if (at + 2 > bytes.length) return null;
  const second = bytes[at + 1]!;
  const extended = (second & 0x7f) === 126 ? 2 : (second & 0x7f) === 127 ? 8 : 0;
  return 2 + extended + ((second & 0x80) !== 0 ? 4 : 0);
}

function judgeControl(opcode: number, final: boolean, length: number): Violation | null {
  if (opcode > OPCODE.pong) return wrong(`opcode ${opcode} is reserved`);
  if (!final) return wrong('a control frame may not be fragmented');
  if (length > CONTROL_BYTES_MAX) return wrong(`a control frame has at most ${CONTROL_BYTES_MAX} bytes`);
  return null;
}

/** Codes a peer may put in a close frame (RFC 6455 7.4 and the IANA registry). */
export function isCloseCode(code: number): boolean {
  if (code >= 3000) return code <= 4999;
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006;
}

function wrong(reason: string): Violation {
  return { code: 1002, reason };
}

function decode(bytes: Buffer): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}
