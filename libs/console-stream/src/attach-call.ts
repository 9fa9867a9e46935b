/**
 * One Attach call at the host, from its first message to its end. It opens the guest's console once the caller has
 * shown its secret, and then joins the two. Never throws: whatever goes wrong becomes the call's status.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Duplex } from 'node:stream';
import { ServiceError, isServiceError, toServiceError } from '@gatehouse/errors/service-error';
import type { EndReason } from '@gatehouse/errors/endings';
import { createChannel } from './attach-channel.ts';
import type { Channel } from './attach-channel.ts';
import { decodeRequest } from './attach-messages.ts';
import type { AttachRequest, AttachResponse, Open } from './attach-messages.ts';
import { ConsoleEnded, streamEnding } from './console-ended.ts';
import { statusOf } from './grpc-errors.ts';

/** What an Attach asks for, as the proxy sent it. */
export interface AttachOpen {
  readonly sessionId: string;
  readonly attachSecret: string;
  /** The first byte of output that the proxy has not seen; null at a first attach. */
  readonly offset: number | null;
  /** Aborted when the caller is gone, before or after the console is open. */
  readonly signal: AbortSignal;
}

/** A guest's console, opened. Destroy the stream with a ConsoleEnded to end the session with a reason. */
export interface GuestConsole {
  readonly stream: Duplex;
  /** Of the first byte that the stream gives. */
  readonly offset: number;
}

export interface ConsoleStreamLimits {
  /** Attach calls open at once; more are refused with RESOURCE_EXHAUSTED. */
  readonly attachesMax: number;
  /** From the start of a call to its Open message. */
  readonly openTimeoutMs: number;
  /** From the Open message until the guest's console is there. */
  readonly attachTimeoutMs: number;
  /** Input that a proxy may send without acknowledgement. */
  readonly inputWindowBytes: number;
}

export const DEFAULT_LIMITS: ConsoleStreamLimits = Object.freeze({
  attachesMax: 1000,
  openTimeoutMs: 5_000,
  attachTimeoutMs: 15_000,
  inputWindowBytes: 256 * 1024,
});

export interface StreamLog {
  warn(fields: object, message: string): void;
  debug(fields: object, message: string): void;
}

export type AttachServerCall = ServerDuplexStream<Buffer, AttachResponse>;

/** An open call, as the server that drains sees it. */
export interface AttachCall {
  end(reason: EndReason): void;
}

export interface AttachCallOptions {
  readonly limits: ConsoleStreamLimits;
  readonly log: StreamLog;
  /** Those open; the call adds and removes itself. */
  readonly calls: Set<AttachCall>;
  attach(open: AttachOpen): Promise<GuestConsole>;
}

const WINDOW_BYTES_MIN = 4 * 1024;
const WINDOW_BYTES_MAX = 4 * 1024 * 1024;
/** How long a guest may take for the last input of a session that has ended. */
const LAST_INPUT_TIMEOUT_MS = 1_000;
/** Why an open's signal is aborted: made once, because AbortController would make an error with its stack for each console that ends. */
const CALLER_GONE = new ServiceError('CANCELLED', 'the caller is gone');

export function serveAttachCall(call: AttachServerCall, { limits, log, calls, attach }: AttachCallOptions): void {
  const gone = new AbortController();
  let channel: Channel | null = null;
  let opening = false;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;

  const entry: AttachCall = {
    end(reason) {
      if (channel) channel.duplex.destroy(new ConsoleEnded(reason));
      else fail(new ServiceError('UNAVAILABLE', 'the host is shutting down; open the console again'));
    },
  };

  function close(): void {
    closed = true;
    clearTimeout(timer);
    calls.delete(entry);
    gone.abort(CALLER_GONE);
  }

  function fail(error: ServiceError): void {
    if (channel) {
      channel.duplex.destroy(error);
    } else if (!closed) {
      close();
      call.emit('error', statusOf(error));
    }
  }

  function limitTime(timeoutMs: number, words: string): void {
    clearTimeout(timer);
    timer = setTimeout(() => fail(new ServiceError('DEADLINE_EXCEEDED', words)), timeoutMs);
  }

  async function open(message: Open): Promise<void> {
    opening = true;
    limitTime(limits.attachTimeoutMs, `the console did not open within ${limits.attachTimeoutMs} ms`);
    checkOpen(message);
    const { sessionId, attachSecret, offset } = message;
    const guest = await attach({ sessionId, attachSecret, offset, signal: gone.signal });
    if (closed) {
      guest.stream.on('error', () => {}).destroy();
      return;
    }
    clearTimeout(timer);
    channel = joinGuest(call, message, guest, limits.inputWindowBytes);
    channel.duplex.once('close', close);
  }

  function failOpening(thrown: unknown): void {
    const error = toServiceError(thrown);
    if (error.code === 'INTERNAL') log.warn({ err: error }, 'an Attach failed');
    else log.debug({ code: error.code, reason: error.message }, 'an Attach was refused');
    fail(error);
  }

  call.on('data', (bytes: Buffer) => {
    if (closed) return;
    try {
      const message = decodeRequest(bytes);
      if (channel) receive(channel, message);
      else if ('open' in message && !opening) open(message.open).catch(failOpening);
      else throw new ServiceError('INVALID_ARGUMENT', 'the first message must be Open, and the next must wait for Opened');
    } catch (error) {
      fail(toServiceError(error));
    }
  });
  call.on('end', () => {
    if (channel) channel.receiveEnd(streamEnding('client_closed'));
    else fail(new ServiceError('CANCELLED', 'the caller ended before the console was open'));
  });
  const callerGone = (): void => {
    channel?.duplex.destroy();
    close();
  };
  call.on('cancelled', callerGone);
  call.on('error', callerGone);

  calls.add(entry);
  if (calls.size > limits.attachesMax) {
    fail(new ServiceError('RESOURCE_EXHAUSTED', `this host serves at most ${limits.attachesMax} consoles at once`));
  } else {
    limitTime(limits.openTimeoutMs, `no Open message within ${limits.openTimeoutMs} ms`);
  }
}

