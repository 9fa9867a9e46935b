/** Answers of vendor data targets for as long as they are fresh, one flight for all who ask the same, bounded in bytes: the oldest goes first. */
import type { Clock } from '@gatehouse/runtime/clock';

export interface Kept<T> {
  readonly value: T;
  readonly bytes: number;
  /** Zero: for those who wait for it now, and nobody after them. */
  readonly freshMs: number;
}

/** What an entry takes beside its bytes, about. */
const ENTRY_BYTES = 512;

interface Entry<T> {
  readonly value: T;
  readonly bytes: number;
  readonly untilMs: number;
}

export class VendorDataCache<T> {
  readonly #bytesMax: number;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #flights = new Map<string, Promise<T>>();
  #bytes = 0;

  constructor(bytesMax: number, clock: Clock) {
    this.#bytesMax = bytesMax;
    this.#clock = clock;
  }

  /** How many are being fetched. */
  get flights(): number {
    return this.#flights.size;
  }

  /** Rejects as `load` does; that is not kept. */
  async get(key: string, load: () => Promise<Kept<T>>): Promise<T> {
    const entry = this.#entries.get(key);
    if (entry !== undefined && entry.untilMs > this.#clock.now().getTime()) return entry.value;
    const underWay = this.#flights.get(key);
    if (underWay !== undefined) return underWay;
    const flight = load().then((kept) => this.#keep(key, kept)).finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return flight;
  }

  #keep(key: string, { value, bytes, freshMs }: Kept<T>): T {
    this.#drop(key);
    if (freshMs > 0) {
      this.#entries.set(key, { value, bytes: bytes + ENTRY_BYTES, untilMs: this.#clock.now().getTime() + freshMs });
      this.#bytes += bytes + ENTRY_BYTES;
    }
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#drop(oldest);
    }
    return value;
  }

  #drop(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
    this.#entries.delete(key);
  }
}
