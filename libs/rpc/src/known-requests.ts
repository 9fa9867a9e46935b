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

  /** Null when it is not known. */
  stateOf(uniqueId: string): 'running' | 'ended' | null {
    if (this.#running.has(uniqueId)) return 'running';
    return this.#ended.has(uniqueId) || this.#endedBefore.has(uniqueId) ? 'ended' : null;
  }

  begin(uniqueId: string): void {
    this.#running.add(uniqueId);
  }

  end(uniqueId: string): void {
    this.#running.delete(uniqueId);
    // Two generations: forgetting the oldest one by one costs more than all the rest.
    if (this.#ended.size >= GENERATION_MAX) [this.#endedBefore, this.#ended] = [this.#ended, new Set()];
    this.#ended.add(uniqueId);
  }
}
