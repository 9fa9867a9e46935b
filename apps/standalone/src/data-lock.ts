// One process a data directory: two embedded databases on the same files lose rows. The lock is a file
// that names its holder; one left behind by a process that died is taken over. A process id alone does
// not prove a holder, since ids are reused: the start time of the process, where the system tells it, does.

import { closeSync, fsyncSync, linkSync, openSync, readFileSync, renameSync, rmSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ServiceError } from '@gatehouse/errors/service-error';

const LOCK_FILE = 'gatehouse.pid';

// A takeover can lose against another one; it then meets a live holder, so two tries are plenty.
const TRIES = 3;

export interface DataLock {
  /** Gives the directory free. Does nothing when the lock is no longer ours. */
  release(): void;
}

interface Holder {
  readonly pid: number;
  /** When the process was started, as the system counts it; null where it does not tell. */
  readonly started: string | null;
}

/**
 * Takes the data directory, which must exist, for this process.
 *
 * @throws ServiceError FAILED_PRECONDITION, naming the process that holds it.
 */
export function lockDataDir(dataDir: string, pid: number = process.pid): DataLock {
  const path = join(dataDir, LOCK_FILE);
  const mine = `${JSON.stringify({ pid, started: startOf(pid) } satisfies Holder)}\n`;
  for (let tries = 0; tries < TRIES; tries += 1) {
    if (claim(path, mine, pid)) return { release: () => release(path, mine) };
    const theirs = readText(path);
    if (theirs === null) continue;
    const holder = parseHolder(theirs);
    if (holder !== null && isAlive(holder)) throw inUse(dataDir, holder.pid);
    removeStale(path, theirs, pid);
  }
  throw new ServiceError('FAILED_PRECONDITION',
    `the data directory ${dataDir} is being taken by other processes too: start only one, or set GATEHOUSE_DATA_DIR to another`);
}

function inUse(dataDir: string, pid: number): ServiceError {
  return new ServiceError('FAILED_PRECONDITION',
    `the data directory ${dataDir} is in use by process ${pid}: stop that process, or set GATEHOUSE_DATA_DIR to another directory`);
}

// Written beside and linked into place, so that the lock appears whole or not at all.
function claim(path: string, content: string, pid: number): boolean {
  const draft = `${path}.${pid}`;
  const file = openSync(draft, 'w', 0o600);
  try {
    writeSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    unlinkSync(draft);
  }
}

// Moved aside and looked at again: between reading and moving, another process may have taken the lock
// over; its lock is put back.
function removeStale(path: string, stale: string, pid: number): void {
  const aside = `${path}.stale.${pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return;
    throw error;
  }
  if (readText(aside) !== stale) {
    try {
      linkSync(aside, path);
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
    }
  }
  rmSync(aside, { force: true });
}

function release(path: string, mine: string): void {
  if (readText(path) === mine) rmSync(path, { force: true });
}

function parseHolder(text: string): Holder | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('pid' in value)) return null;
    const { pid } = value;
    if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0) return null;
    return { pid, started: 'started' in value && typeof value.started === 'string' ? value.started : null };
  } catch {
    return null;
  }
}

function isAlive({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else
    if (!isCode(error, 'EPERM')) return false;
  }
  const current = startOf(pid);
  return started === null || current === null || current === started;
}

/** Which boot, and how many clock ticks after it, the process was started; null where /proc does not tell. */
function startOf(pid: number): string | null {
  const stat = readText(`/proc/${pid}/stat`);
  const boot = readText('/proc/sys/kernel/random/boot_id');
  // The second field is the command in brackets and may hold anything; the 22nd is the start time.
  const ticks = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return ticks === undefined || boot === null ? null : `${boot.trim()} ${ticks}`;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
