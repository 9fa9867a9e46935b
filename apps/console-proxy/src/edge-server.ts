/**
 * The proxy's port: HTTP, or HTTPS when there is a certificate; never both, for a link that lost its s should fail and not
 * send its token in clear. Who is slow, silent or many is dealt with here, before anybody reads what they say.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import type { ArrivingRequest } from '@gatehouse/runtime/trusted-proxies';
import { readProxyHeader } from './proxy-header.ts';
import type { ProxyRecord } from './proxy-record.ts';
import { SaidPeers, type SaidPeersSettings } from './said-peers.ts';
import type { ServedCertificate } from './served-certificate.ts';
import { WaitingConnections } from './waiting-connections.ts';

const HEAD_BYTES_MAX = 16 * 1024;
/** Idle connections are not kept long. */
const KEEP_ALIVE_MS = 5_000;
const CLOSE_WAIT_MS = 500;

export interface EdgeSettings extends SaidPeersSettings {
  /** Connections of every kind. */
  readonly proxyConnectionsMax: number;
  /** Those that are no console: of all addresses, and of each. */
  readonly proxyHandshakesMax: number;
  readonly proxyHandshakesPerAddress: number;
  /** Seconds in which TLS must be agreed on, and then the same for a request's head, however slowly they drip. */
  readonly proxyHeaderTimeout: number;
}

/** `rawPacket`: what came last, where it is no HTTP. */
type ClientError = NodeJS.ErrnoException & { readonly rawPacket?: Buffer };

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export class EdgeServer {
  readonly #server: Server & { setSecureContext?(options: object): void };
  readonly #certificate: ServedCertificate | null;
  readonly #waiting: WaitingConnections;
  readonly #record: ProxyRecord;
  readonly #peers: SaidPeers;

  /** @throws ServiceError INVALID_ARGUMENT naming a setting that cannot be understood */
  constructor(settings: EdgeSettings, certificate: ServedCertificate | null, isBalancer: (address: string) => boolean, record: ProxyRecord) {
    const timeoutMs = settings.proxyHeaderTimeout * 1_000;
    const options = { headersTimeout: timeoutMs, requestTimeout: timeoutMs, connectionsCheckingInterval: 1_000, keepAliveTimeout: KEEP_ALIVE_MS, maxHeaderSize: HEAD_BYTES_MAX };
    const bounds = { ofEach: settings.proxyHandshakesPerAddress, ofAll: settings.proxyHandshakesMax };
    this.#certificate = certificate;
    this.#record = record;
    this.#waiting = new WaitingConnections(bounds, isBalancer, (network) => record.cutWaiting(network));
    this.#server = certificate === null ? createServer(options) : createTlsServer({ ...options, ...certificate.options, handshakeTimeout: timeoutMs });
    this.#server.maxConnections = settings.proxyConnectionsMax;
    this.#peers = new SaidPeers(settings);
    this.#listenFirst();
    this.#server.on('clientError', (error: ClientError, socket: Duplex) => this.#refuse(error, socket));
    this.#server.on('drop', () => record.dropped());
  }

  /** Before HTTP or TLS begins on a connection, it waits like others, and whose it is may have to be said. */
  #listenFirst(): void {
    const began = this.#server.listeners('connection') as ((socket: Socket) => void)[];
    const begin = (socket: Socket): void => began.forEach((each) => each.call(this.#server, socket));
    this.#server.removeAllListeners('connection').on('connection', (socket: Socket) => {
      // Reset before it was looked at, as a balancer's health checks are: nobody is there, and nobody knows who it was.
      if (socket.remoteAddress === undefined) return void socket.destroy();
      const peer = this.#peers.addressOf(socket);
      if (!this.#peers.isExpectedOf(socket)) {
        this.#waiting.add(socket, peer);
        return begin(socket);
      }
      this.#waiting.add(socket, null);
      const read = (): void => {
        this.#waiting.known(socket, this.#peers.addressOf(socket));
        begin(socket);
      };
      this.#peers.listen(socket, read, (why) => this.#record.unsaidPeer(peer, why));
    });
  }

  /** A request with the peer that it is from: the balancer's client, where the balancer said who that is. */
  arriving({ headers, socket }: IncomingMessage): ArrivingRequest {
    return { headers, socket: { remoteAddress: this.#peers.addressOf(socket), encrypted: 'encrypted' in socket && socket.encrypted === true } };
  }

  /** Connections that are no console. */
  get waitingCount(): number {
    return this.#waiting.count;
  }

  /** Who answers plain requests, and who takes WebSockets. */
  serve(answer: Answer, upgrade: Upgrade): void {
    this.#server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      // Nothing here reads a body: whoever sends one is answered, and not listened to.
      if (hasBody(request)) response.shouldKeepAlive = false;
      answer(request, response);
    });
    this.#server.on('upgrade', upgrade);
  }

  /** The connection is a console from here on. */
  leaveWaiting(request: IncomingMessage): void {
    this.#waiting.leave(request.socket);
  }

  /** Resolves with the base URL; its port is the real one when `port` was 0. Rejects with what the system says of a taken port. */
  async listen(port: number, bindAddress: string): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, bindAddress, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    const bound = (this.#server.address() as AddressInfo).port;
    return `${this.#certificate === null ? 'http' : 'https'}://${bindAddress.includes(':') ? `[${bindAddress}]` : bindAddress}:${bound}`;
  }

  /** About every two seconds, and when an operator asks: see whether the certificate's files have changed. */
  async refreshCertificate(how: { readonly isAsked?: boolean } = {}): Promise<void> {
    const options = await this.#certificate?.refresh(how);
    if (options) this.#server.setSecureContext?.(options);
  }

  /** Take no new connection and let go of idle ones; consoles are the application's to end. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    // A page that is still being fetched gets a moment, and so does a client that has not answered its close frame yet.
    const late = setTimeout(CLOSE_WAIT_MS, undefined, { ref: false });
    await Promise.race([closed, late]);
    this.#server.closeAllConnections();
    // Nobody is refused any more.
    this.#record.flush();
  }

  /** What came is no whole request, or no TLS, and its connection is of no more use. */
  #refuse({ code = '', rawPacket }: ClientError, socket: Duplex): void {
    const answer = answerTo(code);
    if (rawPacket !== undefined && readProxyHeader(rawPacket).state === 'read') this.#record.unaskedPeer(this.#peers.addressOf(socket as Socket));
    if (answer === null || !socket.writable) {
      if (code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS')) this.#record.log.debug({ code }, 'no TLS was agreed on');
      socket.destroy();
      return;
    }
    const [status, words] = answer;
    const head = `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nContent-Length: ${words.length + 1}\r\nConnection: close`;
    socket.end(`${head}\r\n\r\n${words}\n`, () => socket.destroy());
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function answerTo(code: string): readonly [status: string, words: string] | null {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return ['408 Request Timeout', 'The request did not arrive in time.'];
  if (code === 'HPE_HEADER_OVERFLOW') return ['431 Request Header Fields Too Large', `The head of a request has at most ${HEAD_BYTES_MAX} bytes.`];
  return code.startsWith('HPE_') ? ['400 Bad Request', 'This is no HTTP request.'] : null;
}
