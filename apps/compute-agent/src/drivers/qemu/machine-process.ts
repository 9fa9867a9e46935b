/**
 * The processes behind machines. A pid on disk may be old, and its number another program's by now: a process
 * counts as a machine's only while its own command line names that machine's uuid.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';

const START_TIMEOUT_MS = 20_000;
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

/** Runs QEMU until it is in the background. Throws ServiceError FAILED_PRECONDITION with QEMU's own words. */
export function startMachine(binary: string, args: readonly string[], folder: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { cwd: folder, timeout: START_TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: 64 * 1024, env: { PATH: '/usr/bin:/bin' } } as const;
    execFile(binary, args, options, (error, _stdout, stderr) => {
      if (!error) return resolve();
      const missing = 'code' in error && error.code === 'ENOENT';
      const words = missing ? `${binary} is not installed` : stderr.trim().slice(-500) || error.message.slice(0, 200);
      reject(new ServiceError('FAILED_PRECONDITION', `the machine did not start: ${words}`, { cause: error }));
    });
  });
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
