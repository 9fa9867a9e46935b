/**
 * One accepted WebSocket over the raw socket: frames in, frames out, back-pressure both ways, and a life that
 * always ends. It knows nothing of consoles. Sending answers false when the caller should wait for `drained`;
 * what it may hold for a peer that never reads is thus one piece plus the socket's own buffer.
 */
import type { Duplex } from 'node:stream';
import { FrameParser, OPCODE, type FrameSink } from './frame-parser.ts';
import { closeFrame, frame, frameHeader } from './frame-writer.ts';

/** A peer is asked for a sign of life this often unless told otherwise, and given up when three such periods pass in silence. */
const PING_EVERY_MS = 20_000;
const SILENT_PERIODS_MAX = 3;
/** How long a peer may take to answer our close frame, or to read what was queued before it. */
const CLOSE_WAIT_MS = 2_000;
/** Up to this size a payload is copied behind its header; beyond it, header and payload go out by writev. */
const COPY_BYTES_MAX = 8 * 1024;

/** How a connection ended: with the peer's close frame, with ours, or without any. */
export interface WebSocketEnd {
  readonly by: 'peer' | 'us' | 'lost';
  /** 1005 when the peer gave none, 1006 when it was lost. */
  readonly code: number;
  readonly reason: string;
}

export interface WebSocketEvents {
  data(bytes: Buffer): void;
  text(message: string): void;
  /** The peer has read what was sent: sending may go on. */
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
  #socket: Duplex;
  #events: WebSocketEvents;
  #parser: FrameParser;
  #pingEveryMs: number;
  #now: () => number;
  #heardAt: number;
  #pingedAt: number;
  #paused = false;
  #end: WebSocketEnd | null = null;

  /** Takes over a socket on which the 101 answer was just written; `head` is what came after the request. */
  constructor(socket: Duplex, head: Buffer, events: WebSocketEvents, options: WebSocketOptions) {
    this.#socket = socket;
    this.#events = events;
    this.#pingEveryMs = options.pingEveryMs ?? PING_EVERY_MS;
    this.#now = options.now ?? ((): number => performance.now());
    this.#heardAt = this.#pingedAt = this.#now();
    this.#parser = new FrameParser(this.#sink(), { textAllowed: options.textAllowed });
    socket.on('data', (bytes: Buffer) => this.#received(bytes));
    socket.on('drain', () => this.#events.drained());
    socket.on('end', () => {
      if (this.#end === null) this.#lost('the peer closed its side without a close frame');
      else socket.end();
    });
    socket.on('error', () => this.#lost('the connection broke'));
    socket.on('close', () => this.#lost('the connection broke'));
    // The owner may not be ready to be called from inside its own constructor.
    if (head.length > 0) socket.unshift(head);
  }

  /** Bytes queued for the peer beyond what the kernel took. */
  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  get open(): boolean {
    return this.#end === null;
  }

  /** Send a binary message. False: wait for `drained` before the next one. Ignored once the connection has ended. */
  send(bytes: Buffer): boolean {
    if (this.#end !== null) return true;
    if (bytes.length <= COPY_BYTES_MAX) {
      this.#socket.write(frame(OPCODE.binary, bytes));
    } else {
      this.#socket.cork();
      this.#socket.write(frameHeader(OPCODE.binary, bytes.length));
      this.#socket.write(bytes);
      this.#socket.uncork();
    }
    return isTaken(this.#socket);
  }

  /** Send a text message; small and rare, so without back-pressure of its own. */
  sendText(message: string): void {
    if (this.#end === null) this.#socket.write(frame(OPCODE.text, Buffer.from(message, 'utf8')));
  }

  /** Stop and go on reading from the peer; its kernel buffers fill, then it must wait. */
  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#heardAt = this.#now();
    this.#socket.resume();
  }

  /** Called about once a second: pings the peer every 20 s and gives up one that is silent for 60. */
  beat(): void {
    if (this.#end !== null) return;
    const now = this.#now();
    // While we do not read we cannot hear: the silence is ours.
    if (!this.#paused && now - this.#heardAt > SILENT_PERIODS_MAX * this.#pingEveryMs) {
      this.#lost(`the peer answered no ping for ${(SILENT_PERIODS_MAX * this.#pingEveryMs) / 1_000} seconds`);
      return;
    }
    if (now - this.#pingedAt < this.#pingEveryMs) return;
    this.#pingedAt = now;
    // A peer that does not read has enough in its queue already; a ping behind it would say nothing.
    if (this.#socket.writableLength === 0) this.#socket.write(frame(OPCODE.ping, EMPTY));
  }

  /** Say goodbye with a code and a reason (cut to 123 bytes), then close; a peer that does not answer is cut off. */
  close(code: number, reason: string): void {
    if (this.#end !== null) return;
    this.#finish({ by: 'us', code, reason });
    this.#socket.write(closeFrame(code, reason));
    this.#leave();
  }

  #sink(): FrameSink {
    return {
      data: (bytes) => {
        if (this.#end === null) this.#events.data(bytes);
      },
      text: (message) => {
        if (this.#end === null) this.#events.text(message);
      },
      ping: (payload) => {
        // One pong is enough for a peer that pings faster than it reads (RFC 6455 5.5.3).
        if (this.#end === null && this.#socket.writableLength === 0) this.#socket.write(frame(OPCODE.pong, payload));
      },
      pong: () => {},
      close: (code, reason) => this.#peerClosed(code, reason),
    };
  }

  #received(bytes: Buffer): void {
    this.#heardAt = this.#now();
    const violation = this.#parser.push(bytes);
    if (violation !== null) this.close(violation.code, violation.reason);
  }

  #peerClosed(code: number | null, reason: string): void {
    if (this.#end !== null) {
      // The answer to our own close frame: both have said goodbye.
      this.#socket.end();
      return;
    }
    this.#finish({ by: 'peer', code: code ?? 1005, reason });
    this.#socket.write(code === null ? frame(OPCODE.close, EMPTY) : closeFrame(code, ''));
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

  /** Read on for the peer's close frame, for a while. */
  #leave(): void {
    if (this.#socket.destroyed) return;
    this.#socket.resume();
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_WAIT_MS);
    timer.unref();
    this.#socket.once('close', () => clearTimeout(timer));
  }
}

const EMPTY = Buffer.alloc(0);

/**
 * Whether more may be written at once. A large write answers false even when the kernel took it whole; to stop and
 * start the other side for that would cost a quarter of the relay. When this is false, 'drain' will come.
 */
export function isTaken(stream: Duplex): boolean {
  return stream.writableLength === 0 || !stream.writableNeedDrain;
}
