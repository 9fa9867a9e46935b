/**
 * Reads a socket for a relay: into memory of ours that is used again, with room before the bytes for a frame header.
 *
 * All sockets that wait share one small buffer, out of which each read is copied at once: Linux fills it only when there
 * are bytes, and calls back in the same turn. A read that fills it goes on, in that turn, in a large one, which is given
 * back as soon as the bytes are taken, and that is at once unless the other side is slow. So ten thousand idle consoles
 * hold nothing, and one slow reader holds one large buffer.
 *
 * Node offers this for sockets that it dials itself (net.connect's `onread`), but not for those that it accepts, nor
 * for one that was read from before. There we set what `onread` would have set (ADR 6). Where that is not as expected,
 * and for every other stream, 'data' events do the same at twice the cost.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { relayMemory } from './relay-memory.ts';

/** Room for the header of a frame of any length. */
export const HEAD_ROOM = 10;
const SMALL_BYTES = 2 * 1024;
export const LARGE_BYTES = 256 * 1024;
/** Large buffers that are kept for the next who needs one. */
const LARGE_KEPT_MAX = 16;

/** On a fast flow, reads of less than this wait for more, a millisecond. */
const GATHER_BELOW_BYTES = 64 * 1024;
const GATHER_MS = 1;
/** A flow is fast from this many reads on, each within a millisecond of the one before: no typist, no echo. */
const FAST_READS = 8;

/**
 * The bytes of `whole` from `start` on; what stands before them may be overwritten. True: taken, and the memory is the
 * reader's again. False: it is still needed, and nothing more is read until `resume`.
 */
export type Take = (whole: Buffer, start: number) => boolean;

export interface ByteReader {
  /** What was not taken is not needed any more: read on. */
  resume(): void;
}

/** Reads from now on, until the stream ends. `take` is not called before this returns. */
export function readBytes(stream: Duplex, take: Take): ByteReader {
  const handle = stream instanceof Socket ? handleOf(stream) : null;
  return handle === null ? readEvents(stream, take) : new BufferReader(stream as Socket, handle, take);
}

/** With documented means only: each read is a new buffer. */
export function readEvents(stream: Duplex, take: Take): ByteReader {
  stream.on('data', (bytes: Buffer) => {
    if (!take(bytes, 0)) stream.pause();
  });
  return { resume: () => void stream.resume() };
}

/** The part of a socket's handle that `onread` uses. */
interface ReadHandle {
  useUserBuffer(buffer: Uint8Array): void;
}

interface OnRead {
  readonly kBuffer: symbol;
  readonly kBufferCb: symbol;
  readonly kBufferGen: symbol;
}

const onRead = findOnRead();

function findOnRead(): OnRead | null {
  const symbols = Object.getOwnPropertySymbols(new Socket());
  const named = (name: string): symbol | undefined => symbols.find(({ description }) => description === name);
  const [kBuffer, kBufferCb, kBufferGen] = [named('kBuffer'), named('kBufferCb'), named('kBufferGen')];
  return kBuffer && kBufferCb && kBufferGen ? { kBuffer, kBufferCb, kBufferGen } : null;
}

/** Null where buffers of ours cannot be used: another Node, or TLS, whose bytes are copied out of its records anyway. */
export function handleOf(socket: Socket): ReadHandle | null {
  if (onRead === null || 'encrypted' in socket) return null;
  const { _handle: handle } = socket as { _handle?: Partial<ReadHandle> | null };
  return typeof handle?.useUserBuffer === 'function' ? (handle as ReadHandle) : null;
}

interface ReadBuffer {
  readonly whole: Buffer;
  /** Where the kernel writes. */
  readonly space: Buffer;
  /** The same behind the bytes that have filled a small buffer. */
  readonly rest: Buffer;
}

function makeBuffer(bytes: number): ReadBuffer {
  return readBufferOf(Buffer.allocUnsafeSlow(HEAD_ROOM + bytes));
}

function readBufferOf(whole: Buffer): ReadBuffer {
  return { whole, space: whole.subarray(HEAD_ROOM), rest: whole.subarray(HEAD_ROOM + SMALL_BYTES) };
}

const small = makeBuffer(SMALL_BYTES);
/** The first ones where a client's bytes are unmasked fastest; each that is needed beyond them is made and thrown away. */
const largeKept: ReadBuffer[] = largeBuffers();

function largeBuffers(): ReadBuffer[] {
  const wholes = Array.from({ length: LARGE_KEPT_MAX }, () => relayMemory?.take(HEAD_ROOM + LARGE_BYTES) ?? null);
  return wholes.filter((whole) => whole !== null).map(readBufferOf);
}

/** The first bytes of a read, in memory of their own. */
function copyOf({ whole }: ReadBuffer, bytes: number): Buffer {
  const copy = Buffer.allocUnsafe(HEAD_ROOM + bytes);
  whole.copy(copy, HEAD_ROOM, HEAD_ROOM, HEAD_ROOM + bytes);
  return copy;
}

