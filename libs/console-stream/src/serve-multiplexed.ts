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
import type { MultiplexedResponse } from './multiplexed-messages.ts';

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

/** What a call knows of its stream. */
interface Sender {
  send(response: MultiplexedResponse): void;
  over(call: number): void;
}

export function serveMultiplexed(stream: MultiplexedStream, { limits, streams, serve }: ServeMultiplexedOptions): void {
  const open = new Map<number, Served>();
  let last = 0;
  let isOver = false;
  let isDraining = false;
  let idle: NodeJS.Timeout | undefined;

  const entry: ServedStream = {
    drain() {
      isDraining = true;
      if (open.size === 0) finish(() => stream.end());
    },
  };
  const sender: Sender = {
    send(response) {
      if (isOver) return;
      if (!stream.write(response)) stream.pause();
    },
    over(call) {
      open.delete(call);
      if (open.size === 0) awaitCall();
    },
  };

  function awaitCall(): void {
    if (isDraining) return entry.drain();
    if (isOver) return;
    clearTimeout(idle);
    idle = setTimeout(() => fail(new ServiceError('DEADLINE_EXCEEDED', `no call within ${limits.idleStreamTimeoutMs} ms`)), limits.idleStreamTimeoutMs).unref();
  }

  /** The first who ends it says how; the calls that are open are left. */
  function finish(lastWord: () => void): void {
    if (isOver) return;
    isOver = true;
    clearTimeout(idle);
    streams.delete(entry);
    lastWord();
    for (const { call, listener } of [...open.values()]) {
      call.leave();
      listener.gone();
    }
    open.clear();
    stream.resume();
  }

  function fail(error: ServiceError): void {
    finish(() => void stream.emit('error', statusOf(error)));
  }

  function begin(number: number, first: Buffer): void {
    clearTimeout(idle);
    last = number;
    const call = new MultiplexedCall(number, sender);
    if (isDraining) return call.fail(new ServiceError('UNAVAILABLE', 'the host is shutting down; open the console again'));
    const listener = serve(call);
    if (call.cancelled) return;
    open.set(number, { call, listener });
    listener.receive(first);
  }

  function receive(bytes: Buffer): void {
    const { call: number, what } = decodeMultiplexedRequest(bytes);
    const served = open.get(number);
    if (served === undefined) {
      if (number <= last) return; // crossed the call's end
      if (number !== last + 1) throw new ServiceError('INVALID_ARGUMENT', `call ${number} where ${last + 1} was next`);
      if (!Buffer.isBuffer(what)) throw new ServiceError('INVALID_ARGUMENT', `a ${what} of call ${number}, which was not opened`);
      begin(number, what);
    } else if (what === 'cancel') {
      served.call.leave();
      served.listener.gone();
    } else if (what === 'half-close') {
      served.listener.receiveEnd();
    } else {
      served.listener.receive(what);
    }
  }

  stream.on('data', (bytes: Buffer) => {
    if (isOver) return;
    try {
      receive(bytes);
    } catch (error) {
      fail(toServiceError(error));
    }
  });
  stream.on('drain', () => stream.resume());
  stream.on('end', () => finish(() => stream.end()));
  stream.on('cancelled', () => finish(() => {}));

  streams.add(entry);
  if (streams.size > limits.streamsMax) fail(new ServiceError('RESOURCE_EXHAUSTED', `this host serves at most ${limits.streamsMax} streams of consoles at once`));
  else awaitCall();
}

interface Served {
  readonly call: MultiplexedCall;
  readonly listener: HostCallListener;
}

class MultiplexedCall implements HostCall {
  readonly #number: number;
  readonly #sender: Sender;
  readonly takesBytes = false;
  cancelled = false;

  constructor(number: number, sender: Sender) {
    this.#number = number;
    this.#sender = sender;
  }

  write(message: AttachResponse): void {
    if (!this.cancelled) this.#sender.send({ call: this.#number, what: encodeResponse(message) });
  }

  end(): void {
    if (this.cancelled) return;
    this.#sender.send({ call: this.#number, what: OK_STATUS });
    this.leave();
  }

  fail(error: ServiceError): void {
    if (this.cancelled) return;
    this.#sender.send({ call: this.#number, what: callStatusOf(error) });
    this.leave();
  }

  /** Without a word: the proxy has left. */
  leave(): void {
    if (this.cancelled) return;
    this.cancelled = true;
    this.#sender.over(this.#number);
  }
}
