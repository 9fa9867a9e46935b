/**
 * The guest's side of a console: any duplex, whether dialled or attached, with the same back-pressure both ways as the
 * client's WebSocket has (web-socket-connection.ts). Where a client must be greeted first, nothing of the host is read until it is
 * through; a client that does not get through in time, or says what is no RFB, ends it with words.
 */
import type { Duplex } from 'node:stream';
import { readBytes, type ByteReader } from '@gatehouse/console-stream/byte-reader';
import { GreetedHost } from './dial/greeted-host.ts';
import type { RfbGreeting } from './dial/rfb-greeting.ts';

export type Guest = Duplex | GreetedHost;

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
  /** Null until the client has been greeted. */
  #reader: ByteReader | null = null;
  #greeting: RfbGreeting | null = null;
  #greetingTimer: NodeJS.Timeout | undefined;
  #isAwaited = false;

  /** What a client is greeted with is told before this returns; all else comes later. */
  constructor(guest: Guest, events: GuestEvents) {
    this.#stream = streamOf(guest);
    this.#events = events;
    this.#listen();
    if (guest instanceof GreetedHost) this.#startGreeting(guest);
    else this.#read();
  }

  #listen(): void {
    const [stream, events] = [this.#stream, this.#events];
    // It may have gone while it was handed over, and then tells nobody any more.
    if (stream.closed || stream.readableEnded) process.nextTick(() => events.over(endingNamedBy(stream) ?? 'host_unreachable'));
    stream.on('end', () => events.over(endingNamedBy(stream) ?? 'guest_closed'));
    stream.on('error', () => events.over('host_unreachable'));
    stream.on('close', () => {
      clearTimeout(this.#greetingTimer);
      events.over(endingNamedBy(stream) ?? 'host_unreachable');
      this.#settle();
    });
  }

  #read(): void {
    this.#reader = readBytes(this.#stream, (whole, start) => this.#events.output(whole, start));
  }

  /** True: taken. False: the bytes are still needed, and `taken` will be called. */
  send(bytes: Buffer): boolean {
    if (this.#greeting !== null) return this.#greet(this.#greeting, bytes);
    this.#stream.write(bytes, this.#written);
    this.#isAwaited = this.#stream.writableLength > 0;
    return !this.#isAwaited;
  }

  /** What was not taken is not needed any more: read on. */
  resume(): void {
    this.#reader?.resume();
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

  #startGreeting({ greeting, timeoutMs }: GreetedHost): void {
    this.#greeting = greeting;
    this.#greetingTimer = setTimeout(() => {
      this.#events.output(greeting.giveUp(), 0);
      this.#refuse();
    }, timeoutMs).unref();
    // A few dozen bytes in all, which may wait in the client's socket.
    this.#events.output(greeting.first, 0);
  }

  #greet(greeting: RfbGreeting, bytes: Buffer): boolean {
    const { say, rest, state } = greeting.take(bytes);
    if (say.length > 0) this.#events.output(say, 0);
    if (state === 'failed') this.#refuse();
    if (state !== 'done') return true;
    clearTimeout(this.#greetingTimer);
    this.#greeting = null;
    this.#read();
    return rest.length === 0 || this.send(rest);
  }

  #refuse(): void {
    clearTimeout(this.#greetingTimer);
    this.#stream.destroy();
    this.#events.over('protocol_error');
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

/** For one that nobody is joined to. */
export function dropGuest(guest: Guest): void {
  streamOf(guest).on('error', () => {}).destroy();
}

const streamOf = (guest: Guest): Duplex => (guest instanceof GreetedHost ? guest.stream : guest);

/** An attached console knows why its host ended it. */
function endingNamedBy(stream: Duplex): string | null {
  const ending = 'ending' in stream ? (stream.ending as { readonly reason: string } | null) : null;
  return ending?.reason ?? null;
}
