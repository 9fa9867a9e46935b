/** Callers that follow no rules: an Attach call, on a stream of its own or on one that is shared, message by message. */
import assert from 'node:assert/strict';
import { Client, credentials } from '@grpc/grpc-js';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { ATTACH_PATH, decodeResponse } from './attach-messages.ts';
import type { AttachResponse } from './attach-messages.ts';
import { MULTIPLEXED_PATH, decodeMultiplexedResponse, encodeMultiplexedRequest } from './multiplexed-messages.ts';
import type { CallStatus, MultiplexedRequest, MultiplexedResponse } from './multiplexed-messages.ts';
import { openMessage } from './test-streams.ts';

export interface RawStatus {
  readonly code: number;
  readonly details: string;
}

export interface RawCall {
  readonly said: AttachResponse[];
  readonly status: Promise<RawStatus>;
  /** With the first that comes. */
  readonly first: Promise<AttachResponse>;
  send(bytes: Buffer): void;
  halfClose(): void;
  cancel(): void;
  close(): void;
}

interface Endpoint {
  readonly endpoint: string;
}

const same = (bytes: Buffer): Buffer => bytes;

function startStream({ endpoint }: Endpoint, path: string): { readonly client: Client; readonly stream: ClientDuplexStream<Buffer, Buffer>; readonly status: Promise<RawStatus> } {
  const client = new Client(endpoint, credentials.createInsecure());
  const stream = client.makeBidiStreamRequest(path, same, same);
  stream.on('error', () => {});
  return { client, stream, status: new Promise((resolve) => stream.once('status', resolve)) };
}

export function startRawCall(server: Endpoint, isShared: boolean): RawCall {
  return isShared ? onSharedStream(server) : onOwnStream(server);
}

function onOwnStream(server: Endpoint): RawCall {
  const { client, stream, status } = startStream(server, ATTACH_PATH);
  const said: AttachResponse[] = [];
  const first = new Promise<AttachResponse>((resolve) => stream.on('data', (bytes: Buffer) => {
    said.push(decodeResponse(bytes));
    if (said.length === 1) resolve(said[0]!);
  }));
  return { said, status, first, send: (bytes) => void stream.write(bytes), halfClose: () => void stream.end(), cancel: () => stream.cancel(), close: () => client.close() };
}

function onSharedStream(server: Endpoint): RawCall {
  const raw = startRawStream(server);
  const said: AttachResponse[] = [];
  const send = (what: MultiplexedRequest['what']): void => raw.send({ call: 1, what });
  let tell: (message: AttachResponse) => void;
  const first = new Promise<AttachResponse>((resolve) => (tell = resolve));
  const status = new Promise<CallStatus>((resolve) => {
    raw.listen(({ what }) => {
      if (!Buffer.isBuffer(what)) return resolve(what);
      said.push(decodeResponse(what));
      if (said.length === 1) tell(said[0]!);
    });
  });
  const both = Promise.race([status, raw.status]);
  return { said, status: both, first, send, halfClose: () => send('half-close'), cancel: () => send('cancel'), close: () => raw.close() };
}

export interface RawStream {
  readonly said: readonly MultiplexedResponse[];
  readonly status: Promise<RawStatus>;
  send(request: MultiplexedRequest): void;
  sendBytes(bytes: Buffer): void;
  listen(listener: (response: MultiplexedResponse) => void): void;
  pause(): void;
  resume(): void;
  halfClose(): void;
  close(): void;
}

/** A shared stream, by its own words. */
export function startRawStream(server: Endpoint): RawStream {
  const { client, stream, status } = startStream(server, MULTIPLEXED_PATH);
  const said: MultiplexedResponse[] = [];
  let listener = (_response: MultiplexedResponse): void => {};
  stream.on('data', (bytes: Buffer) => {
    const response = decodeMultiplexedResponse(bytes);
    said.push(response);
    listener(response);
  });
  const close = (): void => {
    stream.cancel();
    client.close();
  };
  return {
    ...{ said, status, close, halfClose: () => void stream.end(), pause: () => void stream.pause(), resume: () => void stream.resume() },
    send: (request) => void stream.write(encodeMultiplexedRequest(request)),
    sendBytes: (bytes) => void stream.write(bytes),
    listen: (listens) => void (listener = listens),
  };
}

/** Sends the first messages at once, the rest after the host has answered. */
export async function rawCall(server: Endpoint, isShared: boolean, first: Buffer[], rest: Buffer[] = []): Promise<{ readonly status: RawStatus }> {
  const call = startRawCall(server, isShared);
  void call.first.then(() => rest.forEach((message) => call.send(message)));
  first.forEach((message) => call.send(message));
  const status = await call.status;
  call.close();
  return { status };
}

export interface TicketedCall extends RawCall {
  readonly ticket: Buffer;
}

/** A call that has been given its ticket, and no connection yet; `said` is what came after that. */
export async function startTicketedCall(server: Endpoint, isShared: boolean): Promise<TicketedCall> {
  const call = startRawCall(server, isShared);
  call.send(openMessage({ byteConnection: true }));
  const message = await call.first;
  if (!('opened' in message) || message.opened.ticket === null) assert.fail('no ticket');
  call.said.shift();
  return { ...call, ticket: message.opened.ticket };
}
