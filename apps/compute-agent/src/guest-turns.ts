/** Work on one guest happens one after the other, whoever asks; different guests do not wait for each other. */
export class GuestTurns {
  /** The last work of each guest that has any. */
  readonly #turns = new Map<string, Promise<unknown>>();

  /** Runs `work` when all that came before it for this guest is over, well or not. */
  async take<T>(instanceUuid: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(instanceUuid) ?? Promise.resolve();
    const turn = before.then(work, work);
    this.#turns.set(instanceUuid, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(instanceUuid) === turn) this.#turns.delete(instanceUuid);
    }
  }
}
