/**
 * The proxy's end of a console whose bytes go over a connection of their own (bytes-console.ts has the host's). It is the
 * socket itself, so that it is relayed as one that the proxy dials is.
 */
import { connect, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { ServiceError } from '@gatehouse/errors/service-error';
import { parseAddress } from './address.ts';
import { prefaceOf } from './byte-preface.ts';
import { streamEnding } from './console-ended.ts';
import type { StreamEnding } from './console-ended.ts';
import { knownSession, rememberSessions } from './tls-sessions.ts';
import type { TlsFiles } from './tls-files.ts';

export interface DialOptions {
  readonly endpoint: string;
  /** Where the call went: a name may lead to several hosts, and the ticket is good at that one. */
  readonly peer: string;
  readonly tls: TlsFiles | undefined;
  readonly ticket: Buffer;
  /** It is there, and bytes may be written. */
  opened(): void;
  /** It could not be opened. */
  refused(error: ServiceError): void;
  /** The host has said why the console ended, and may close the connection now that it is heard. */
  heard(): void;
  closed(): void;
}

export interface AttachedBytes {
  readonly duplex: Socket;
  readonly ending: StreamEnding | null;
  receiveEnd(ending: StreamEnding): void;
  /** The call has failed. */
  fail(error: ServiceError): void;
}

/** With which the kernel finds out that an idle peer is gone, and routers that the connection is not. */
const KEEP_ALIVE_MS = 20_000;

export function dialBytes({ endpoint, peer, tls, ticket, opened, refused, heard, closed }: DialOptions): AttachedBytes {
  const socket = dial(endpoint, peer, tls);
  let ending: StreamEnding | null = null;
  let isOpen = false;
  socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
    isOpen = true;
    socket.write(prefaceOf(ticket));
    opened();
  });
  socket.on('error', (cause) => {
    if (!isOpen) refused(new ServiceError('UNAVAILABLE', `the byte connection to ${peer} could not be opened`, { cause }));
  });
  // Before anyone else hears of it: the host says why before it closes, so one that was closed without a word was lost.
  socket.prependListener('end', () => {
    if (ending !== null || socket.writableEnded) return;
    ending = streamEnding('host_unreachable');
    socket.destroy(new ServiceError('UNAVAILABLE', 'the connection to the host was lost'));
  });
  socket.once('close', closed);
  return {
    duplex: socket,
    get ending() {
      return ending;
    },
    receiveEnd(peerEnding) {
      if (ending !== null) return;
      ending = peerEnding;
      heard();
    },
    fail(error) {
      socket.destroy(ending === null ? error : undefined);
    },
  };
}

function dial(endpoint: string, peer: string, tls: TlsFiles | undefined): Socket {
  const to = { ...parseAddress(peer), noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS };
  if (tls === undefined) return connect(to);
  // The certificate is of whom we asked for, wherever that was found.
  const { host: servername } = parseAddress(endpoint);
  const identity = isIP(servername) === 0 ? { servername } : {};
  const { authority: ca, key, certificate: cert } = tls;
  const known = `${servername} at ${peer}`;
  const session = knownSession(known, tls);
  return rememberSessions(known, tls, connectTls({ ...to, ...identity, ca, key, cert, ...(session === undefined ? {} : { session }) }));
}
