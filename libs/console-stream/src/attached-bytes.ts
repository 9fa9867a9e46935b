/**
 * The proxy's end of a console whose bytes go over a connection of their own (bytes-console.ts has the host's). It is the
 * socket itself, so that it is relayed as one that the proxy dials is.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { ServiceError } from '@gatehouse/errors/service-error';
import { parseAddress } from './address.ts';
import { prefaceOf } from './byte-preface.ts';
import { connectTls } from './connect-tls.ts';
import { streamEnding } from './console-ended.ts';
import type { StreamEnding } from './console-ended.ts';
import { SOCKET_OPTIONS } from './socket-options.ts';
import type { TlsFiles } from './tls-files.ts';

/** Who answers a stranger's preface with a close does so at once. */
const UNHEARD_MS = 5_000;

export interface DialOptions {
  readonly endpoint: string;
  /** Where the call went: a name may lead to several hosts, and the ticket is good at that one. */
  readonly peer: string;
  readonly tls: TlsFiles | undefined;
  readonly ticket: Buffer;
  /** It is there, and bytes may be written; or the host said why the console ended before it was. */
  opened(): void;
  /** It could not be opened. */
  refused(error: ServiceError): void;
  /** The host has said why the console ended, and may close the connection now that it is heard. */
  heard(): void;
  /** `unheard`: soon after it was opened, before a byte came, and without a word in the call. */
  closed(unheard: boolean): void;
}

export interface AttachedBytes {
  readonly duplex: Socket;
  readonly ending: StreamEnding | null;
  receiveEnd(ending: StreamEnding): void;
  /** The call has failed. */
  fail(error: ServiceError): void;
}

export function dialBytes({ endpoint, peer, tls, ticket, opened, refused, heard, closed }: DialOptions): AttachedBytes {
  const socket = dial(endpoint, peer, tls);
  let ending: StreamEnding | null = null;
  let openedAtMs: number | null = null;
  /** Why it could not be opened. */
  let failure: ServiceError | null = null;
  let isUnheard = false;
  const lost = (): void => {
    isUnheard ||= ending === null && openedAtMs !== null && socket.bytesRead === 0 && performance.now() - openedAtMs < UNHEARD_MS;
  };
  socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
    openedAtMs = performance.now();
    socket.write(prefaceOf(ticket));
    opened();
  });
  socket.on('error', (cause) => {
    if (openedAtMs !== null) return lost();
    failure = new ServiceError('UNAVAILABLE', `the byte connection to ${peer} could not be opened`, { cause });
    if (ending === null) refused(failure);
    else opened();
  });
  // Before anyone else hears of it: the host says why before it closes, so one that was closed without a word was lost.
  socket.prependListener('end', () => {
    if (ending !== null || socket.writableEnded) return;
    lost();
    ending = streamEnding('host_unreachable');
    socket.destroy(new ServiceError('UNAVAILABLE', 'the connection to the host was lost'));
  });
  socket.once('close', () => {
    // A host that stops may still say so in the call.
    if (openedAtMs !== null || ending !== null) closed(isUnheard);
  });
  return {
    duplex: socket,
    get ending() {
      return ending;
    },
    receiveEnd(peerEnding) {
      if (ending !== null) return;
      ending = peerEnding;
      heard();
      if (failure !== null) opened();
    },
    fail(error) {
      socket.destroy(ending === null ? error : undefined);
    },
  };
}

function dial(endpoint: string, peer: string, tls: TlsFiles | undefined): Socket {
  const to = parseAddress(peer);
  // The certificate is of whom we asked for, wherever that was found.
  return tls === undefined ? connect({ ...to, ...SOCKET_OPTIONS }) : connectTls(parseAddress(endpoint).host, to, tls);
}
