/**
 * The proxy's end of the stream that the Attach calls of many consoles share: a gRPC call of its own for each costs more
 * than all that is said in it (ADR 16). Calls are numbered in their order; when the stream ends, those that are open end as it did.
 */
import { status } from '@grpc/grpc-js';
import type { Client, ClientDuplexStream, StatusObject } from '@grpc/grpc-js';
import { ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import { callErrorOf, errorOf } from './grpc-errors.ts';
import { CALL_MAX, MULTIPLEXED_PATH, decodeMultiplexedResponse, encodeMultiplexedRequest } from './multiplexed-messages.ts';
import type { MultiplexedRequest } from './multiplexed-messages.ts';
import type { ProxyCall, ProxyCallListener } from './proxy-call.ts';

/** For so long it outlives its last call, and no longer, because gRPC keeps the process alive while there is a stream. Hosts wait longer (attach-call.ts). */
const IDLE_MS = 1_000;
/** Messages that a host has not taken yet, with which a call more is refused; some 200 bytes each. */
const WAITING_MAX = 4_096;

export class MultiplexedCalls {
  readonly #stream: ClientDuplexStream<Buffer, Buffer>;
  readonly #over: (isUnserved: boolean) => void;
  readonly #open = new Map<number, ProxyCallListener>();
  #last = 0;
  #isServed = false;
  #fault: ServiceError | null = null;
  #idle: NodeJS.Timeout | undefined;

  /** `over`: takes no call any more, and whether that is because the host does not know the method. */
  constructor(client: Client, over: (isUnserved: boolean) => void) {
    this.#over = over;
    this.#stream = client.makeBidiStreamRequest(MULTIPLEXED_PATH, (bytes: Buffer) => bytes, (bytes: Buffer) => bytes);
    this.#stream.on('data', (bytes: Buffer) => this.#receive(bytes));
    this.#stream.on('error', () => {}); // 'status' says the same
    this.#stream.on('status', (end: StatusObject) => this.#ended(end));
  }

  /** A call more, with its first message. */
  open(request: Buffer, listener: ProxyCallListener): ProxyCall {
    clearTimeout(this.#idle);
    const call = ++this.#last;
    if (call === CALL_MAX) this.#over(false);
    this.#open.set(call, listener);
    if (this.#stream.writableLength < WAITING_MAX) this.#send({ call, what: request });
    else this.#refuse(call);
    return {
      takesBytes: false,
      getPeer: () => this.#stream.getPeer(),
      write: (bytes) => this.#send({ call, what: bytes }),
      end: () => this.#send({ call, what: 'half-close' }),
      cancel: () => {
        this.#send({ call, what: 'cancel' });
        this.#finish(call, new ServiceError('CANCELLED', 'the call was cancelled'));
      },
    };
  }

  /** Leaves the calls that are open, too. */
  close(): void {
    clearTimeout(this.#idle);
    this.#over(false);
    this.#stream.cancel();
  }

  #send(request: MultiplexedRequest): void {
    if (this.#open.has(request.call)) this.#stream.write(encodeMultiplexedRequest(request));
  }

  #receive(bytes: Buffer): void {
    this.#isServed = true;
    try {
      const { call, what } = decodeMultiplexedResponse(bytes);
      if (call > this.#last) throw new ServiceError('INTERNAL', `the host spoke of a call ${call} that nobody has opened`);
      if (Buffer.isBuffer(what)) this.#open.get(call)?.receive(what);
      else this.#finish(call, what.code === status.OK ? null : callErrorOf(what));
    } catch (error) {
      this.#fault = toServiceError(error);
      this.close();
    }
  }

  #refuse(call: number): void {
    // Its number is not seen by the host, which takes them one after the other: the stream takes none after it.
    this.#over(false);
    this.#finish(call, new ServiceError('UNAVAILABLE', 'the host does not read what is said to it'));
  }

  /** Said later, as gRPC does: who cancels a call is in the midst of something. */
  #finish(call: number, error: ServiceError | null): void {
    const listener = this.#open.get(call);
    if (listener === undefined) return;
    this.#open.delete(call);
    process.nextTick(() => listener.over(error));
    if (this.#open.size === 0) this.#idle = setTimeout(() => this.close(), IDLE_MS).unref();
  }

  #ended(end: StatusObject): void {
    clearTimeout(this.#idle);
    const isUnserved = end.code === status.UNIMPLEMENTED && !this.#isServed;
    this.#over(isUnserved);
    const listeners = [...this.#open.values()];
    this.#open.clear();
    const ok = new ServiceError('UNAVAILABLE', 'the host has ended the stream of its consoles');
    const error = this.#fault ?? (end.code === status.OK ? ok : errorOf(end));
    for (const listener of listeners) {
      if (isUnserved) listener.unserved();
      else listener.over(error);
    }
  }
}
