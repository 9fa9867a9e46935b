/**
 * What a VNC client says, message by message, however its bytes are cut: only as far as to know where each message ends
 * and what it is for (RFC 6143 7.5 and the extensions that noVNC and QEMU speak).
 */

/**
 * `greeting`: all before the first message. `shared`: the ClientInit byte. `input`: the keyboard, the pointer, a power
 * button. `unreadable`: from here on nothing is known, neither what it is nor where it ends.
 */
export type RfbKind = 'greeting' | 'shared' | 'display' | 'audio' | 'clipboard' | 'resize' | 'input' | 'unreadable';

type Step = 'version' | 'security' | 'init' | 'messages' | 'unreadable';

interface Measured {
  readonly bytes: number;
  readonly kind: RfbKind;
}

/** The first bytes of a message, by which its kind and length are known. */
const HEAD_BYTES_MAX = 12;
const VERSION_BYTES = 12;
const VNC_AUTH_RESPONSE_BYTES = 16;

export class RfbClientMessages {
  #step: Step = 'version';
  readonly #head = Buffer.alloc(HEAD_BYTES_MAX);
  #headBytes = 0;
  /** What is left of the message whose head is known. */
  #rest = 0;
  #restKind: RfbKind = 'greeting';

  /**
   * The client's next bytes. `piece` is called for each message or part of one, in order; a head that is cut waits for its
   * rest. Pieces are views of `bytes` or of a head that is kept: to be used at once.
   */
  read(bytes: Buffer, piece: (kind: RfbKind, bytes: Buffer) => void): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#step === 'unreadable') return piece('unreadable', bytes.subarray(at));
      if (this.#rest > 0) {
        const passed = Math.min(this.#rest, bytes.length - at);
        piece(this.#restKind, bytes.subarray(at, at + passed));
        this.#rest -= passed;
        at += passed;
      } else {
        this.#head[this.#headBytes++] = bytes[at++]!;
        this.#judgeHead(piece);
      }
    }
  }

  #judgeHead(piece: (kind: RfbKind, bytes: Buffer) => void): void {
    const head = this.#head.subarray(0, this.#headBytes);
    const measured = this.#step === 'messages' ? measure(head) : this.#greet(head);
    if (measured === 'more') return;
    this.#headBytes = 0;
    if (measured === 'unknown') {
      this.#step = 'unreadable';
      return piece('unreadable', head);
    }
    this.#rest = measured.bytes - head.length;
    this.#restKind = measured.kind;
    piece(measured.kind, head);
  }

  #greet(head: Buffer): Measured | 'more' | 'unknown' {
    if (this.#step === 'version') {
      if (head.length < VERSION_BYTES) return 'more';
      // Before 3.7 the server alone decides how the client proves itself, which is not seen here.
      if (!/^RFB 003\.00[78]\n$/.test(head.toString('latin1'))) return 'unknown';
      this.#step = 'security';
      return { bytes: VERSION_BYTES, kind: 'greeting' };
    }
    if (this.#step === 'security') {
      const [type] = head;
      if (type !== 1 && type !== 2) return 'unknown';
      this.#step = 'init';
      return { bytes: type === 2 ? 1 + VNC_AUTH_RESPONSE_BYTES : 1, kind: 'greeting' };
    }
    this.#step = 'messages';
    return { bytes: 1, kind: 'shared' };
  }
}

/** What begins with these bytes; `more`: they do not say yet. */
function measure(head: Buffer): Measured | 'more' | 'unknown' {
  const has = (bytes: number, then: () => Measured | 'unknown'): Measured | 'more' | 'unknown' => (head.length < bytes ? 'more' : then());
  switch (head[0]) {
    case 0: return { bytes: 20, kind: 'display' }; // SetPixelFormat
    case 2: return has(4, () => ({ bytes: 4 + 4 * head.readUInt16BE(2), kind: 'display' })); // SetEncodings
    case 3: return { bytes: 10, kind: 'display' }; // FramebufferUpdateRequest
    case 4: return { bytes: 8, kind: 'input' }; // KeyEvent
    case 5: return has(2, () => ({ bytes: (head[1]! & 0x80) === 0 ? 6 : 7, kind: 'input' })); // PointerEvent; with more than seven buttons one byte longer
    case 6: return has(8, () => ({ bytes: 8 + Math.abs(head.readInt32BE(4)), kind: 'clipboard' })); // ClientCutText; negative: the extended clipboard
    case 150: return { bytes: 10, kind: 'display' }; // EnableContinuousUpdates
    case 248: return has(9, () => ({ bytes: 9 + head[8]!, kind: 'display' })); // ClientFence
    case 250: return { bytes: 4, kind: 'input' }; // xvp: the power buttons
    case 251: return has(8, () => ({ bytes: 8 + 16 * head[6]!, kind: 'resize' })); // SetDesktopSize
    case 255: return has(4, () => measureQemu(head)); // QEMU's own
    default: return 'unknown';
  }
}

function measureQemu(head: Buffer): Measured | 'unknown' {
  if (head[1] === 0) return { bytes: 12, kind: 'input' }; // extended KeyEvent
  if (head[1] === 1) return { bytes: head.readUInt16BE(2) === 2 ? 10 : 4, kind: 'audio' }; // on, off, format
  return 'unknown';
}
