/**
 * Tells a person's input from what a VNC client sends by itself: it asks for pictures all the time, also when nobody
 * is there. Only the client's side is read, and only as far as to know where each message ends (RFC 6143 7.5 and the
 * extensions that noVNC and QEMU speak). What cannot be read counts as input: rather a console that stays open too
 * long than a person who is cut off while typing.
 */

/** The first bytes of a message, by which its kind and length are known. */
const HEAD_BYTES_MAX = 12;
const VERSION_BYTES = 12;
const VNC_AUTH_RESPONSE_BYTES = 16;

type Step = 'version' | 'security' | 'init' | 'messages' | 'unreadable';

interface Measured {
  readonly bytes: number;
  /** The keyboard, the pointer or a button of the page. */
  readonly input: boolean;
}

export class RfbInput {
  #step: Step = 'version';
  readonly #head = Buffer.alloc(HEAD_BYTES_MAX);
  #headBytes = 0;
  /** What is left of the message whose head is known. */
  #skip = 0;

  /** The client's next bytes, however they are cut. True when a person's input is among them. */
  sees(bytes: Buffer): boolean {
    let seen = false;
    for (let at = 0; at < bytes.length && this.#step !== 'unreadable'; ) {
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, bytes.length - at);
        this.#skip -= passed;
        at += passed;
      } else {
        this.#head[this.#headBytes++] = bytes[at++]!;
        seen = this.#judgeHead() || seen;
      }
    }
    return seen || this.#step === 'unreadable';
  }

  /** True when the head is complete and begins a person's input. */
  #judgeHead(): boolean {
    const head = this.#head.subarray(0, this.#headBytes);
    if (this.#step !== 'messages') {
      this.#shakeHands(head);
      return false;
    }
    const measured = measure(head);
    if (measured === 'more') return false;
    this.#headBytes = 0;
    if (measured === 'unknown') this.#step = 'unreadable';
    else this.#skip = measured.bytes - head.length;
    return measured !== 'unknown' && measured.input;
  }

  #shakeHands(head: Buffer): void {
    if (this.#step === 'version') {
      if (head.length < VERSION_BYTES) return;
      // Before 3.7 the server alone decides how the client proves itself, which is not seen here.
      this.#step = /^RFB 003\.00[78]\n$/.test(head.toString('latin1')) ? 'security' : 'unreadable';
    } else if (this.#step === 'security') {
      const [type] = head;
      this.#step = type === 1 || type === 2 ? 'init' : 'unreadable';
      if (type === 2) this.#skip = VNC_AUTH_RESPONSE_BYTES;
    } else {
      this.#step = 'messages';
    }
    this.#headBytes = 0;
  }
}

const quiet = (bytes: number): Measured => ({ bytes, input: false });
const input = (bytes: number): Measured => ({ bytes, input: true });

/** What begins with these bytes; `more`: they do not say yet. */
function measure(head: Buffer): Measured | 'more' | 'unknown' {
  const has = (bytes: number, then: () => Measured | 'unknown'): Measured | 'more' | 'unknown' => (head.length < bytes ? 'more' : then());
  switch (head[0]) {
    case 0: return quiet(20); // SetPixelFormat
    case 2: return has(4, () => quiet(4 + 4 * head.readUInt16BE(2))); // SetEncodings
    case 3: return quiet(10); // FramebufferUpdateRequest
    case 4: return input(8); // KeyEvent
    case 5: return has(2, () => input((head[1]! & 0x80) === 0 ? 6 : 7)); // PointerEvent; with more than seven buttons one byte longer
    case 6: return has(8, () => quiet(8 + Math.abs(head.readInt32BE(4)))); // ClientCutText; negative: the extended clipboard
    case 150: return quiet(10); // EnableContinuousUpdates
    case 248: return has(9, () => quiet(9 + head[8]!)); // ClientFence
    case 250: return input(4); // xvp: the power buttons
    case 251: return has(8, () => quiet(8 + 16 * head[6]!)); // SetDesktopSize
    case 255: return has(4, () => measureQemu(head)); // QEMU's own
    default: return 'unknown';
  }
}

function measureQemu(head: Buffer): Measured | 'unknown' {
  if (head[1] === 0) return input(12); // extended KeyEvent
  if (head[1] === 1) return quiet(head.readUInt16BE(2) === 2 ? 10 : 4); // audio: on, off, format
  return 'unknown';
}
