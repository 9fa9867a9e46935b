/**
 * A guest's serial port, held open for as long as the guest lives. The guest sees one steady terminal; users come
 * and go. What it printed lately is kept, so whoever opens the console sees the prompt that waits for them, and one
 * who was cut off goes on where they were.
 *
 * One user at a time: a new one ends the one before. A user who does not read stops the guest's output, as
 * a terminal does, but not for longer than STALL_TIMEOUT_MS: then the user is let go and not the guest.
 *
 * Offsets begin at the microsecond at which the line was opened. So an offset from an earlier life of the line is
 * always older than anything kept now, and never taken for a place in the new output.
 */
import { Duplex } from 'node:stream';
import { ConsoleEnded } from '@gatehouse/console-stream/console-ended';
import type { GuestConsole } from '@gatehouse/console-stream/open-console';
import type { EndReason } from '@gatehouse/errors/endings';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { CancelTimer, Clock } from '@gatehouse/runtime/clock';
import { Scrollback } from './scrollback.ts';
import { withoutQueries } from './terminal-queries.ts';

/** Two reads of a socket: one that a slow user has not taken, one that comes before the guest is stopped. */
export const SCROLLBACK_BYTES_MIN = 128 * 1024;
export const STALL_TIMEOUT_MS = 30_000;
/** What a user who does not read may fall behind, as a share of the scrollback, before the guest is stopped. */
const LAG_SHARE_MAX = 0.5;
const PIECE_BYTES = 16 * 1024;

export class SerialLine {
  readonly #guest: Duplex;
  readonly #clock: Clock;
  readonly #scrollback: Scrollback;
  readonly #lagBytesMax: number;
  #user: User | null = null;
  #cancelStall: CancelTimer | null = null;

  constructor(guest: Duplex, scrollbackBytes: number, clock: Clock) {
    this.#guest = guest;
    this.#clock = clock;
    this.#scrollback = new Scrollback(scrollbackBytes, clock.now().getTime() * 1000);
    this.#lagBytesMax = Math.floor(scrollbackBytes * LAG_SHARE_MAX);
    guest.on('data', (chunk: Buffer) => this.#take(chunk));
    guest.on('error', () => {}); // 'close' follows
    guest.once('end', () => guest.destroy());
    guest.once('close', () => {
      if (this.#user) this.#give(this.#user);
    });
  }

  get isOpen(): boolean {
    return !this.#guest.destroyed;
  }

  /** What is kept of what the guest printed. */
  output(): Buffer {
    const { start, end } = this.#scrollback;
    return this.#scrollback.read(start, end - start);
  }

  /** Joins a new user and ends the one before. Without an offset, or with one that is no longer kept, the output begins with the oldest byte kept. */
  attach(offset: number | null): GuestConsole {
    const { start, end } = this.#scrollback;
    const resumes = offset !== null && offset >= start && offset <= end;
    const from = resumes ? offset : start;
    this.#leave(this.#user, new ConsoleEnded('superseded'));
    // Who goes on where they were is the terminal that was asked; anybody else is only shown what was said.
    const history = resumes ? null : withoutQueries(this.#scrollback.read(start, end - start));
    const user: User = { at: from, history, historyAt: from, wants: false, stream: this.#streamOf(() => user) };
    this.#user = user;
    return { stream: user.stream, offset: from };
  }

  /** Ends the user's session with that reason and lets the guest's port go. */
  close(reason: EndReason): void {
    this.#leave(this.#user, new ConsoleEnded(reason));
    this.#guest.destroy();
  }

  #streamOf(self: () => User): Duplex {
    const stream = new Duplex({
      readableHighWaterMark: PIECE_BYTES,
      read: () => {
        self().wants = true;
        this.#give(self());
      },
      write: (chunk: Buffer, _encoding, done) => this.#type(chunk, done),
      destroy: (error, done) => {
        this.#leave(self(), null);
        done(error);
      },
    });
    return stream.on('error', () => {});
  }

  #take(chunk: Buffer): void {
    this.#scrollback.append(chunk);
    const user = this.#user;
    if (user && unreadFrom(user) < this.#scrollback.start) {
      this.#leave(user, new ServiceError('RESOURCE_EXHAUSTED', 'the machine printed more at once than is kept; open the console again'));
    } else if (user) {
      this.#give(user);
    }
    this.#stopOrGo();
  }

  #give(user: User): void {
    while (this.#user === user && user.wants && user.at < this.#scrollback.end) {
      const piece = this.#next(user);
      user.at += piece.length;
      user.wants = user.stream.push(piece);
    }
    // What the guest said last is read before the end is seen.
    if (this.#user === user && !this.isOpen && user.at >= this.#scrollback.end) user.stream.push(null);
    this.#stopOrGo();
  }

  /** What the user reads next: their copy of the history, then what comes. */
  #next(user: User): Buffer {
    const piece = user.history?.subarray(user.at - user.historyAt, user.at - user.historyAt + PIECE_BYTES);
    if (piece?.length) return piece;
    user.history = null;
    return this.#scrollback.read(user.at, PIECE_BYTES);
  }

  #stopOrGo(): void {
    const user = this.#user;
    const lag = user ? this.#scrollback.end - unreadFrom(user) : 0;
    if (user && !user.wants && lag > this.#lagBytesMax) {
      this.#guest.pause();
      this.#cancelStall ??= this.#clock.after(STALL_TIMEOUT_MS, () => this.#dropStalled());
    } else {
      this.#cancelStall?.();
      this.#cancelStall = null;
      this.#guest.resume();
    }
  }

  #dropStalled(): void {
    const words = `this session read nothing for ${STALL_TIMEOUT_MS / 1000} s while the machine printed; open the console again`;
    this.#leave(this.#user, new ServiceError('RESOURCE_EXHAUSTED', words));
  }

  #type(chunk: Buffer, done: (error?: Error | null) => void): void {
    if (!this.isOpen) done(); // the end is on its way to the user
    else this.#guest.write(chunk, () => done());
  }

  #leave(user: User | null, why: Error | null): void {
    if (user === null || this.#user !== user) return;
    this.#user = null;
    if (!user.stream.destroyed) user.stream.destroy(why ?? undefined);
    this.#stopOrGo();
  }
}

interface User {
  readonly stream: Duplex;
  /** Offset of the next byte that the user gets. */
  at: number;
  /** What was printed before the user came, from `historyAt` on; null once it is read. */
  history: Buffer | null;
  readonly historyAt: number;
  /** Whether the stream has asked for more since it last was full. */
  wants: boolean;
}

/** Where in the scrollback the user goes on, once their copy of the history is read. */
function unreadFrom({ at, history, historyAt }: User): number {
  return Math.max(at, historyAt + (history?.length ?? 0));
}
