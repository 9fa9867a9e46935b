/**
 * What a SPICE client says on one channel, message by message, however its bytes are cut: only as far as to know where each
 * message ends and what it is for (the protocol's 2.2, as spice-html5 and libspice's server speak it).
 *
 * Servers since 2011 take the short header and a named way to authenticate from every client that offers them, and all of
 * today's clients do. One that does not is not followed.
 */
import { LINK_HEADER_BYTES, readSpiceLink, SPICE_DISPLAY, SPICE_INPUTS, SPICE_MAIN } from './spice-link.ts';

/**
 * `greeting`: all before the first message. `upkeep`: acknowledgements, answers to pings, a goodbye. `display`: what a client
 * must say to be shown the screen. `input`: the keyboard and the pointer. `other`: to the guest's agent, to a device, about the
 * pointer's mode. `unreadable`: from here on nothing is known, neither what it is nor where it ends.
 */
export type SpiceKind = 'greeting' | 'upkeep' | 'display' | 'input' | 'other' | 'unreadable';

type Step = 'header' | 'link' | 'mechanism' | 'messages' | 'unreadable';

const VERSION_MAJOR = 2;
const LINK_BYTES_MIN = 18;
/** libspice's limit. */
const LINK_BYTES_MAX = 4_096;
/** Capabilities of all channels, bits of the first word: a named way to authenticate, the short header. */
const NEEDED_CAPABILITIES = 0b1001;
const MECHANISM_BYTES = 4;
/** The ticket: a password, empty where there is none, encrypted. */
const MECHANISM_SPICE = 1;
const TICKET_BYTES = 128;
/** Two bytes of type, four of size. */
const MESSAGE_HEADER_BYTES = 6;

const ATTACH_CHANNELS = 104;
const DISPLAY_INIT = 101;
const STREAM_REPORT = 102;
/** ACK_SYNC, ACK, PONG, DISCONNECTING: the same on every channel. */
const UPKEEP: readonly number[] = [1, 2, 3, 6];

export class SpiceClientMessages {
  #step: Step = 'header';
  #channelType: number | null = null;
  #head = Buffer.alloc(LINK_HEADER_BYTES);
  #headBytes = 0;
  /** What is left of the message whose head is known. */
  #rest = 0;
  #restKind: SpiceKind = 'greeting';

  /** Known from the first piece on. */
  get channelType(): number | null {
    return this.#channelType;
  }

  /**
   * The client's next bytes. `piece` is called for each message or part of one, in order; a head that is cut waits for its
   * rest. Pieces are views of `bytes` or of a head that is kept: to be used at once.
   */
  read(bytes: Buffer, piece: (kind: SpiceKind, bytes: Buffer) => void): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#step === 'unreadable') return piece('unreadable', bytes.subarray(at));
      if (this.#rest > 0) {
        const passed = Math.min(this.#rest, bytes.length - at);
        piece(this.#restKind, bytes.subarray(at, at + passed));
        this.#rest -= passed;
        at += passed;
      } else {
        const taken = bytes.copy(this.#head, this.#headBytes, at);
        this.#headBytes += taken;
        at += taken;
        if (this.#headBytes === this.#head.length) this.#judgeHead(piece);
      }
    }
  }

  #judgeHead(piece: (kind: SpiceKind, bytes: Buffer) => void): void {
    const head = this.#head;
    const judged = this.#judge(head);
    if (judged === 'more') return;
    this.#headBytes = 0;
    if (judged === 'unreadable') this.#step = 'unreadable';
    piece(judged, head);
  }

  /** A whole head; `more`: it has become longer, and its first bytes are there. */
  #judge(head: Buffer): SpiceKind | 'more' {
    switch (this.#step) {
      case 'header': return this.#measureLink(head);
      case 'link': return this.#greet(head);
      case 'mechanism': {
        if (head.readUInt32LE(0) !== MECHANISM_SPICE) return 'unreadable';
        this.#next('messages', MESSAGE_HEADER_BYTES);
        return this.#restOf('greeting', TICKET_BYTES);
      }
      case 'messages': return this.#restOf(kindOf(this.#channelType, head.readUInt16LE(0)), head.readUInt32LE(2));
      case 'unreadable': return 'unreadable';
    }
  }

  #measureLink(header: Buffer): SpiceKind | 'more' {
    const size = header.readUInt32LE(12);
    if (readSpiceLink(header) === null || header.readUInt32LE(4) !== VERSION_MAJOR || size < LINK_BYTES_MIN || size > LINK_BYTES_MAX) return 'unreadable';
    this.#step = 'link';
    this.#head = Buffer.concat([header], LINK_HEADER_BYTES + size);
    return 'more';
  }

  #greet(head: Buffer): SpiceKind {
    const link = readSpiceLink(head);
    if (link === null || link === 'more' || !offersWhatIsNeeded(head.subarray(LINK_HEADER_BYTES))) return 'unreadable';
    this.#channelType = link.channelType;
    this.#next('mechanism', MECHANISM_BYTES);
    return 'greeting';
  }

  #next(step: Step, headBytes: number): void {
    this.#step = step;
    this.#head = Buffer.alloc(headBytes);
  }

  #restOf(kind: SpiceKind, bytes: number): SpiceKind {
    this.#rest = bytes;
    this.#restKind = kind;
    return kind;
  }
}

/** A link message: connection, channel, how many capabilities of either kind, where they stand, and they themselves. */
function offersWhatIsNeeded(link: Buffer): boolean {
  const [common, own, start] = [link.readUInt32LE(6), link.readUInt32LE(10), link.readUInt32LE(14)];
  if (common < 1 || start < LINK_BYTES_MIN || start + 4 * (common + own) > link.length) return false;
  return (link.readUInt32LE(start) & NEEDED_CAPABILITIES) === NEEDED_CAPABILITIES;
}

function kindOf(channelType: number | null, type: number): SpiceKind {
  if (UPKEEP.includes(type)) return 'upkeep';
  switch (channelType) {
    case SPICE_MAIN: return type === ATTACH_CHANNELS ? 'display' : 'other';
    case SPICE_DISPLAY: return type === DISPLAY_INIT || type === STREAM_REPORT ? 'display' : 'other';
    case SPICE_INPUTS: return 'input';
    default: return 'other';
  }
}