class BufferReader implements ByteReader {
  readonly #socket: Socket;
  readonly #take: Take;
  /** Into which the next read goes, and where in it. */
  #armed = small;
  #space = this.#armed.space;
  /** The small buffer's bytes stand at the beginning of the large one that is armed, and wait for what follows. */
  #holds = false;
  /** Not taken: still needed, and until then nothing is read. The small one stands for any copy. */
  #lent: ReadBuffer | null = null;
  #gathering: NodeJS.Timeout | null = null;
  #fastReads = 0;
  #readAtMs = 0;

  constructor(socket: Socket, handle: ReadHandle, take: Take) {
    this.#socket = socket;
    this.#take = take;
    const { kBuffer, kBufferCb, kBufferGen } = onRead!;
    Object.assign(socket, {
      [kBuffer]: this.#space,
      [kBufferCb]: (bytes: number) => this.#received(bytes),
      [kBufferGen]: () => this.#space,
    });
    handle.useUserBuffer(this.#space);
    // Before anyone else hears of the end.
    socket.prependOnceListener('end', () => this.#deliverHeld());
    socket.once('close', () => this.#close());
    process.nextTick(() => this.#begin());
  }

  resume(): void {
    if (this.#lent === null) return;
    this.#giveBack(this.#lent);
    this.#lent = null;
    if (this.#gathering === null) this.#socket.resume();
  }

  /** What was read before, as it comes after a handshake, and then the socket itself. */
  #begin(): void {
    const before = this.#socket.read() as Buffer | null;
    if (before !== null && !this.#take(before, 0)) this.#lend(small);
    else this.#socket.resume();
  }

  /** True: read on at once. */
  #received(bytes: number): boolean {
    if (this.#armed === small) {
      if (bytes < SMALL_BYTES) return this.#deliverCopy(bytes) && !this.#gathers(bytes);
      this.#spill();
      return true;
    }
    const { whole, rest } = this.#armed;
    const at = this.#space === rest ? HEAD_ROOM + SMALL_BYTES : HEAD_ROOM;
    const start = this.#holds ? HEAD_ROOM : at;
    this.#holds = false;
    const end = at + bytes;
    return this.#deliver(whole.subarray(0, end), start, end === whole.length) && !this.#gathers(end - start);
  }

  /** There is more than fits: go on in a large buffer, behind what has come. */
  #spill(): void {
    const large = largeKept.pop() ?? makeBuffer(LARGE_BYTES);
    small.whole.copy(large.whole, HEAD_ROOM, HEAD_ROOM);
    this.#armed = large;
    this.#space = large.rest;
    this.#holds = true;
    setImmediate(() => this.#deliverHeld());
  }

  /** It was exactly as much as fits. The large buffer stays where the next read goes, for only a read can change that. */
  #deliverHeld(): void {
    if (!this.#holds || this.#socket.destroyed) return;
    this.#holds = false;
    this.#deliverCopy(SMALL_BYTES);
  }

  #deliverCopy(bytes: number): boolean {
    const taken = this.#take(copyOf(this.#armed, bytes), HEAD_ROOM);
    if (!taken) this.#lend(small);
    return taken;
  }

  #deliver(whole: Buffer, start: number, isFull: boolean): boolean {
    const read = this.#armed;
    const taken = this.#take(whole, start);
    // Full: there is more, which the next read finds at once.
    const goesOn = taken && isFull;
    if (!goesOn) this.#armed = small;
    this.#space = this.#armed.space;
    if (!taken) this.#lend(read);
    else if (!goesOn) this.#giveBack(read);
    return taken;
  }

  #lend(buffer: ReadBuffer): void {
    this.#lent = buffer;
    this.#socket.pause();
  }

  #giveBack(buffer: ReadBuffer): void {
    if (buffer !== small && largeKept.length < LARGE_KEPT_MAX) largeKept.push(buffer);
  }

  /** On a fast flow the kernel collects what comes within a millisecond: fewer, larger pieces for both sides. */
  #gathers(bytes: number): boolean {
    const nowMs = performance.now();
    this.#fastReads = nowMs - this.#readAtMs < GATHER_MS ? this.#fastReads + 1 : 0;
    this.#readAtMs = nowMs;
    if (this.#fastReads < FAST_READS || bytes >= GATHER_BELOW_BYTES) return false;
    this.#gathering = setTimeout(() => this.#gathered(), GATHER_MS);
    return true;
  }

  #gathered(): void {
    this.#gathering = null;
    this.#readAtMs = performance.now();
    if (this.#lent === null) this.#socket.resume();
  }

  #close(): void {
    if (this.#gathering !== null) clearTimeout(this.#gathering);
    this.#giveBack(this.#armed);
    this.#armed = small;
    this.#holds = false;
  }
}
