/**
 * Whose a connection is that a balancer of TCP opens: the balancer says so before anything else on it (proxy-header.ts). It is believed, and
 * must say it, where the operator named its address; nobody else's word is asked for, and what they say is a request that is none.
 * A connection is known by its peer, which is the same before and after TLS.
 */
import type { Socket } from 'node:net';
import { readAddress, TrustedProxies } from '@gatehouse/runtime/trusted-proxies';
import { HEADER_BYTES_MAX, readProxyHeader } from './proxy-header.ts';

export interface SaidPeersSettings {
  /** Who says whose connections these are, as addresses and networks. */
  readonly proxyProtocolFrom: readonly string[];
  /** Seconds in which they must have. */
  readonly proxyHeaderTimeout: number;
}

type Peer = Pick<Socket, 'remoteAddress' | 'remotePort'>;

export class SaidPeers {
  readonly #trusted: TrustedProxies;
  readonly #timeoutMs: number;
  readonly #said = new Map<string, { readonly socket: Socket; readonly address: string }>();

  /** @throws ServiceError INVALID_ARGUMENT naming an entry that is no address and no network */
  constructor({ proxyProtocolFrom, proxyHeaderTimeout }: SaidPeersSettings) {
    this.#trusted = new TrustedProxies(proxyProtocolFrom, 'GATEHOUSE_PROXY_PROTOCOL_FROM');
    this.#timeoutMs = proxyHeaderTimeout * 1_000;
  }

  /** Whether this connection begins with a header. */
  isExpectedOf(socket: Peer): boolean {
    return this.#trusted.trusts(readAddress(socket.remoteAddress ?? '') ?? '');
  }

  /** Whose connection it is, in its usual spelling. */
  addressOf(socket: Peer): string {
    return this.#said.get(keyOf(socket))?.address ?? readAddress(socket.remoteAddress ?? '') ?? 'unknown';
  }

  /** Takes the header off a connection and calls `read`, unless it is wrong or does not come: that closes it, and calls `refused` if anything came. */
  listen(socket: Socket, read: () => void, refused: (why: string) => void): void {
    let held: Buffer = Buffer.alloc(0);
    // Of a connection that had its port before it.
    this.#said.delete(keyOf(socket));
    const refuse = (why: string): void => {
      stop();
      socket.destroy();
      // Some look whether the port is open, and say nothing.
      if (held.length > 0) refused(why);
    };
    const late = setTimeout(refuse, this.#timeoutMs, 'it did not come in time');
    const stop = (): void => {
      clearTimeout(late);
      socket.off('readable', hear).off('end', ended).off('close', stop);
    };
    const ended = (): void => refuse('the connection ended before it');
    const hear = (): void => {
      const bytes = socket.read() as Buffer | null;
      if (bytes === null) return;
      held = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
      const header = readProxyHeader(held);
      if (header.state === 'more' && held.length < HEADER_BYTES_MAX) return;
      if (header.state !== 'read') return refuse('what came is none');
      stop();
      if (header.length < held.length) socket.unshift(held.subarray(header.length));
      if (header.address !== null) this.#keep(socket, header.address);
      read();
    };
    socket.on('error', () => {}); // 'close' follows
    socket.on('readable', hear).on('end', ended).on('close', stop);
  }

  #keep(socket: Socket, address: string): void {
    const key = keyOf(socket);
    this.#said.set(key, { socket, address });
    // Its port may be another connection's by then.
    socket.once('close', () => void (this.#said.get(key)?.socket === socket && this.#said.delete(key)));
  }
}

function keyOf({ remoteAddress, remotePort }: Peer): string {
  return `${remoteAddress} ${remotePort}`;
}
