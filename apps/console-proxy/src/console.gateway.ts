/**
 * The HTTP edge: pages for browsers, and the WebSocket upgrade at any path. A client is let through the upgrade
 * first and refused afterwards, because a browser cannot read the status of a refused one: a close code and its
 * reason it can.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { toServiceError } from '@gatehouse/errors/service-error';
import type { Admission, Place } from './admission.ts';
import type { ConsoleProxy } from './console-proxy.ts';
import type { EdgeServer } from './edge-server.ts';
import { ProxiedSession } from './proxied-session.ts';
import type { ProxyRecord } from './proxy-record.ts';
import { readConsoleTypes, readResumeGrant, readToken } from './token-intake.ts';
import { originOf, readHandshake } from './websocket/handshake.ts';

export interface GatewaySettings {
  /** Seconds between pings. */
  readonly proxyPing: number;
}

export class ConsoleGateway {
  readonly #proxy: ConsoleProxy;
  readonly #admission: Admission;
  readonly #server: EdgeServer;
  readonly #settings: GatewaySettings;
  readonly #record: ProxyRecord;

  constructor(proxy: ConsoleProxy, admission: Admission, server: EdgeServer, settings: GatewaySettings, record: ProxyRecord) {
    this.#proxy = proxy;
    this.#admission = admission;
    this.#server = server;
    this.#settings = settings;
    this.#record = record;
  }

  /** A WebSocket is asked for. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const handshake = readHandshake(request);
    const arrival = this.#admission.arrivalOf(this.#server.arriving(request));
    const { clientAddress } = arrival;
    if (!handshake.ok) {
      this.#record.log.debug({ reason: handshake.reason, clientAddress }, 'handshake refused');
      socket.on('error', () => socket.destroy());
      socket.end(handshake.answer, () => socket.destroy());
      return;
    }
    prepare(request);
    socket.write(handshake.answer);
    const client = new ProxiedSession({ socket, head, protocol: handshake.protocol, pingEveryMs: this.#settings.proxyPing * 1_000 });
    let place: Place;
    try {
      place = this.#admission.admit(arrival, originOf(request));
    } catch (thrown) {
      const error = toServiceError(thrown);
      this.#record.refused(error, { clientAddress });
      client.refuse(error);
      return;
    }
    this.#server.leaveWaiting(request);
    socket.once('close', () => place.left());
    const token = readToken({ subprotocolToken: handshake.token, url: request.url ?? '/', cookie: request.headers.cookie });
    const consoleTypes = readConsoleTypes(request.url ?? '/');
    const resumeGrant = readResumeGrant(handshake.resumeGrant);
    void this.#proxy.open(client, { token, resumeGrant, consoleTypes, clientAddress }).then(() => place.judged());
  }
}

/** A console is not a request: no idle limit of http's, small writes at once, and a dead peer's TCP is noticed. */
function prepare({ socket }: IncomingMessage): void {
  socket.setTimeout(0);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 60_000);
}
