/** The proxy's end: opens one console at a host's agent and hands it out as a Duplex. */
import { status } from '@grpc/grpc-js';
import type { ClientDuplexStream, StatusObject } from '@grpc/grpc-js';
import type { Duplex } from 'node:stream';
import { ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import { isLoopback, parseAddress } from './address.ts';
import { createChannel } from './attach-channel.ts';
import type { Channel } from './attach-channel.ts';
import { ATTACH_PATH, decodeResponse, encodeRequest } from './attach-messages.ts';
import type { AttachResponse, Opened } from './attach-messages.ts';
import { streamEnding } from './console-ended.ts';
import type { StreamEnding } from './console-ended.ts';
import { takeConnection } from './connections.ts';
import { errorOf } from './grpc-errors.ts';
import type { TlsFiles } from './tls-files.ts';

export interface AttachOptions {
  /** The agent's host:port. */
  readonly endpoint: string;
  readonly sessionId: string;
  readonly attachSecret: string;
  /** The first byte of output that is wanted; leave out (or null) at a first attach. */
  readonly offset?: number | null;
  /** From the call until the console is open; 10 s by default. */
  readonly connectTimeoutMs?: number;
  readonly tls?: TlsFiles;
  /** Output taken without being read: the most that a stopped reader holds in memory. 512 KiB by default. */
  readonly windowBytes?: number;
}

/**
 * A console's bytes with back-pressure both ways. It ends when the host ends it, and `ending` then says why; it
 * fails with a ServiceError (UNAVAILABLE when the agent is gone) when the connection does. End or destroy it to end the session.
 */
export type AttachedConsole = Duplex & {
  /** Of the first byte of output. */
  readonly outputOffset: number;
  /** Why the host ended the session; null before it did. */
  readonly ending: StreamEnding | null;
};

const CONNECT_TIMEOUT_MS = 10_000;
const OUTPUT_WINDOW_BYTES = 512 * 1024;

/** Throws ServiceError: what the agent refused with, UNAVAILABLE when there is none, DEADLINE_EXCEEDED when it does not answer in time. */
export function attachConsole(options: AttachOptions): Promise<AttachedConsole> {
  const { host } = parseAddress(options.endpoint);
  if (!options.tls && !isLoopback(host)) {
    const refusal = new ServiceError('FAILED_PRECONDITION', `a console at ${options.endpoint} is only reached with TLS`);
    return Promise.reject(refusal);
  }
  const connection = takeConnection(options.endpoint, options.tls);
  const call = connection.client.makeBidiStreamRequest(ATTACH_PATH, (bytes: Buffer) => bytes, (bytes: Buffer) => bytes);
  const windowBytes = options.windowBytes ?? OUTPUT_WINDOW_BYTES;

  return new Promise((resolve, reject) => {
    let channel: Channel | null = null;
    const timeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    const timer = setTimeout(() => {
      fail(new ServiceError('DEADLINE_EXCEEDED', `the host did not open the console within ${timeoutMs} ms`));
      connection.discard();
    }, timeoutMs);

    function fail(error: ServiceError): void {
      clearTimeout(timer);
      call.cancel();
      if (channel) channel.fail(error);
      else reject(error);
    }

    call.on('data', (bytes: Buffer) => {
      try {
        const message = decodeResponse(bytes);
        if (channel) {
          receive(channel, message);
        } else {
          clearTimeout(timer);
          const opened = openedOf(message);
          channel = openChannel(call, opened, windowBytes);
          resolve(describe(channel, opened.outputOffset));
        }
      } catch (error) {
        fail(toServiceError(error));
      }
    });
    // Every call ends with exactly one status; 'error' repeats it and only has to be heard.
    call.on('error', () => {});
    call.on('status', (end: StatusObject) => {
      clearTimeout(timer);
      connection.release();
      if (end.code === status.UNAVAILABLE) connection.discard();
      if (end.code !== status.OK) fail(errorOf(end));
      else if (channel) channel.receiveEnd(streamEnding('guest_closed'));
      else fail(new ServiceError('INTERNAL', 'the host ended the call before it opened the console'));
    });

    const { sessionId, attachSecret, offset = null } = options;
    call.write(encodeRequest({ open: { sessionId, attachSecret, offset, windowBytes } }));
  });
}

type Call = ClientDuplexStream<Buffer, Buffer>;

function openedOf(message: AttachResponse): Opened {
  if ('opened' in message) return message.opened;
  throw new ServiceError('INTERNAL', 'the host did not begin with Opened');
}

function receive(channel: Channel, message: AttachResponse): void {
  if ('data' in message) channel.receiveData(message.data);
  else if ('end' in message) channel.receiveEnd(message.end);
  else throw new ServiceError('INTERNAL', 'the host opened the console twice');
}

function openChannel(call: Call, opened: Opened, windowBytes: number): Channel {
  let over = false;
  const finish = (last: () => void): void => {
    if (over) return;
    over = true;
    last();
  };
  return createChannel({
    wire: {
      sendData(data) {
        // Encoded, and so copied, at once: what was written counts as taken, and its memory is used again while gRPC still queues.
        if (!over) call.write(encodeRequest({ data }));
      },
      sendEnd: (end) => finish(() => { call.write(encodeRequest({ end })); call.end(); }),
      abort() {
        // Also after our own end: its user has waited long enough for the host's.
        over = true;
        call.cancel();
      },
    },
    sendOffset: opened.inputOffset,
    receiveOffset: opened.outputOffset,
    sendWindowBytes: opened.windowBytes,
    receiveWindowBytes: windowBytes,
    ownEnding: streamEnding('client_closed'),
  });
}

function describe(channel: Channel, outputOffset: number): AttachedConsole {
  return Object.defineProperties(channel.duplex, {
    outputOffset: { value: outputOffset, enumerable: true },
    ending: { get: () => channel.ending, enumerable: true },
  }) as AttachedConsole;
}
