/**
 * Comes back after a loss: soon at first, then less and less often, each time a little earlier or later than others do,
 * so that the users of a server that restarts do not come all at once. It gives up when the session cannot be there any more,
 * and when what it gets back is lost again and again: a console counts as back only once it has stood for a while.
 */
const FIRST_MS = 300;
const LONGEST_MS = 5_000;
const GIVE_UP_MS = 120_000;
const SETTLED_MS = 10_000;

export class Reconnection {
  #connect;
  #attempts = 0;
  #sinceMs = 0;
  /** When the console was back; null while it is not. */
  #backMs = null;
  #timer = null;

  constructor(connect) {
    this.#connect = connect;
    // The browser knows when the network is back.
    addEventListener('online', () => this.#timer !== null && this.#go());
  }

  /** Whether a series of attempts is under way. */
  get active() {
    return this.#attempts > 0;
  }

  /** True when another attempt will be made; false when it is time to give up. */
  tryAgain() {
    if (this.#backMs !== null && performance.now() - this.#backMs >= SETTLED_MS) this.#attempts = 0;
    this.#backMs = null;
    if (this.#attempts === 0) this.#sinceMs = performance.now();
    if (performance.now() - this.#sinceMs > GIVE_UP_MS) {
      this.stop();
      return false;
    }
    const pauseMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.#attempts) * (0.5 + Math.random());
    this.#attempts += 1;
    this.#timer = setTimeout(() => this.#go(), pauseMs);
    return true;
  }

  /** The console is there. */
  arrived() {
    this.#cancel();
    this.#backMs = performance.now();
  }

  /** The console will not be there. */
  stop() {
    this.#cancel();
    this.#backMs = null;
    this.#attempts = 0;
  }

  #cancel() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }

  #go() {
    this.#cancel();
    this.#connect();
  }
}
