/**
 * The processes behind machines. A pid on disk may be old, and its number another program's by now: a process
 * counts as a machine's only while its own command line names that machine's uuid.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const WORDS_MAX = 500;
const POLL_MS = 20;

/** The pid of the machine's process, or null when it does not run. */
export async function findMachine(pidFile: string, uuid: string): Promise<number | null> {
  const pid = Number((await readFile(pidFile, 'utf8').catch(() => '')).trim());
  if (!Number.isInteger(pid) || pid <= 1) return null;
  return (await isMachine(pid, uuid)) ? pid : null;
}

/** A zombie has no command line, so it does not count. */
async function isMachine(pid: number, uuid: string): Promise<boolean> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const args = commandLine.split('\0');
  return args[args.indexOf('-uuid') + 1] === uuid && args.includes(`gatehouse-${uuid}`);
}

/** A QEMU that was just started. */
export interface StartedMachine {
  /** Resolves, if ever, with what there is to say about its end. */
  readonly failed: Promise<string>;
  kill(): void;
}

/**
 * Starts QEMU in a session of its own, so that it outlives this process. Its words go through a pipe that is
 * read and dropped: no file for a guest to fill, and without a reader QEMU does not mind.
 */
export function startMachine(binary: string, args: readonly string[], folder: string): StartedMachine {
  const child = spawn(binary, args, { cwd: folder, detached: true, stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: '/usr/bin:/bin' } });
  let words = '';
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text: string) => {
    words = (words + text).slice(0, WORDS_MAX);
  });
  child.unref();
  (child.stderr as Socket).unref();
  const failed = new Promise<string>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ENOENT' ? `${binary} is not installed` : error.message));
    child.once('close', (code, signal) => resolve(words.trim() || `it ended at once (${signal ?? code})`));
  });
  return { failed, kill: () => void child.kill('SIGKILL') };
}

/** Resolves when the machine is gone, true, or after the time, false. */
export async function waitUntilGone(pid: number, uuid: string, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (await isMachine(pid, uuid)) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

export async function killMachine(pid: number, uuid: string): Promise<void> {
  if (!(await isMachine(pid, uuid))) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
