/**
 * The host's end of a stream that the Attach calls of many consoles share (multiplexed-calls.ts has the proxy's). A fault in what a call
 * says is that call's; a message that belongs to no call, or numbers out of order, end the stream and all that are on it.
 *
 * A proxy that does not read is not read from: what waits for it is a few messages, and the last words of the calls that are open.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import { encodeResponse } from './attach-messages.ts';
import type { AttachResponse } from './attach-messages.ts';
import { OK_STATUS, callStatusOf, statusOf } from './grpc-errors.ts';
import type { HostCall, HostCallListener } from './host-call.ts';
import { decodeMultiplexedRequest } from './multiplexed-messages.ts';
import type { MultiplexedRequest, MultiplexedResponse } from './multiplexed-messages.ts';

export type MultiplexedStream = ServerDuplexStream<Buffer, MultiplexedResponse>;

/** An open stream, as the server that drains sees it. */
export interface ServedStream {
  /** Ends with its last call, and takes no more. */
  drain(): void;
}

export interface ServeMultiplexedOptions {
  readonly limits: {
    readonly streamsMax: number;
    /** A stream without calls. */
    readonly idleStreamTimeoutMs: number;
  };
  /** Those open; the stream adds and removes itself. */
  readonly streams: Set<ServedStream>;
  serve(call: HostCall): HostCallListener;
}

export function serveMultiplexed(stream: MultiplexedStream, options: ServeMultiplexedOptions): void {
  const { limits, streams } = options;
  const served = new CallsOfStream(stream, options);
  streams.add(served);
  if (streams.size <= limits.streamsMax) served.awaitCall();
  else served.fail(new ServiceError('RESOURCE_EXHAUSTED', `this host serves at most ${limits.streamsMax} streams of consoles at once`));
}

class CallsOfStream implements ServedStream {
  readonly #stream: MultiplexedStream;
  readonly #options: ServeMultiplexedOptions;
  readonly #open = new Map<number, Served>();
  #last = 0;
  #isOver = false;
  #isDraining = false;
  #idle: NodeJS.Timeout | undefined;

  constructor(stream: MultiplexedStream, options: ServeMultiplexedOptions) {
    this.#stream = stream;
    this.#options = options;
    stream.on('data', (bytes: Buffer) => this.#receive(bytes));
    stream.on('drain', () => stream.resume());
    stream.on('end', () => this.#finish(() => stream.end()));
    stream.on('cancelled', () => this.#finish(() => {}));
  }

  drain(): void {
    this.#isDraining = true;
    if (this.#open.size === 0) this.#finish(() => this.#stream.end());
  }

  awaitCall(): void {
    const timeoutMs = this.#options.limits.idleStreamTimeoutMs;
    const late = (): void => this.fail(new ServiceError('DEADLINE_EXCEEDED', `no call within ${timeoutMs} ms`));
    clearTimeout(this.#idle);
    if (!this.#isOver) this.#idle = setTimeout(late, timeoutMs).unref();
  }

  fail(error: ServiceError): void {
    this.#finish(() => void this.#stream.emit('error', statusOf(error)));
  }

  /** For its calls, as `over` is. */
  send(response: MultiplexedResponse): void {
    if (!this.#isOver && !this.#stream.write(response)) this.#stream.pause();
  }

  over(call: number): void {
    this.#open.delete(call);
    if (this.#open.size > 0) return;
    if (this.#isDraining) this.drain();
    else this.awaitCall();
  }

  /** The first who ends it says how; the calls that are open are left. */
  #finish(lastWord: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#idle);
    this.#options.streams.delete(this);
    lastWord();
    for (const served of [...this.#open.values()]) leave(served);
    this.#stream.resume();
  }

  #receive(bytes: Buffer): void {
    if (this.#isOver) return;
    try {
      const { call, what } = decodeMultiplexedRequest(bytes);
      const served = this.#open.get(call);
      if (served !== undefined) tell(served, what);
      // What comes for a call that is over has crossed its end.
      else if (call > this.#last) this.#begin(call, what);
    } catch (error) {
      this.fail(toServiceError(error));
    }
  }

  #begin(number: number, what: MultiplexedRequest['what']): void {
    const next = this.#last + 1;
    if (number !== next) throw new ServiceError('INVALID_ARGUMENT', `call ${number} where ${next} was next`);
    if (!Buffer.isBuffer(what)) throw new ServiceError('INVALID_ARGUMENT', `a ${what} of call ${number}, which was not opened`);
    clearTimeout(this.#idle);
    this.#last = number;
    const call = new MultiplexedCall(number, this);
    if (this.#isDraining) return call.fail(new ServiceError('UNAVAILABLE', 'the host is shutting down; open the console again'));
    const listener = this.#options.serve(call);
    // Refused at once.
    if (call.cancelled) return;
    this.#open.set(number, { call, listener });
    listener.receive(what);
  }
}

interface Served {
  readonly call: MultiplexedCall;
  readonly listener: HostCallListener;
}

function tell(served: Served, what: MultiplexedRequest['what']): void {
  if (what === 'cancel') leave(served);
  else if (what === 'half-close') served.listener.receiveEnd();
  else served.listener.receive(what);
}

/** The proxy has left it. */
function leave({ call, listener }: Served): void {
  call.leave();
  listener.gone();
}

class MultiplexedCall implements HostCall {
  readonly #number: number;
  readonly #stream: CallsOfStream;
  readonly takesBytes = false;
  cancelled = false;

  constructor(number: number, stream: CallsOfStream) {
    this.#number = number;
    this.#stream = stream;
  }

  write(message: AttachResponse): void {
    if (!this.cancelled) this.#stream.send({ call: this.#number, what: encodeResponse(message) });
  }

  end(): void {
    if (this.cancelled) return;
    this.#stream.send({ call: this.#number, what: OK_STATUS });
    this.leave();
  }

  fail(error: ServiceError): void {
    if (this.cancelled) return;
    this.#stream.send({ call: this.#number, what: callStatusOf(error) });
    this.leave();
  }

  /** Without a word: the proxy has left. */
  leave(): void {
    if (this.cancelled) return;
    this.cancelled = true;
    this.#stream.over(this.#number);
  }
}
