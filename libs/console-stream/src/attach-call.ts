/**
 * One Attach call at the host, from its first message to its end. It opens the guest's console once the caller has
 * shown its secret, and then joins the two. Never throws: whatever goes wrong becomes the call's status.
 */
import { ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import type { EndReason } from '@gatehouse/errors/endings';
import { decodeRequest } from './attach-messages.ts';
import type { Open } from './attach-messages.ts';
import type { ByteConnections } from './byte-connections.ts';
import { openByBytes } from './bytes-console.ts';
import { ConsoleEnded } from './console-ended.ts';
import type { HostCall, HostCallListener } from './host-call.ts';
import { openByMessages } from './messages-console.ts';
import type { GuestConsole, OpenConsole } from './open-console.ts';
import type { StreamLog } from './stream-log.ts';

/** What an Attach asks for, as the proxy sent it. */
export interface AttachOpen {
  readonly sessionId: string;
  readonly attachSecret: string;
  /** The first byte of output that the proxy has not seen; null at a first attach. */
  readonly offset: number | null;
  /** Aborted when the caller is gone, before or after the console is open. */
  readonly signal: AbortSignal;
}

export interface ConsoleStreamLimits {
  /** Attach calls open at once, on streams of their own or shared ones; more are refused with RESOURCE_EXHAUSTED. */
  readonly attachesMax: number;
  /** Streams that calls share, as a rule one a proxy: more are refused likewise, and one on which nobody calls for so long is ended. */
  readonly streamsMax: number;
  readonly idleStreamTimeoutMs: number;
  /** From the start of a call to its Open message. */
  readonly openTimeoutMs: number;
  /** From the Open message until the guest's console is there, and from then until its byte connection is. */
  readonly attachTimeoutMs: number;
  /** Input that a proxy may send without acknowledgement, where it comes in the call. */
  readonly inputWindowBytes: number;
  /** How long a proxy may take to hear of a console's end, and its client for the last output on the byte connection. */
  readonly lastOutputTimeoutMs: number;
  /** Connections that have not said what they are, of all and of one address; the oldest make room for more. */
  readonly waitingMax: number;
  readonly waitingPerAddressMax: number;
}

export const DEFAULT_LIMITS: ConsoleStreamLimits = Object.freeze({
  attachesMax: 1000,
  streamsMax: 1000,
  idleStreamTimeoutMs: 30_000,
  openTimeoutMs: 5_000,
  attachTimeoutMs: 15_000,
  inputWindowBytes: 256 * 1024,
  lastOutputTimeoutMs: 30_000,
  waitingMax: 1_000,
  waitingPerAddressMax: 250,
});

/** An open call, as the server that drains sees it. */
export interface AttachCall {
  end(reason: EndReason): void;
}

export interface AttachCallOptions {
  readonly limits: ConsoleStreamLimits;
  readonly log: StreamLog;
  /** Those open; the call adds and removes itself. */
  readonly calls: Set<AttachCall>;
  readonly connections: ByteConnections;
  attach(open: AttachOpen): Promise<GuestConsole>;
}

const WINDOW_BYTES_MIN = 4 * 1024;
/** Why an open's signal is aborted: made once, because AbortController would make an error with its stack for each console that ends. */
const CALLER_GONE = new ServiceError('CANCELLED', 'the caller is gone');

export function serveAttachCall(call: HostCall, { limits, log, calls, connections, attach }: AttachCallOptions): HostCallListener {
  const gone = new AbortController();
  let console: OpenConsole | null = null;
  let opening = false;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;

  const entry: AttachCall = {
    end(reason) {
      if (console) console.destroy(new ConsoleEnded(reason));
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
    if (console) {
      console.destroy(error);
    } else if (!closed) {
      close();
      call.fail(error);
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
    if (!message.byteConnection && !call.takesBytes) throw new ServiceError('INVALID_ARGUMENT', 'a console whose bytes go in its call has a call of its own');
    const { sessionId, attachSecret, offset } = message;
    const guest = await attach({ sessionId, attachSecret, offset, signal: gone.signal });
    if (closed) {
      guest.stream.on('error', () => {}).destroy();
      return;
    }
    clearTimeout(timer);
    console = message.byteConnection
      ? openByBytes({ call, guest, connections, limits, closed: close })
      : openByMessages({ call, open: message, guest, inputWindowBytes: limits.inputWindowBytes, closed: close });
  }

  function failOpening(thrown: unknown): void {
    const error = toServiceError(thrown);
    if (error.code === 'INTERNAL') log.warn({ err: error }, 'an Attach failed');
    else log.debug({ code: error.code, reason: error.message }, 'an Attach was refused');
    fail(error);
  }

  function receive(bytes: Buffer): void {
    if (closed) return;
    try {
      const message = decodeRequest(bytes);
      if (console) console.receive(message);
      else if ('open' in message && !opening) open(message.open).catch(failOpening);
      else throw new ServiceError('INVALID_ARGUMENT', 'the first message must be Open, and the next must wait for Opened');
    } catch (error) {
      fail(toServiceError(error));
    }
  }

  calls.add(entry);
  if (calls.size > limits.attachesMax) {
    fail(new ServiceError('RESOURCE_EXHAUSTED', `this host serves at most ${limits.attachesMax} consoles at once`));
  } else {
    limitTime(limits.openTimeoutMs, `no Open message within ${limits.openTimeoutMs} ms`);
  }
  return {
    receive,
    receiveEnd() {
      if (console) console.receiveEnd();
      else fail(new ServiceError('CANCELLED', 'the caller ended before the console was open'));
    },
    gone() {
      console?.destroy();
      close();
    },
  };
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
