/** Loops that go on until they are told to stop, how long what they did took, and in words what should not have happened. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface TrafficLoop {
  readonly what: string;
  readonly turn: () => Promise<void>;
}

const FAILURES_MAX = 25;

export class TrafficRecord {
  readonly failures: string[] = [];
  readonly #times = new Map<string, number[]>();
  readonly #pauseMs: number;
  #running: Promise<void>[] = [];
  #isStopping = false;
  #label = '';

  /** `pauseMs`: after each turn of each loop; without it a fast machine would do nothing else. */
  constructor(pauseMs: number) {
    this.#pauseMs = pauseMs;
  }

  start(loops: readonly TrafficLoop[]): void {
    this.#isStopping = false;
    this.#running = loops.map((loop) => this.#run(loop));
  }

  /** Resolves when every turn that was under way is done. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#running);
  }

  /** Under which name counts what happens from now on. */
  label(label: string): void {
    this.#label = label;
  }

  took(what: string, ms: number): void {
    const key = `${this.#label} ${what}`;
    const times = this.#times.get(key);
    if (times === undefined) this.#times.set(key, [ms]);
    else times.push(ms);
  }

  timesOf(label: string, what: string): readonly number[] {
    return this.#times.get(`${label} ${what}`) ?? [];
  }

  fail(words: string): void {
    if (this.failures.length < FAILURES_MAX) this.failures.push(`${new Date().toISOString()} ${this.#label}: ${words}`);
  }

  async #run({ what, turn }: TrafficLoop): Promise<void> {
    while (!this.#isStopping && this.failures.length < FAILURES_MAX) {
      try {
        await turn();
      } catch (error) {
        this.fail(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      }
      await sleep(this.#pauseMs);
    }
  }
}
