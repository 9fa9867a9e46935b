/**
 * What a console's end at the host needs of its Attach call, be it a gRPC call of its own or one of those that share a stream
 * (serve-multiplexed.ts): to say something, to end it, and to be told what the proxy says.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { ServiceError } from '@gatehouse/errors/service-error';
import type { AttachResponse } from './attach-messages.ts';
import { statusOf } from './grpc-errors.ts';

export interface HostCall {
  /** Whether a console's bytes may go in it, too: it has a flow control of its own. */
  readonly takesBytes: boolean;
  /** The proxy has left, or the call is over. */
  readonly cancelled: boolean;
  write(message: AttachResponse): void;
  /** With status OK; does nothing once it is over, and so does `fail`. */
  end(): void;
  fail(error: ServiceError): void;
}

/** Each of these may be called after the call is over. */
export interface HostCallListener {
  receive(bytes: Buffer): void;
  /** The proxy says no more. */
  receiveEnd(): void;
  /** The proxy has left. gRPC says so of every call that is over, too. */
  gone(): void;
}

export type AttachServerCall = ServerDuplexStream<Buffer, AttachResponse>;

/** A gRPC call of its own. */
export function serveOwnCall(call: AttachServerCall, serve: (call: HostCall) => HostCallListener): void {
  const listener = serve({
    takesBytes: true,
    get cancelled() {
      return call.cancelled;
    },
    write: (message) => void call.write(message),
    end: () => void call.end(),
    // Which is how gRPC is given a status.
    fail: (error) => void call.emit('error', statusOf(error)),
  });
  call.on('data', listener.receive);
  call.on('end', listener.receiveEnd);
  call.on('cancelled', listener.gone);
}
