/**
 * Connections that are no console (yet): in their TLS handshake, sending the head of a request, fetching a page, kept open for
 * the next one, being turned away. Whoever opens them needs no token, so there is a bound for each address and one for
 * all. What has waited longest makes room for what is new: a browser is through in a moment, and whoever holds connections
 * open to keep others out holds the oldest.
 */
import type { Socket } from 'node:net';
import { networkOf } from '@gatehouse/runtime/network-of';
import { readAddress } from '@gatehouse/runtime/trusted-proxies';

export interface WaitingBounds {
  readonly ofEach: number;
  readonly ofAll: number;
}

type Peer = Pick<Socket, 'remoteAddress' | 'remotePort'>;

interface Waiting {
  readonly socket: Socket;
  /** null: of a balancer, behind which many wait. */
  readonly network: string | null;
}

export class WaitingConnections {
  readonly #bounds: WaitingBounds;
  readonly #isBalancer: (address: string) => boolean;
  readonly #onCut: (network: string | null) => void;
  /** By their peer, which is the same before and after TLS; the oldest first. */
  readonly #all = new Map<string, Waiting>();
  readonly #ofNetworks = new Map<string, Set<string>>();

  /** `onCut` hears of each connection that made room, with whose bound was reached; null: that of all. */
  constructor(bounds: WaitingBounds, isBalancer: (address: string) => boolean, onCut: (network: string | null) => void) {
    this.#bounds = bounds;
    this.#isBalancer = isBalancer;
    this.#onCut = onCut;
  }

  get count(): number {
    return this.#all.size;
  }

  /** A connection as it was accepted; it waits until it leaves or closes. */
  add(socket: Socket): void {
    const peer = peerOf(socket);
    const address = readAddress(socket.remoteAddress ?? '') ?? 'unknown';
    const network = this.#isBalancer(address) ? null : networkOf(address);
    this.#all.set(peer, { socket, network });
    socket.once('close', () => this.#remove(peer, socket));
    if (network !== null) this.#addTo(network, peer);
    if (this.#all.size > this.#bounds.ofAll) this.#cut(this.#all.keys(), null);
  }

  /** It is a console now. The socket is the accepted one, or that of its TLS. */
  leave(socket: Peer): void {
    const peer = peerOf(socket);
    this.#remove(peer, this.#all.get(peer)?.socket);
  }

  #addTo(network: string, peer: string): void {
    const peers = this.#ofNetworks.get(network) ?? new Set();
    this.#ofNetworks.set(network, peers.add(peer));
    if (peers.size > this.#bounds.ofEach) this.#cut(peers, network);
  }

  #cut(oldestFirst: Iterable<string>, network: string | null): void {
    for (const peer of oldestFirst) {
      const oldest = this.#all.get(peer)?.socket;
      this.#remove(peer, oldest);
      this.#onCut(network);
      oldest?.destroy();
      return;
    }
  }

  /** Harmless for one that has left; a port that was used again is another connection. */
  #remove(peer: string, socket: Socket | undefined): void {
    const waiting = this.#all.get(peer);
    if (waiting === undefined || waiting.socket !== socket) return;
    this.#all.delete(peer);
    if (waiting.network === null) return;
    const peers = this.#ofNetworks.get(waiting.network);
    peers?.delete(peer);
    if (peers?.size === 0) this.#ofNetworks.delete(waiting.network);
  }
}

function peerOf({ remoteAddress, remotePort }: Peer): string {
  return `${remoteAddress} ${remotePort}`;
}
