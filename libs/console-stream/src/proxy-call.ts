/**
 * What a console's end at the proxy needs of its Attach call, be it a gRPC call of its own or one of those that share a stream
 * (multiplexed-calls.ts): to say something, to leave, and to be told what the host says and how it ended.
 */
import { status } from '@grpc/grpc-js';
import type { Client, StatusObject } from '@grpc/grpc-js';
import type { ServiceError } from '@gatehouse/errors/service-error';
import { ATTACH_PATH } from './attach-messages.ts';
import { errorOf } from './grpc-errors.ts';

export interface ProxyCall {
  /** Whether a console's bytes may come in it, too: it has a flow control of its own. */
  readonly takesBytes: boolean;
  /** Where the host was found, as address:port. */
  getPeer(): string;
  write(bytes: Buffer): void;
  /** This side says no more. */
  end(): void;
  /** Does nothing once it is over. */
  cancel(): void;
}

/** None of these is called before the call has been returned to who opened it. */
export interface ProxyCallListener {
  receive(bytes: Buffer): void;
  /** Once, and last: how it ended; null with status OK. */
  over(error: ServiceError | null): void;
  /** Instead: the host knows no calls that share a stream, and has read nothing of this one. */
  unserved(): void;
}

/** A gRPC call of its own, with its first message. */
export function openOwnCall(client: Client, request: Buffer, listener: ProxyCallListener): ProxyCall {
  const call = client.makeBidiStreamRequest(ATTACH_PATH, (bytes: Buffer) => bytes, (bytes: Buffer) => bytes);
  call.on('data', listener.receive);
  // Every call ends with exactly one status; 'error' repeats it and only has to be heard.
  call.on('error', () => {});
  call.on('status', (end: StatusObject) => listener.over(end.code === status.OK ? null : errorOf(end)));
  call.write(request);
  return {
    takesBytes: true,
    getPeer: () => call.getPeer(),
    write: (bytes) => void call.write(bytes),
    end: () => void call.end(),
    cancel: () => call.cancel(),
  };
}
