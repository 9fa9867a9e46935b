/**
 * Connections to a host that have not said what they are, the oldest first. Of each address and of all there is a bound, and
 * what has waited longest makes room for what is new: a proxy is through in a moment, and whoever holds connections open to keep
 * others out holds the oldest, and first of all its own.
 */
import type { Socket } from 'node:net';

export interface WaitingBounds {
  readonly waitingMax: number;
  /** Of these, those of one address. */
  readonly waitingPerAddressMax: number;
}

export class WaitingSockets {
  readonly #bounds: WaitingBounds;
  readonly #onCut: () => void;
  /** By their peer, which is the same before and after TLS. */
  readonly #all = new Map<string, Socket>();
  readonly #ofAddresses = new Map<string, Set<string>>();

  constructor(bounds: WaitingBounds, onCut: () => void) {
    this.#bounds = bounds;
    this.#onCut = onCut;
  }

  add(socket: Socket): void {
    const peer = peerOf(socket);
    const address = addressOf(peer);
    const peers = this.#ofAddresses.get(address) ?? new Set();
    this.#all.set(peer, socket);
    this.#ofAddresses.set(address, peers.add(peer));
    socket.once('close', () => {
      if (this.#all.get(peer) === socket) this.#remove(peer);
    });
    if (peers.size > this.#bounds.waitingPerAddressMax) this.#cutFirst(peers);
    else if (this.#all.size > this.#bounds.waitingMax) this.#cutFirst(this.#all.keys());
  }

  /** It has said what it is. The socket is the accepted one, or that of its TLS. */
  leave(socket: Socket): void {
    this.#remove(peerOf(socket));
  }

  destroy(): void {
    for (const socket of this.#all.values()) socket.destroy();
  }

  #cutFirst(oldestFirst: Iterable<string>): void {
    for (const peer of oldestFirst) {
      const socket = this.#all.get(peer);
      this.#remove(peer);
      socket?.destroy();
      this.#onCut();
      return;
    }
  }

  #remove(peer: string): void {
    this.#all.delete(peer);
    const address = addressOf(peer);
    const peers = this.#ofAddresses.get(address);
    peers?.delete(peer);
    if (peers?.size === 0) this.#ofAddresses.delete(address);
  }
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function addressOf(peer: string): string {
  return peer.slice(0, peer.indexOf(' '));
}
