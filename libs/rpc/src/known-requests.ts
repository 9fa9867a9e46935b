/**
 * Which requests this process has taken: those that run, exactly, and the last few that have ended (oslo knows 16).
 * The broker delivers a request again when the connection is cut before it is acknowledged, and a publisher may send
 * one twice.
 */
import { RecentIds } from './recent-ids.ts';

export class KnownRequests {
  readonly #running = new Set<string>();
  readonly #ended = new RecentIds();

  /** Null when it is not known. */
  stateOf(uniqueId: string): 'running' | 'ended' | null {
    if (this.#running.has(uniqueId)) return 'running';
    return this.#ended.has(uniqueId) ? 'ended' : null;
  }

  begin(uniqueId: string): void {
    this.#running.add(uniqueId);
  }

  end(uniqueId: string): void {
    this.#running.delete(uniqueId);
    this.#ended.add(uniqueId);
  }
}
