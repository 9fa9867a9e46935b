/**
 * Clients whose token is being asked about: so many at one time, the others in line, for a moment. Anybody can show a token that is
 * none, and as often as they like, so the line has turns: each network (/24, /48) in it has one after the other, and a
 * flood from few or many addresses waits for itself. Where the line is full, the last of the network that has most in it
 * is turned away. Nobody who has a place gives way: consoleauth would answer them all the same, and that is the work that
 * the places are a bound of. A place is given back with the answer, not when the console is open: hosts that do not answer shall
 * not keep out those who want another one's console.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import { wideNetworkOf } from '@gatehouse/runtime/network-of';
import { CrowdedGroups } from './crowded-groups.ts';

export interface LineBounds {
  readonly placesMax: number;
  readonly waitingMax: number;
  readonly waitMs: number;
}

/** To be called when the place is not needed any more; more often does no harm. */
export type GiveBack = () => void;

interface Waiting {
  readonly network: string;
  enter(place: GiveBack): void;
  turnAway(): void;
}

export class OpeningLine {
  readonly #bounds: LineBounds;
  readonly #line = new CrowdedGroups<Waiting>();
  #waiting = 0;
  #taken = 0;

  constructor(bounds: LineBounds) {
    this.#bounds = bounds;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /**
   * A place. `gone`: who leaves the line, whereupon its reason is thrown.
   *
   * @throws ServiceError RESOURCE_EXHAUSTED when the line is full of this network's, or waited long enough
   */
  async take(clientAddress: string, gone: AbortSignal): Promise<GiveBack> {
    gone.throwIfAborted();
    return this.#taken < this.#bounds.placesMax ? this.#place() : this.#wait(clientAddress, gone);
  }

  #wait(clientAddress: string, gone: AbortSignal): Promise<GiveBack> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#remove(waiting);
        clearTimeout(timer);
        gone.removeEventListener('abort', quit);
      };
      const quit = (): void => {
        leave();
        reject(gone.reason as Error);
      };
      const waiting: Waiting = {
        network: wideNetworkOf(clientAddress),
        enter(place) {
          leave();
          resolve(place);
        },
        turnAway() {
          leave();
          reject(new ServiceError('RESOURCE_EXHAUSTED', 'Too many consoles are being opened here at the moment; try again in a minute.'));
        },
      };
      const timer = setTimeout(() => waiting.turnAway(), this.#bounds.waitMs);
      gone.addEventListener('abort', quit, { once: true });
      this.#add(waiting);
    });
  }

  #add(waiting: Waiting): void {
    this.#line.add(waiting.network, waiting);
    this.#waiting += 1;
    if (this.#waiting <= this.#bounds.waitingMax) return;
    const crowded = this.#line.of(this.#line.largest() ?? waiting.network);
    // Mostly the one that has just come.
    const last = crowded.has(waiting) ? waiting : [...crowded].at(-1);
    last?.turnAway();
  }

  /** Harmless for one that has left. */
  #remove(waiting: Waiting): void {
    if (!this.#line.of(waiting.network).has(waiting)) return;
    this.#line.remove(waiting.network, waiting);
    this.#waiting -= 1;
  }

  #place(): GiveBack {
    this.#taken += 1;
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      this.#taken -= 1;
      const next = this.#line.takeNext();
      if (next === null) return;
      this.#waiting -= 1;
      next.enter(this.#place());
    };
  }
}
