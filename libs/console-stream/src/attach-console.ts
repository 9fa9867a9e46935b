/**
 * The proxy's end: opens one console at a host's agent and hands it out as a Duplex. Its bytes go over a connection of their
 * own; at agents before 3.2, which give no ticket for one, they go in the call.
 */
import type { Duplex } from 'node:stream';
import { ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import { isLoopback, parseAddress } from './address.ts';
import type { Channel } from './attach-channel.ts';
import { dialBytes } from './attached-bytes.ts';
import type { AttachedBytes } from './attached-bytes.ts';
import { openChannel } from './attached-messages.ts';
import { decodeResponse, encodeRequest } from './attach-messages.ts';
import type { AttachResponse, Opened } from './attach-messages.ts';
import { streamEnding } from './console-ended.ts';
import type { StreamEnding } from './console-ended.ts';
import { takeConnection } from './connections.ts';
import { isMessagesOnly, useMessagesOnly } from './messages-only.ts';
import type { ProxyCallListener } from './proxy-call.ts';
import type { StreamLog } from './stream-log.ts';
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
  /** Output taken without being read where it comes in the call: the most that a stopped reader holds in memory. 512 KiB by default. */
  readonly windowBytes?: number;
  /** Whether the bytes are wanted on a connection of their own; by default, unless such connections do not get through (messages-only.ts). */
  readonly byteConnection?: boolean;
  /** Aborted, with the error that is then thrown, when nobody waits for the console any more; of no matter once it is open. */
  readonly signal?: AbortSignal;
  readonly log?: StreamLog;
}

/**
 * A console's bytes with back-pressure both ways. It ends when the host ends it, and `ending` then says why; it
 * fails when the host refuses to go on (ServiceError) or the connection is lost. End or destroy it to end the session.
 */
export type AttachedConsole = Duplex & {
  /** Of the first byte of output. */
  readonly outputOffset: number;
  /** Why the host ended the session; null before it did. */
  readonly ending: StreamEnding | null;
};

const CONNECT_TIMEOUT_MS = 10_000;
const OUTPUT_WINDOW_BYTES = 512 * 1024;
/** How long a call is listened to whose byte connection could not be opened or was lost: its host may be about to say why. */
const LAST_WORD_MS = 1_000;

/** Throws ServiceError: what the agent refused with, UNAVAILABLE when there is none, DEADLINE_EXCEEDED when it does not answer in time. */
export function attachConsole(options: AttachOptions): Promise<AttachedConsole> {
  const { host } = parseAddress(options.endpoint);
  if (!options.tls && !isLoopback(host)) {
    const refusal = new ServiceError('FAILED_PRECONDITION', `a console at ${options.endpoint} is only reached with TLS`);
    return Promise.reject(refusal);
  }
  const { signal } = options;
  if (signal?.aborted) return Promise.reject(toServiceError(signal.reason));
  const connection = takeConnection(options.endpoint, options.tls);
  const windowBytes = options.windowBytes ?? OUTPUT_WINDOW_BYTES;

  return new Promise((resolve, reject) => {
    let attached: Channel | AttachedBytes | null = null;
    let lastWord: NodeJS.Timeout | undefined;
    /** The call has its status. */
    let isOver = false;
    const timeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    const timer = setTimeout(() => {
      const what = attached === null ? 'the host did not open the console' : `the console's byte connection to ${call.getPeer()} was not there`;
      fail(new ServiceError('DEADLINE_EXCEEDED', `${what} within ${timeoutMs} ms`));
      connection.discard();
    }, timeoutMs);

    const leave = (): void => fail(toServiceError(signal?.reason));
    signal?.addEventListener('abort', leave, { once: true });

    function fail(error: ServiceError): void {
      stopWaiting();
      call.cancel();
      attached?.fail(error);
      // Does nothing once it is open.
      reject(error);
    }

    function stopWaiting(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', leave);
    }

    function closed(unheard: boolean): void {
      if (!unheard) return void call.cancel();
      awaitLastWord(() => {
        if (useMessagesOnly(options.endpoint)) options.log?.warn({ endpoint: options.endpoint, peer: call.getPeer() }, WORDS_OF_STRANGERS);
        call.cancel();
      });
    }

    function awaitLastWord(otherwise: () => void): void {
      // What has come meanwhile is read first, also where this process was held up.
      lastWord = setTimeout(() => void setImmediate(() => isOver || otherwise()), LAST_WORD_MS);
    }

    function open(opened: Opened): Channel | AttachedBytes {
      const { outputOffset, ticket } = opened;
      const done = (): void => {
        stopWaiting();
        resolve(describe(attached!, outputOffset));
      };
      if (ticket === null) {
        if (!call.takesBytes) throw new ServiceError('INTERNAL', 'the host gave no ticket for a byte connection');
        queueMicrotask(done);
        return openChannel(call, opened, windowBytes);
      }
      const { endpoint, tls } = options;
      const refused = (error: ServiceError): void => awaitLastWord(() => fail(error));
      return dialBytes({ endpoint, peer: call.getPeer(), tls, ticket, opened: done, refused, heard: () => call.end(), closed });
    }

    function receive(bytes: Buffer): void {
      try {
        const message = decodeResponse(bytes);
        if (attached === null) attached = open(openedOf(message));
        else receiveMore(attached, message);
      } catch (error) {
        fail(toServiceError(error));
      }
    }

    function over(error: ServiceError | null): void {
      connection.release();
      clearTimeout(lastWord);
      isOver = true;
      if (error?.code === 'UNAVAILABLE') connection.discard();
      if (error) fail(error);
      else if (attached) attached.receiveEnd(streamEnding('guest_closed'));
      else fail(new ServiceError('INTERNAL', 'the host ended the call before it opened the console'));
    }

    const { sessionId, attachSecret, offset = null, byteConnection = !isMessagesOnly(options.endpoint) } = options;
    const request = encodeRequest({ open: { sessionId, attachSecret, offset, windowBytes, byteConnection } });
    const unserved = (): void => void (call = connection.open(request, listener, false));
    const listener: ProxyCallListener = { receive, over, unserved };
    // What goes in the call needs the flow control of a stream of its own.
    let call = connection.open(request, listener, byteConnection);
  });
}

const WORDS_OF_STRANGERS =
  'a byte connection was closed before a byte of it came, while its call goes on: does the endpoint lead to several hosts, or through something that passes HTTP/2 alone? Its consoles go in their calls for now';

function openedOf(message: AttachResponse): Opened {
  if ('opened' in message) return message.opened;
  throw new ServiceError('INTERNAL', 'the host did not begin with Opened');
}

function receiveMore(attached: Channel | AttachedBytes, message: AttachResponse): void {
  if ('end' in message) attached.receiveEnd(message.end);
  else if ('data' in message && 'receiveData' in attached) attached.receiveData(message.data);
  else throw new ServiceError('INTERNAL', 'the host opened the console twice, or sent its bytes where none were wanted');
}

function describe(attached: Channel | AttachedBytes, outputOffset: number): AttachedConsole {
  return Object.defineProperties(attached.duplex, {
    outputOffset: { value: outputOffset, enumerable: true },
    ending: { get: () => attached.ending, enumerable: true },
  }) as AttachedConsole;
}
