/**
 * One accepted WebSocket over the raw socket: frames in, frames out, back-pressure both ways, and a life that
 * always ends. It knows nothing of consoles. Sending answers false when the caller should wait for `drained`;
 * what it may hold for a peer that never reads is thus one piece plus the socket's own buffer.
 */
import type { Duplex } from 'node:stream';
import { readBytes, type ByteReader } from '@gatehouse/console-stream/byte-reader';
import { FrameParser, OPCODE, type FrameSink } from './frame-parser.ts';
import { closeFrame, frame, frameAround, frameHeader } from './frame-writer.ts';

/** A peer is asked for a sign of life this often unless told otherwise, and given up when three such periods pass in silence. */
const PING_EVERY_MS = 20_000;
const SILENT_PERIODS_MAX = 3;
/** How long a peer may take to answer our close frame, or to read what was queued before it. */
const CLOSE_WAIT_MS = 2_000;
/** Up to this size a payload without room for a header is copied behind one; beyond it, header and payload go out by writev. */
const COPY_BYTES_MAX = 8 * 1024;
/** Pings of one read that are each answered; of more the newest count (RFC 6455 5.5.3). */
const PONGS_MAX = 16;

/** How a connection ended: with the peer's close frame, with ours, or without any. */
export interface WebSocketEnd {
  readonly by: 'peer' | 'us' | 'lost';
  /** 1005 when the peer gave none, 1006 when it was lost. */
  readonly code: number;
  readonly reason: string;
}

export interface WebSocketEvents {
  /** False: the bytes are still needed, and nothing more is read until `resume`. */
  data(bytes: Buffer): boolean;
  text(message: string): void;
  /** The peer has read what was sent: sending may go on, and what was sent is not needed any more. */
  drained(): void;
  /** Called once, when no more will come: the peer closed, broke the protocol, or was lost. */
  closed(end: WebSocketEnd): void;
}

export interface WebSocketOptions {
  readonly textAllowed: boolean;
  readonly pingEveryMs?: number | undefined;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

export class WebSocketConnection {
  readonly #socket: Duplex;
  readonly #events: WebSocketEvents;
  readonly #parser: FrameParser;
  readonly #reader: ByteReader;
  readonly #pingEveryMs: number;
  readonly #now: () => number;
  /** Since the last beat; so that a byte costs no look at the clock. */
  #heard = false;
  #heardAt: number;
  #pingedAt: number;
  /** Not all bytes were taken, and nothing is read. */
  #isStopped = false;
  /** Somebody waits for what was sent to leave. */
  #isAwaited = false;
  #pongs: Buffer[] = [];
  #end: WebSocketEnd | null = null;

