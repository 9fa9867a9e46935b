/**
 * How much of something one address may have at a time. Who holds an IPv6 prefix has as many addresses as they like, and a
 * /64 is the least that a network hands out: its addresses count as one.
 */
import { isIP } from 'node:net';

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

const GROUPS = 8;
const GROUPS_OF_NETWORK = 4;

/** The address itself, or the /64 of an IPv6 one. */
export function networkOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [left = [], right = []] = address.split('::').map((side) => side.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: GROUPS - left.length - right.length }, () => '0');
  return `${[...left, ...zeros, ...right].slice(0, GROUPS_OF_NETWORK).join(':')}::/64`;
}
