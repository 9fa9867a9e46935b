/**
 * What processes have spent, read from the kernel: those that run, with their children, and the children that have ended. Who runs is
 * asked thread by thread: a process that lives for one console has spent less than the hundredths of a second that the kernel tells
 * otherwise, and would count as nothing.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

/** The kernel counts in hundredths of a second. */
const MS_A_TICK = 10;
/** Idle is who has spent at most this in a pause; who never is has waited long enough. */
const [IDLE_MS_MAX, PAUSE_MS, PAUSES_MAX] = [20, 250, 40];

export interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  /** Its own time, in whole ticks; threads that have ended are in it. */
  readonly ownMs: number;
  /** That of its children that are gone. */
  readonly goneMs: number;
}

export function allProcesses(): readonly ProcessStat[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => statOf(Number(pid)) ?? []);
}

/** CPU milliseconds of a process and all that it started. */
export function treeCpuMs(pid: number, all: readonly ProcessStat[] = allProcesses()): number {
  const { ownMs = 0, goneMs = 0 } = all.find((each) => each.pid === pid) ?? {};
  return childrenOf(pid, all).reduce((sum, child) => sum + treeCpuMs(child, all), Math.max(ownMs, threadsMs(pid)) + goneMs);
}

export function childrenOf(pid: number, all: readonly ProcessStat[] = allProcesses()): readonly number[] {
  return all.filter(({ parent }) => parent === pid).map((child) => child.pid);
}

/** Resolves when nothing is left to do of what came before: its CPU is not the next round's. */
export async function awaitIdle(spentMs: () => number): Promise<void> {
  let before = spentMs();
  for (let pauses = 0; pauses < PAUSES_MAX; pauses += 1) {
    await pause(PAUSE_MS);
    const after = spentMs();
    if (after - before <= IDLE_MS_MAX) return;
    before = after;
  }
}

function statOf(pid: number): ProcessStat | null {
  try {
    const fields = (readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1] ?? '').split(' ');
    const [user = 0, system = 0, goneUser = 0, goneSystem = 0] = fields.slice(11, 15).map(Number);
    return { pid, parent: Number(fields[1]), ownMs: (user + system) * MS_A_TICK, goneMs: (goneUser + goneSystem) * MS_A_TICK };
  } catch {
    return null; // it has ended meanwhile
  }
}

function threadsMs(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e6, 0);
  } catch {
    return 0;
  }
}
