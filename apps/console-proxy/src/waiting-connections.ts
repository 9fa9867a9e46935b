/**
 * Connections that are no console (yet): in their TLS handshake, sending the head of a request, fetching a page, kept open for
 * the next one, being turned away. Whoever opens them needs no token, so there is a bound for each address and one for
 * all. What has waited longest makes room for what is new: a browser is through in a moment, and whoever holds connections
 * open to keep others out holds the oldest. Where the bound of all is reached, it is the oldest of the network (/24, /48)
 * that has most: who opens them from many addresses has these from somewhere, and pushes out their own.
 */
import type { Socket } from 'node:net';
import { networkOf, wideNetworkOf } from '@gatehouse/runtime/network-of';
import { CrowdedGroups } from './crowded-groups.ts';

export interface WaitingBounds {
  readonly ofEach: number;
  readonly ofAll: number;
}

type Peer = Pick<Socket, 'remoteAddress' | 'remotePort'>;

interface Waiting {
  readonly socket: Socket;
  /** null: of a balancer, behind which many wait. */
  readonly from: { readonly network: string; readonly wide: string } | null;
}

export class WaitingConnections {
  readonly #bounds: WaitingBounds;
  readonly #isBalancer: (address: string) => boolean;
  readonly #onCut: (network: string | null) => void;
  /** By their peer, which is the same before and after TLS; the oldest first. */
  readonly #all = new Map<string, Waiting>();
  readonly #ofNetworks = new CrowdedGroups<string>();
  readonly #ofWideNetworks = new CrowdedGroups<string>();
  readonly #ofBalancers = new Set<string>();

  /** `onCut` hears of each connection that made room, with whose bound was reached; null: that of all. */
  constructor(bounds: WaitingBounds, isBalancer: (address: string) => boolean, onCut: (network: string | null) => void) {
    this.#bounds = bounds;
    this.#isBalancer = isBalancer;
    this.#onCut = onCut;
  }

  get count(): number {
    return this.#all.size;
  }

  /** A connection as it was accepted; it waits until it leaves or closes. `address`: null where it is not known yet whose it is. */
  add(socket: Socket, address: string | null): void {
    const peer = peerOf(socket);
    this.#place(peer, socket, address);
    socket.once('close', () => this.#remove(peer, socket));
  }

  /** Whose it is. */
  known(socket: Socket, address: string): void {
    const peer = peerOf(socket);
    if (this.#all.get(peer)?.socket !== socket) return;
    this.#remove(peer, socket);
    this.#place(peer, socket, address);
  }

  #place(peer: string, socket: Socket, address: string | null): void {
    const from = address === null || this.#isBalancer(address) ? null : { network: networkOf(address), wide: wideNetworkOf(address) };
    // A port may be used again before its last connection is told to be closed.
    this.#remove(peer, this.#all.get(peer)?.socket);
    this.#all.set(peer, { socket, from });
    if (from === null) this.#ofBalancers.add(peer);
    else this.#addTo(from, peer);
    if (this.#all.size > this.#bounds.ofAll) this.#cut(this.#mostOfAll(), null);
  }

  /** It is a console now. The socket is the accepted one, or that of its TLS. */
  leave(socket: Peer): void {
    const peer = peerOf(socket);
    this.#remove(peer, this.#all.get(peer)?.socket);
  }

  #addTo({ network, wide }: NonNullable<Waiting['from']>, peer: string): void {
    this.#ofWideNetworks.add(wide, peer);
    if (this.#ofNetworks.add(network, peer) > this.#bounds.ofEach) this.#cut(this.#ofNetworks.of(network), network);
  }

  /** Those behind balancers are nobody's in particular: they come first only where they are the most of all. */
  #mostOfAll(): Iterable<string> {
    const crowded = this.#ofWideNetworks.largest();
    const isBehind = crowded === null || this.#ofBalancers.size > this.#all.size / 2;
    return isBehind ? this.#ofBalancers : this.#ofWideNetworks.of(crowded);
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
    if (waiting.from === null) {
      this.#ofBalancers.delete(peer);
      return;
    }
    this.#ofNetworks.remove(waiting.from.network, peer);
    this.#ofWideNetworks.remove(waiting.from.wide, peer);
  }
}

function peerOf({ remoteAddress, remotePort }: Peer): string {
  return `${remoteAddress} ${remotePort}`;
}
