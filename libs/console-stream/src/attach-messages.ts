/**
 * The messages of ConsoleStream.Attach as plain values, and their bytes. The schema is
 * proto/gatehouse/console/v1/console_stream.proto; here stands what TypeScript sees of it.
 *
 * Offsets are JavaScript numbers: exact up to 2^53 - 1, and refused beyond.
 */
import protobuf from 'protobufjs';
import { ServiceError } from '@gatehouse/errors/service-error';
import { TICKET_BYTES } from './byte-preface.ts';
import { decodeData, encodeData } from './data-message.ts';
import { consoleStreamDescriptor } from './generated/console-stream-descriptor.ts';

export interface Open {
  readonly sessionId: string;
  readonly attachSecret: string;
  /** The first byte of output that is wanted; null at a first attach. */
  readonly offset: number | null;
  readonly windowBytes: number;
  /** Whether the bytes are wanted on a connection of their own. */
  readonly byteConnection: boolean;
}

export interface Opened {
  readonly outputOffset: number;
  readonly inputOffset: number;
  readonly windowBytes: number;
  /** With which the byte connection begins; null where the bytes come in this call. */
  readonly ticket: Buffer | null;
}

export interface Data {
  readonly offset: number;
  readonly ack: number;
  readonly payload: Buffer;
}

export interface End {
  readonly reason: string;
  readonly words: string;
}

export type AttachRequest = { readonly open: Open } | { readonly data: Data } | { readonly end: End };
export type AttachResponse = { readonly opened: Opened } | { readonly data: Data } | { readonly end: End };

/** A message's payload is at most this; longer writes are cut into several. */
export const PAYLOAD_BYTES_MAX = 64 * 1024;
/** What either side accepts as one message: a full payload and its header, or an Open with long names. */
export const MESSAGE_BYTES_MAX = PAYLOAD_BYTES_MAX + 4 * 1024;

export const ATTACH_PATH = '/gatehouse.console.v1.ConsoleStream/Attach';

const root = protobuf.Root.fromJSON(consoleStreamDescriptor);
const requestType = root.lookupType('gatehouse.console.v1.AttachRequest');
const responseType = root.lookupType('gatehouse.console.v1.AttachResponse');

export function encodeRequest(message: AttachRequest): Buffer {
  if ('data' in message) return encodeData(message.data);
  // What is not wanted is left out, as those do who know nothing of it.
  return encode(requestType, 'open' in message ? { open: { ...message.open, byteConnection: message.open.byteConnection || null } } : message);
}

export function encodeResponse(message: AttachResponse): Buffer {
  return 'data' in message ? encodeData(message.data) : encode(responseType, message);
}

/** Throws ServiceError INVALID_ARGUMENT for bytes that are no AttachRequest with exactly one message in it. */
export function decodeRequest(bytes: Buffer): AttachRequest {
  const data = decodeData(bytes);
  if (data !== null) return { data };
  const raw = decode(requestType, bytes);
  if (raw.open) return { open: openFrom(raw.open) };
  return dataOrEnd(raw);
}

/** Throws ServiceError INVALID_ARGUMENT for bytes that are no AttachResponse with exactly one message in it. */
export function decodeResponse(bytes: Buffer): AttachResponse {
  const data = decodeData(bytes);
  if (data !== null) return { data };
  const raw = decode(responseType, bytes);
  if (raw.opened) return { opened: openedFrom(raw.opened) };
  return dataOrEnd(raw);
}

type RawFields = Record<string, unknown>;
type RawMessage = Record<'open' | 'opened' | 'data' | 'end', RawFields | null | undefined>;

function encode(type: protobuf.Type, message: object): Buffer {
  return type.encode(message).finish() as Buffer;
}

function decode(type: protobuf.Type, bytes: Buffer): RawMessage {
  try {
    return type.decode(bytes) as unknown as RawMessage;
  } catch (error) {
    throw new ServiceError('INVALID_ARGUMENT', `not an Attach message (${type.name})`, { cause: error });
  }
}

function dataOrEnd(raw: RawMessage): { data: Data } | { end: End } {
  if (raw.data) return { data: dataFrom(raw.data) };
  if (raw.end) return { end: { reason: String(raw.end.reason), words: String(raw.end.words) } };
  throw new ServiceError('INVALID_ARGUMENT', 'an Attach message that carries nothing this version knows');
}

function openFrom(raw: RawFields): Open {
  const given = Object.hasOwn(raw, 'offset') && raw.offset !== null;
  return {
    sessionId: String(raw.sessionId),
    attachSecret: String(raw.attachSecret),
    offset: given ? offsetFrom(raw.offset) : null,
    windowBytes: Number(raw.windowBytes),
    byteConnection: raw.byteConnection === true,
  };
}

function openedFrom(raw: RawFields): Opened {
  return {
    outputOffset: offsetFrom(raw.outputOffset),
    inputOffset: offsetFrom(raw.inputOffset),
    windowBytes: Number(raw.windowBytes),
    ticket: ticketFrom(raw.ticket as Uint8Array),
  };
}

/** Empty from hosts that know of none. */
function ticketFrom(value: Uint8Array): Buffer | null {
  if (value.length === 0) return null;
  if (value.length === TICKET_BYTES) return Buffer.from(value);
  throw new ServiceError('INVALID_ARGUMENT', `a ticket of ${value.length} bytes; one has ${TICKET_BYTES}`);
}

function dataFrom(raw: RawFields): Data {
  const payload = raw.payload as Uint8Array;
  return {
    offset: offsetFrom(raw.offset),
    ack: offsetFrom(raw.ack),
    payload: Buffer.isBuffer(payload) ? payload : Buffer.from(payload),
  };
}

/** A uint64 arrives as a Long, or as a number where the `long` package is not bundled. */
function offsetFrom(value: unknown): number {
  const number = Number(String(value));
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new ServiceError('INVALID_ARGUMENT', 'an offset must be below 2^53');
}
