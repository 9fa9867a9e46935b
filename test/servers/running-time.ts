/**
 * Upper bounds of time that hold on a machine which stands still now and then. What waits is counted in short steps, of which
 * each ends when the process comes round to it: however long it was held, that is one step. What computes is counted as CPU time.
 */
const STEP_MS = 10;
const MICROSECONDS_IN_MS = 1_000;

/** How long this takes, in milliseconds in which this process could run. */
export async function runningMsOf(work: () => Promise<unknown>): Promise<number> {
  let steps = 0;
  const counting = setInterval(() => (steps += 1), STEP_MS);
  try {
    await work();
  } finally {
    clearInterval(counting);
  }
  return steps * STEP_MS;
}

/** For what must have had its turn by then, and cannot be asked whether it had: for so long in which this process could run. */
export async function runFor(ms: number): Promise<void> {
  for (let steps = Math.ceil(ms / STEP_MS); steps > 0; steps -= 1) await new Promise((resolve) => setTimeout(resolve, STEP_MS));
}

/** Of a computation, in milliseconds. */
export function cpuMsOf(work: () => void): number {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / MICROSECONDS_IN_MS;
}
