/**
 * Which requests this process has taken: those that run, exactly, and the last few that have ended. The broker delivers
 * a request again when the connection is cut before it is acknowledged, and a publisher may send one twice.
 */

/** oslo keeps 16. Between this many and twice as many ended requests are known. */
const GENERATION_MAX = 512;

export class KnownRequests {
  readonly #running = new Set<string>();
  #ended = new Set<string>();
  #endedBefore = new Set<string>();

  /** False when it is known already. */
  begin(uniqueId: string): boolean {
    if (this.#running.has(uniqueId) || this.#ended.has(uniqueId) || this.#endedBefore.has(uniqueId)) return false;
    this.#running.add(uniqueId);
    return true;
  }

  end(uniqueId: string): void {
    this.#running.delete(uniqueId);
    // Two generations: forgetting the oldest one by one costs more than all the rest.
    if (this.#ended.size >= GENERATION_MAX) [this.#endedBefore, this.#ended] = [this.#ended, new Set()];
    this.#ended.add(uniqueId);
  }
}
