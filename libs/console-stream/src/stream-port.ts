/**
 * The one port of a host: gRPC calls, and the byte connections of consoles that those calls opened. What comes first on a
 * connection tells them apart; everything but the preface of a byte connection is left to HTTP/2, which knows how to refuse.
 * Who has not said what it is waits, in its TLS handshake or after it (waiting-sockets.ts).
 */
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Address } from './address.ts';
import { PREFACE_BYTES, isPreface, ticketIn } from './byte-preface.ts';
import { seldom } from './seldom.ts';
import { SOCKET_OPTIONS } from './socket-options.ts';
import type { StreamLog } from './stream-log.ts';
import type { TlsFiles } from './tls-files.ts';
import { WaitingSockets } from './waiting-sockets.ts';
import type { WaitingBounds } from './waiting-sockets.ts';

export interface StreamPortOptions {
  readonly address: Address;
  readonly tls: TlsFiles | undefined;
  readonly bounds: WaitingBounds;
  readonly log: StreamLog;
  http2(socket: Socket): void;
  /** Without its preface. */
  bytes(ticket: Buffer, socket: Socket): void;
}

export interface StreamPort {
  readonly port: number;
  /** From now on takes byte connections alone: those of consoles that are on their way, and hear in their calls why they end. */
  drain(): void;
  /** Takes no connection any more; those that are open are others' by now. */
  close(): void;
}

/** From the connection (with TLS, from the end of its handshake) until it has said what it is. */
const PREFACE_TIMEOUT_MS = 5_000;
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Throws ServiceError FAILED_PRECONDITION where the address is taken. */
export async function listenStreamPort(options: StreamPortOptions): Promise<StreamPort> {
  const { address, tls, bounds } = options;
  const tellCut = seldom((cut) => {
    options.log.warn({ cut, waitingMax: bounds.waitingMax, waitingPerAddressMax: bounds.waitingPerAddressMax }, 'connections that had not said what they are made room for others: somebody opens many');
  });
  const server = tls === undefined ? createServer(SOCKET_OPTIONS) : createTlsServer({ ...SOCKET_OPTIONS, ...serverTls(tls) });
  const waiting = new WaitingSockets(bounds, tellCut);
  let isDraining = false;
  const http2 = (socket: Socket): void => void (isDraining ? socket.destroy() : options.http2(socket));
  server.on('connection', (socket: Socket) => waiting.add(socket));
  server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    // A handshake may end when nothing is taken any more.
    if (server.listening) sort(socket, waiting, { ...options, http2 });
    else socket.destroy();
  });
  await listening(server, address);
  return {
    port: (server.address() as AddressInfo).port,
    drain() {
      isDraining = true;
    },
    close() {
      server.close();
      waiting.destroy();
    },
  };
}

function serverTls({ key, certificate, authority }: TlsFiles): object {
  const both = authority !== undefined;
  return {
    ...{ key, cert: certificate, ca: authority, requestCert: both, rejectUnauthorized: both },
    ...{ ALPNProtocols: ['h2'], handshakeTimeout: HANDSHAKE_TIMEOUT_MS },
  };
}

/** Reads what the connection says first, and hands it on with what it said after that. */
function sort(socket: Socket, waiting: WaitingSockets, { http2, bytes }: StreamPortOptions): void {
  let head: Buffer = Buffer.alloc(0);
  let isSorted = false;
  const timer = setTimeout(() => socket.destroy(), PREFACE_TIMEOUT_MS);

  function settle(): void {
    isSorted = true;
    clearTimeout(timer);
    waiting.leave(socket);
    socket.off('readable', read);
    socket.off('close', settle);
  }
  function read(): void {
    const more = socket.read() as Buffer | null;
    if (more === null) return;
    head = head.length === 0 ? more : Buffer.concat([head, more]);
    const isBytes = isPreface(head);
    if (isBytes && head.length < PREFACE_BYTES) return;
    settle();
    const rest = isBytes ? head.subarray(PREFACE_BYTES) : head;
    if (rest.length > 0) socket.unshift(rest);
    if (isBytes) bytes(ticketIn(head), socket);
    else http2(socket);
  }
  socket.on('error', () => {}); // 'close' follows
  socket.on('close', settle);
  socket.on('end', () => void (isSorted || socket.destroy()));
  socket.on('readable', read);
}

function listening(server: Server, { host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(new ServiceError('FAILED_PRECONDITION', `the console stream cannot listen on port ${port} of ${host}`, { cause }));
    });
    server.listen(port, host, () => {
      // From now on an error is one of accepting a connection: who came is turned away by the kernel, and the next may come.
      server.removeAllListeners('error').on('error', () => {});
      resolve();
    });
  });
}