function checkOpen(message: Open): void {
  const named = message.sessionId !== '' && message.attachSecret !== '';
  if (!named || message.sessionId.length > 200 || message.attachSecret.length > 500) {
    throw new ServiceError('INVALID_ARGUMENT', 'an Open message names a session and its attach secret');
  }
  if (message.windowBytes < WINDOW_BYTES_MIN) {
    throw new ServiceError('INVALID_ARGUMENT', `an Open message announces a window of at least ${WINDOW_BYTES_MIN} bytes`);
  }
}

function receive(channel: Channel, message: AttachRequest): void {
  if ('data' in message) channel.receiveData(message.data);
  else if ('end' in message) channel.receiveEnd(message.end);
  else throw new ServiceError('INVALID_ARGUMENT', 'a second Open message');
}

/** Sends Opened and lets the bytes flow both ways until one side ends. */
function joinGuest(call: AttachServerCall, open: Open, guest: GuestConsole, inputWindowBytes: number): Channel {
  let over = false;
  const finish = (last: () => void): void => {
    if (over) return;
    over = true;
    if (!call.cancelled) last();
  };
  call.write({ opened: { outputOffset: guest.offset, inputOffset: 0, windowBytes: inputWindowBytes } });
  const channel = createChannel({
    wire: {
      sendData(data) {
        if (!over && !call.cancelled) call.write({ data });
      },
      sendEnd: (end) => finish(() => { call.write({ end }); call.end(); }),
      abort: (error) => finish(() => call.emit('error', statusOf(error ?? new ServiceError('CANCELLED', 'the console was closed')))),
    },
    sendOffset: guest.offset,
    receiveOffset: 0,
    sendWindowBytes: Math.min(open.windowBytes, WINDOW_BYTES_MAX),
    receiveWindowBytes: inputWindowBytes,
    ownEnding: streamEnding('guest_closed'),
  });
  pipeBothWays(guest.stream, channel.duplex);
  return channel;
}

/** Not node's pipeline: the ways a guest ends (closed, reset, ended with a reason) must stay apart. */
function pipeBothWays(guest: Duplex, channel: Duplex): void {
  guest.on('error', (error) => channel.destroy(guestFault(error)));
  guest.on('close', () => {
    if (!guest.readableEnded && !channel.destroyed) channel.destroy(new ConsoleEnded('guest_closed'));
  });
  channel.on('error', () => {}); // the wire has been told
  channel.on('end', () => guest.unpipe(channel));
  channel.on('close', () => letGo(guest));
  guest.pipe(channel);
  channel.pipe(guest);
}

/** A guest's socket that breaks is a guest that is gone; only errors with a meaning of their own pass. */
function guestFault(error: Error): Error {
  return isServiceError(error) || error instanceof ConsoleEnded ? error : new ConsoleEnded('guest_closed');
}

/** Closes the guest's stream once it has taken the session's last input, or soon after. */
function letGo(guest: Duplex): void {
  if (guest.destroyed) return;
  if (!guest.writableEnded || guest.writableFinished) {
    guest.destroy();
    return;
  }
  const timer = setTimeout(() => guest.destroy(), LAST_INPUT_TIMEOUT_MS);
  guest.once('finish', () => guest.destroy());
  guest.once('close', () => clearTimeout(timer));
}
