/**
 * The guest's side of a console: any duplex, whether dialled or attached, with the same back-pressure both ways as the
 * client's WebSocket has (web-socket-connection.ts).
 */
import type { Duplex } from 'node:stream';
import { readBytes, type ByteReader } from './byte-reader.ts';

export interface GuestEvents {
  /**
   * The guest's bytes: those of `whole` from `start` on, and what stands before them may be overwritten. False: they are still
   * needed, and nothing more is read until `resume`.
   */
  output(whole: Buffer, start: number): boolean;
  /** The guest has taken what was sent: sending may go on. */
  taken(): void;
  /** Called at least once when no more will come. */
  over(reason: string): void;
}

/** How long a guest may take for the last input of a client that has left. */
const LAST_INPUT_TIMEOUT_MS = 1_000;

export class GuestConnection {
  readonly #stream: Duplex;
  readonly #events: GuestEvents;
  readonly #reader: ByteReader;
  #isAwaited = false;

  constructor(stream: Duplex, events: GuestEvents) {
    this.#stream = stream;
    this.#events = events;
    this.#reader = readBytes(stream, (whole, start) => events.output(whole, start));
    stream.on('end', () => events.over(endingNamedBy(stream) ?? 'guest_closed'));
    stream.on('error', () => events.over('host_unreachable'));
    stream.on('close', () => {
      events.over(endingNamedBy(stream) ?? 'host_unreachable');
      this.#settle();
    });
  }

  /** True: taken. False: the bytes are still needed, and `taken` will be called. */
  send(bytes: Buffer): boolean {
    this.#stream.write(bytes, this.#written);
    this.#isAwaited = this.#stream.writableLength > 0;
    return !this.#isAwaited;
  }

  /** What was not taken is not needed any more: read on. */
  resume(): void {
    this.#reader.resume();
  }

  /** What the client sent last before it left is on its way to the guest: it gets a moment to arrive. */
  letGo(): void {
    const stream = this.#stream;
    if (stream.destroyed) return;
    const timer = setTimeout(() => stream.destroy(), LAST_INPUT_TIMEOUT_MS).unref();
    stream.once('close', () => clearTimeout(timer));
    stream.end();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  readonly #written = (): void => {
    if (this.#stream.writableLength === 0) this.#settle();
  };

  #settle(): void {
    if (!this.#isAwaited) return;
    this.#isAwaited = false;
    this.#events.taken();
  }
}

/** An attached console knows why its host ended it. */
function endingNamedBy(stream: Duplex): string | null {
  const ending = 'ending' in stream ? (stream.ending as { readonly reason: string } | null) : null;
  return ending?.reason ?? null;
}
