/**
 * The messages of ConsoleStream.AttachMultiplexed as plain values, and their bytes. Each is something of one call, by its number; what
 * a call says is left as bytes, for whoever serves that call to read and to refuse.
 */
import protobuf from 'protobufjs';
import { ServiceError } from '@gatehouse/errors/service-error';
import { consoleStreamDescriptor } from './generated/console-stream-descriptor.ts';

export interface MultiplexedRequest {
  readonly call: number;
  /** The bytes of an AttachRequest, or that the proxy says no more, or that it has left. */
  readonly what: Buffer | 'half-close' | 'cancel';
}

export interface CallStatus {
  /** gRPC's number; 0 is OK. */
  readonly code: number;
  readonly details: string;
  /** The exact code of an error, as its host wrote it. */
  readonly errorCode: string;
}

export interface MultiplexedResponse {
  readonly call: number;
  /** The bytes of an AttachResponse, or how the call ended. */
  readonly what: Buffer | CallStatus;
}

export const MULTIPLEXED_PATH = '/gatehouse.console.v1.ConsoleStream/AttachMultiplexed';
/** The last number that a call may have. */
export const CALL_MAX = 2 ** 32 - 1;

const root = protobuf.Root.fromJSON(consoleStreamDescriptor);
const requestType = root.lookupType('gatehouse.console.v1.MultiplexedRequest');
const responseType = root.lookupType('gatehouse.console.v1.MultiplexedResponse');

export function encodeMultiplexedRequest({ call, what }: MultiplexedRequest): Buffer {
  if (what === 'half-close') return encode(requestType, { call, halfClose: true });
  return encode(requestType, what === 'cancel' ? { call, cancel: true } : { call, message: what });
}

export function encodeMultiplexedResponse({ call, what }: MultiplexedResponse): Buffer {
  return encode(responseType, Buffer.isBuffer(what) ? { call, message: what } : { call, status: what });
}

/** Throws ServiceError INVALID_ARGUMENT for bytes that are no MultiplexedRequest which says one thing of one call. */
export function decodeMultiplexedRequest(bytes: Buffer): MultiplexedRequest {
  const raw = decode(requestType, bytes);
  const said = [
    ...(raw.message ? [bufferOf(raw.message)] : []),
    ...(raw.halfClose ? ['half-close' as const] : []),
    ...(raw.cancel ? ['cancel' as const] : []),
  ];
  return { call: callFrom(raw), what: only(said) };
}

/** Throws ServiceError INVALID_ARGUMENT for bytes that are no MultiplexedResponse which says one thing of one call. */
export function decodeMultiplexedResponse(bytes: Buffer): MultiplexedResponse {
  const raw = decode(responseType, bytes);
  const said = [...(raw.message ? [bufferOf(raw.message)] : []), ...(raw.status ? [statusFrom(raw.status)] : [])];
  return { call: callFrom(raw), what: only(said) };
}

/** Its own fields alone: what was not sent is absent, and not a default. */
interface RawMessage {
  readonly call?: number;
  readonly message?: Uint8Array;
  readonly halfClose?: boolean;
  readonly cancel?: boolean;
  readonly status?: { readonly code: number; readonly details: string; readonly errorCode: string };
}

function encode(type: protobuf.Type, message: object): Buffer {
  return type.encode(message).finish() as Buffer;
}

function decode(type: protobuf.Type, bytes: Buffer): RawMessage {
  try {
    return { ...(type.decode(bytes) as RawMessage) };
  } catch (error) {
    throw new ServiceError('INVALID_ARGUMENT', `not a message of multiplexed calls (${type.name})`, { cause: error });
  }
}

function callFrom({ call = 0 }: RawMessage): number {
  if (call > 0) return call;
  throw new ServiceError('INVALID_ARGUMENT', 'a message of multiplexed calls names its call, the first of which is 1');
}

function only<Said>(said: readonly Said[]): Said {
  const [first] = said;
  if (first !== undefined && said.length === 1) return first;
  throw new ServiceError('INVALID_ARGUMENT', `a message of multiplexed calls says one thing of its call, not ${said.length}`);
}

function statusFrom({ code, details, errorCode }: CallStatus): CallStatus {
  return { code, details, errorCode };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes);
}