  /** Takes over a socket on which the 101 answer was just written; `head` is what came after the request. */
  constructor(socket: Duplex, head: Buffer, events: WebSocketEvents, options: WebSocketOptions) {
    this.#socket = socket;
    this.#events = events;
    this.#pingEveryMs = options.pingEveryMs ?? PING_EVERY_MS;
    this.#now = options.now ?? ((): number => performance.now());
    this.#heardAt = this.#pingedAt = this.#now();
    this.#parser = new FrameParser(this.#sink(), { textAllowed: options.textAllowed });
    if (head.length > 0) socket.unshift(head);
    // The owner may not be ready to be called from inside its own constructor: this calls later.
    this.#reader = readBytes(socket, (whole, start) => this.#received(start === 0 ? whole : whole.subarray(start)));
    socket.on('end', () => {
      if (this.#end === null) this.#lost('the peer closed its side without a close frame');
      else socket.end();
    });
    socket.on('error', () => this.#lost('the connection broke'));
    socket.on('close', () => {
      this.#lost('the connection broke');
      this.#settle();
    });
  }

  /** Bytes queued for the peer beyond what the kernel took. */
  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  get open(): boolean {
    return this.#end === null;
  }

  /**
   * Send as one binary message the bytes of `whole` from `start` on; what stands before them may be overwritten. False: they
   * are still needed, wait for `drained` before the next one. Ignored once the connection has ended.
   */
  send(whole: Buffer, start = 0): boolean {
    if (this.#end !== null) return true;
    const framed = frameAround(whole, start, OPCODE.binary);
    if (framed !== null) {
      this.#socket.write(framed, this.#written);
    } else {
      this.#sendCopied(start === 0 ? whole : whole.subarray(start));
    }
    // Not what write() answers: a large one answers false even when the kernel took it whole, and to stop and start the
    // other side for that would cost a quarter of the relay.
    this.#isAwaited = this.#socket.writableLength > 0;
    return !this.#isAwaited;
  }

  /** Send a text message; small and rare, so without back-pressure of its own. */
  sendText(message: string): void {
    if (this.#end === null) this.#write(frame(OPCODE.text, Buffer.from(message, 'utf8')));
  }

  /** What was not taken is not needed any more: read on. */
  resume(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    this.#heard = true;
    this.#reader.resume();
  }

  /** Called about once a second: pings the peer every 20 s and gives up one that is silent for 60. */
  beat(): void {
    if (this.#end !== null) return;
    const now = this.#now();
    if (this.#heard) this.#heardAt = now;
    this.#heard = false;
    // While we do not read we cannot hear: the silence is ours.
    if (!this.#isStopped && now - this.#heardAt > SILENT_PERIODS_MAX * this.#pingEveryMs) {
      this.#lost(`the peer answered no ping for ${(SILENT_PERIODS_MAX * this.#pingEveryMs) / 1_000} seconds`);
      return;
    }
    if (now - this.#pingedAt < this.#pingEveryMs) return;
    this.#pingedAt = now;
    // A peer that does not read has enough in its queue already; a ping behind it would say nothing.
    if (this.#socket.writableLength === 0) this.#write(PING);
  }

  /** Say goodbye with a code and a reason (cut to 123 bytes), then close; a peer that does not answer is cut off. */
  close(code: number, reason: string): void {
    if (this.#end !== null) return;
    this.#finish({ by: 'us', code, reason });
    this.#write(closeFrame(code, reason));
    this.#leave();
  }

  #write(bytes: Buffer): void {
    this.#socket.write(bytes, this.#written);
  }

  /** With no room before it for a header. */
  #sendCopied(bytes: Buffer): void {
    if (bytes.length <= COPY_BYTES_MAX) return this.#write(frame(OPCODE.binary, bytes));
    this.#socket.cork();
    this.#socket.write(frameHeader(OPCODE.binary, bytes.length));
    this.#write(bytes);
    this.#socket.uncork();
  }

  readonly #written = (): void => {
    if (this.#socket.writableLength > 0) return;
    if (this.#pongs.length > 0) this.#answerPings();
    this.#settle();
  };

  #settle(): void {
    if (!this.#isAwaited) return;
    this.#isAwaited = false;
    this.#events.drained();
  }

  #sink(): FrameSink {
    return {
      data: (bytes) => {
        if (this.#end === null && !this.#events.data(bytes)) this.#isStopped = true;
      },
      text: (message) => {
        if (this.#end === null) this.#events.text(message);
      },
      ping: (payload) => {
        if (this.#pongs.push(payload) > PONGS_MAX) this.#pongs.shift();
      },
      pong: () => {},
      close: (code, reason) => this.#peerClosed(code, reason),
    };
  }

  /** False: not all of it was taken. */
  #received(bytes: Buffer): boolean {
    this.#heard = true;
    const violation = this.#parser.push(bytes);
    if (violation !== null) this.close(violation.code, violation.reason);
    else if (this.#pongs.length > 0) this.#answerPings();
    return !this.#isStopped;
  }

  /** To a peer that pings faster than it reads: later, and then only the newest. */
  #answerPings(): void {
    if (this.#end === null && this.#socket.writableLength > 0) return;
    const pongs = this.#pongs.splice(0);
    if (this.#end === null) this.#write(Buffer.concat(pongs.map((payload) => frame(OPCODE.pong, payload))));
  }

  #peerClosed(code: number | null, reason: string): void {
    if (this.#end !== null) {
      // The answer to our own close frame: both have said goodbye.
      this.#socket.end();
      return;
    }
    this.#finish({ by: 'peer', code: code ?? 1005, reason });
    this.#write(code === null ? frame(OPCODE.close, EMPTY) : closeFrame(code, ''));
    this.#socket.end();
    this.#leave();
  }

  #lost(reason: string): void {
    if (this.#end === null) this.#finish({ by: 'lost', code: 1006, reason });
    this.#socket.destroy();
  }

  #finish(end: WebSocketEnd): void {
    this.#end = end;
    this.#events.closed(end);
  }

  /** What the peer still says is read on, for a while, as far as its close frame. */
  #leave(): void {
    if (this.#socket.destroyed) return;
    this.resume();
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_WAIT_MS);
    timer.unref();
    this.#socket.once('close', () => clearTimeout(timer));
  }
}

const EMPTY = Buffer.alloc(0);
const PING = frame(OPCODE.ping, EMPTY);
