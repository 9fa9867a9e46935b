/**
 * The HTTP edge: pages for browsers, and the WebSocket upgrade at any path. A client is let through the upgrade
 * first and refused afterwards, because a browser cannot read the status of a refused one: a close code and its
 * reason it can.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleProxy } from './console-proxy.ts';
import type { CheckOrigin } from './origin-policy.ts';
import type { Pages } from './pages.ts';
import { ProxiedSession } from './proxied-session.ts';
import type { ProxyRecord } from './proxy-record.ts';
import { readConsoleTypes, readResumeGrant, readToken } from './token-intake.ts';
import { TrustedProxies } from './trusted-proxies.ts';
import { originOf, readHandshake } from './websocket/handshake.ts';

const HEAD_BYTES_MAX = 16 * 1024;
/** Plain requests have no body that we read, and idle connections are not kept long. */
const KEEP_ALIVE_MS = 5_000;
const CLOSE_WAIT_MS = 500;
/** Connections beyond the consoles: pages, and clients that are being refused. */
const SPARE_CONNECTIONS = 1_024;

export interface GatewaySettings {
  readonly proxySessionsMax: number;
  /** Seconds in which a request's head must be whole, however slowly it drips. */
  readonly proxyHeaderTimeout: number;
  /** Seconds between pings. */
  readonly proxyPing: number;
  /** Whose X-Forwarded- headers count: addresses and networks. */
  readonly trustedProxies: readonly string[];
}

export class ConsoleGateway {
  readonly #proxy: ConsoleProxy;
  readonly #checkOrigin: CheckOrigin;
  readonly #settings: GatewaySettings;
  readonly #record: ProxyRecord;
  readonly #trusted: TrustedProxies;
  readonly #server: Server;

  constructor(proxy: ConsoleProxy, checkOrigin: CheckOrigin, pages: Pages, settings: GatewaySettings, record: ProxyRecord) {
    const headTimeoutMs = settings.proxyHeaderTimeout * 1_000;
    this.#proxy = proxy;
    this.#checkOrigin = checkOrigin;
    this.#settings = settings;
    this.#record = record;
    this.#trusted = new TrustedProxies(settings.trustedProxies);
    this.#server = createServer(
      {
        headersTimeout: headTimeoutMs,
        requestTimeout: headTimeoutMs,
        connectionsCheckingInterval: 1_000,
        keepAliveTimeout: KEEP_ALIVE_MS,
        maxHeaderSize: HEAD_BYTES_MAX,
      },
      (request, response) => pages.answer(request, response),
    );
    this.#server.maxConnections = settings.proxySessionsMax + SPARE_CONNECTIONS;
    this.#server.on('clientError', refuseRequest);
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => this.#upgrade(request, socket, head));
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
    return `http://${bindAddress.includes(':') ? `[${bindAddress}]` : bindAddress}:${bound}`;
  }

  /** Take no new connection and let go of idle ones; consoles are the application's to end. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    // A page that is still being fetched gets a moment, and so does a client that has not answered its close frame yet.
    const late = setTimeout(CLOSE_WAIT_MS, undefined, { ref: false });
    await Promise.race([closed, late]);
    this.#server.closeAllConnections();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const handshake = readHandshake(request);
    const reached = this.#trusted.arrivalOf(request);
    const { clientAddress } = reached;
    if (!handshake.ok) {
      this.#record.log.debug({ reason: handshake.reason, clientAddress }, 'handshake refused');
      socket.on('error', () => socket.destroy());
      socket.end(handshake.answer, () => socket.destroy());
      return;
    }
    prepare(request);
    socket.write(handshake.answer);
    const client = new ProxiedSession({ socket, head, protocol: handshake.protocol, pingEveryMs: this.#settings.proxyPing * 1_000 });
    const refusal = this.#checkOrigin(originOf(request), reached);
    if (refusal !== null) {
      const error = new ServiceError('PERMISSION_DENIED', refusal);
      this.#record.refused(error, { clientAddress });
      client.refuse(error);
      return;
    }
    const token = readToken({ subprotocolToken: handshake.token, url: request.url ?? '/', cookie: request.headers.cookie });
    const consoleTypes = readConsoleTypes(request.url ?? '/');
    const resumeGrant = readResumeGrant(handshake.resumeGrant);
    void this.#proxy.open(client, { token, resumeGrant, consoleTypes, clientAddress });
  }
}

const BAD_REQUESTS: Readonly<Record<string, readonly [status: string, words: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'The request did not arrive in time.'],
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', `The head of a request has at most ${HEAD_BYTES_MAX} bytes.`],
};

/** What came is no whole request, and its connection is of no more use. */
function refuseRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, words] = BAD_REQUESTS[error.code ?? ''] ?? ['400 Bad Request', 'This is no HTTP request.'];
  const head = `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nContent-Length: ${words.length + 1}\r\nConnection: close`;
  socket.end(`${head}\r\n\r\n${words}\n`, () => socket.destroy());
}

/** A console is not a request: no idle limit of http's, small writes at once, and a dead peer's TCP is noticed. */
function prepare({ socket }: IncomingMessage): void {
  socket.setTimeout(0);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 60_000);
}
