/**
 * How much time the machine takes from those who measure it: "within a second" is promised by the house, not by a machine that stands
 * still, or has more to do than it has processors. It is felt by a thread that wants to wake up each 10 ms, and comes late.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

const TICK_MS = 10;
/** Timers are as punctual as that on a machine that has nothing to do. */
const PUNCTUAL_MS = 2;

const THREAD = `
const { workerData } = require('node:worker_threads');
const lost = new Float64Array(workerData.lost);
const nap = new Int32Array(new SharedArrayBuffer(4));
for (;;) {
  const began = performance.now();
  Atomics.wait(nap, 0, 0, ${TICK_MS});
  const late = performance.now() - began - ${TICK_MS};
  if (late > ${PUNCTUAL_MS}) lost[0] += late;
}`;

/** From its beginning on. */
export interface Stretch {
  /** Milliseconds that were lost so far. */
  lostMs(): Promise<number>;
  /** Milliseconds until now, without those that were lost. */
  tookMs(): Promise<number>;
}

/** Runs from its making to its `stop`. */
export class LostTime {
  readonly #lost = new Float64Array(new SharedArrayBuffer(8));
  readonly #thread: Worker;

  constructor() {
    this.#thread = new Worker(THREAD, { eval: true, execArgv: [], workerData: { lost: this.#lost.buffer } });
    this.#thread.unref();
  }

  begin(): Stretch {
    const [began, before] = [performance.now(), this.#lostMs];
    const lostMs = async (): Promise<number> => {
      // Whoever stood still until now wakes up in any order.
      await pause(3 * TICK_MS);
      return this.#lostMs - before;
    };
    return {
      lostMs,
      async tookMs() {
        const elapsedMs = performance.now() - began;
        return elapsedMs - (await lostMs());
      },
    };
  }

  get #lostMs(): number {
    return this.#lost[0] ?? 0;
  }

  async stop(): Promise<void> {
    await this.#thread.terminate();
  }
}
