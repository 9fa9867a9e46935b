/**
 * The last ids that were added, between GENERATION_MAX and twice as many, in two generations: forgetting the oldest
 * one by one costs more than all the rest.
 */
const GENERATION_MAX = 512;

export class RecentIds {
  #recent = new Set<string>();
  #before = new Set<string>();

  has(id: string): boolean {
    return this.#recent.has(id) || this.#before.has(id);
  }

  add(id: string): void {
    if (this.#recent.size >= GENERATION_MAX) [this.#before, this.#recent] = [this.#recent, new Set()];
    this.#recent.add(id);
  }

  delete(id: string): void {
    this.#recent.delete(id);
    this.#before.delete(id);
  }

  get isEmpty(): boolean {
    return this.#recent.size === 0;
  }
}
