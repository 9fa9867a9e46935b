/** How much of something one address may have at a time; the addresses of an IPv6 /64 are one. */
import { networkOf } from '@gatehouse/runtime/network-of';

export class AddressBound {
  readonly #max: number;
  /** Of those who have a place; nobody is kept who has none. */
  readonly #taken = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  /** A place, to be given back by calling it (more often does no harm); null when the address has as many as it may. */
  take(address: string): (() => void) | null {
    const network = networkOf(address);
    const taken = this.#taken.get(network) ?? 0;
    if (taken >= this.#max) return null;
    this.#taken.set(network, taken + 1);
    let isTaken = true;
    return () => {
      if (isTaken) this.#giveBack(network);
      isTaken = false;
    };
  }

  /** How many addresses have a place now. */
  get addresses(): number {
    return this.#taken.size;
  }

  #giveBack(network: string): void {
    const left = (this.#taken.get(network) ?? 1) - 1;
    if (left > 0) this.#taken.set(network, left);
    else this.#taken.delete(network);
  }
}
