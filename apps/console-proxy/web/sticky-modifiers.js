/**
 * Modifiers that are pressed on the page: for a phone, and for what the browser would keep to itself (Ctrl, then W on the
 * real keyboard). Pressed once a modifier holds for the next key; pressed again it is locked; once more lets it go.
 */
import { MODIFIERS } from './keys.js';

export class StickyModifiers {
  /** Modifier to `once` or `locked`; one that is up is not here. */
  #held = new Map();
  #hold;
  #release;
  #changed = [];

  /** `hold(name)` and `release(name)` press the key in the machine and let it go. */
  constructor({ hold, release }) {
    this.#hold = hold;
    this.#release = release;
  }

  /** `changed()` is called whenever a modifier's state is another. */
  watch(changed) {
    this.#changed.push(changed);
  }

  /** `up`, `once` or `locked`. */
  stateOf(name) {
    return this.#held.get(name) ?? 'up';
  }

  holds(name) {
    return this.#held.has(name);
  }

  press(name) {
    const state = this.stateOf(name);
    if (state === 'up') this.#hold(name);
    if (state === 'locked') this.#let(name);
    else this.#held.set(name, state === 'up' ? 'once' : 'locked');
    this.#tell();
  }

  /** A key was pressed and let go: what held for it alone is over. */
  used() {
    const once = MODIFIERS.filter((name) => this.stateOf(name) === 'once');
    for (const name of once) this.#let(name);
    if (once.length > 0) this.#tell();
  }

  releaseAll() {
    if (this.#held.size === 0) return;
    for (const name of [...this.#held.keys()]) this.#let(name);
    this.#tell();
  }

  #let(name) {
    this.#held.delete(name);
    this.#release(name);
  }

  #tell() {
    for (const changed of this.#changed) changed();
  }
}
