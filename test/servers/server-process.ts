// A real server as a child process of the tests: its own temporary folder, its own process group, its
// output kept for the error message, and gone (children included) when it is stopped or the tests exit.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { keepFiles, outputKeeper } from './evidence.ts';

export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

export interface ServerOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  /** Runs as this user; only root may ask. */
  readonly user?: ServerUser | null;
  /** Resolves to true as soon as the server takes requests; asked every 50 ms. */
  readonly isReady: (server: ServerProcess) => Promise<boolean>;
  readonly readyTimeoutMs?: number;
  /** How much of what it prints is kept, 4 KiB unless told. */
  readonly outputCharsMax?: number;
  /** What it prints to stdout is for the person who started it, and no log. */
  readonly hasTerminal?: boolean;
}

export interface ServerProcess {
  readonly pid: number;
  /** The last of what it printed. */
  output(): string;
  /** Asks with SIGTERM, insists with SIGKILL after the timeout, and resolves once it is gone. */
  stop(timeoutMs?: number): Promise<void>;
  /** Kills the whole process group at once. */
  kill(): Promise<void>;
}

const OUTPUT_CHARS_DEFAULT = 4 * 1024;
const running = new Set<ChildProcess>();
const folders = new Set<string>();

process.on('exit', () => {
  for (const child of running) killGroup(child, 'SIGKILL');
  for (const folder of folders) removeFolder(folder);
});

/** Makes a temporary folder that disappears with removeTempFolder or, at the latest, when the tests exit. */
export function makeTempFolder(name: string, user?: ServerUser | null): string {
  const folder = mkdtempSync(join(tmpdir(), `gatehouse-${name}-`));
  if (user) {
    chownSync(folder, user.uid, user.gid);
    chmodSync(folder, 0o700);
  }
  folders.add(folder);
  return folder;
}

export function removeTempFolder(folder: string): void {
  folders.delete(folder);
  if (existsSync(folder)) keepFiles(folder);
  removeFolder(folder);
}

/** The user a server that refuses root runs as: the first of the names that exists; null when not root. */
export function unprivilegedUser(...names: readonly string[]): ServerUser | null {
  if (process.getuid?.() !== 0) return null;
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of [...names, 'nobody']) {
    const fields = lines.find((line) => line.startsWith(`${name}:`))?.split(':');
    if (fields) return { uid: Number(fields[2]), gid: Number(fields[3]) };
  }
  throw new Error(`none of the users ${[...names, 'nobody'].join(', ')} exists, and root may not run this server`);
}

/** Starts the server and waits until it is ready; throws with its output when it dies or takes too long. */
export async function startServer(options: ServerOptions): Promise<ServerProcess> {
  const [command, ...args] = dyingWithUs([options.command, ...options.args]);
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    ...(options.user ?? {}),
  });
  let printed = '';
  const keep = (chunk: Buffer): void => {
    printed = (printed + chunk.toString()).slice(-(options.outputCharsMax ?? OUTPUT_CHARS_DEFAULT));
  };
  const keepLog = outputKeeper(options.name);
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  child.stderr.on('data', keepLog);
  if (options.hasTerminal !== true) child.stdout.on('data', keepLog);
  let gone = '';
  const exited = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      gone = error.message;
      resolve();
    });
    child.once('exit', (code, signal) => {
      gone = `exited with ${signal ?? code}`;
      running.delete(child);
      resolve();
    });
  });
  if (child.pid !== undefined) running.add(child);
  unreference(child);
  const server: ServerProcess = {
    pid: child.pid ?? -1,
    output: () => printed,
    async stop(timeoutMs = 10_000) {
      if (gone) return;
      child.ref();
      child.kill('SIGTERM');
      const timer = setTimeout(() => killGroup(child, 'SIGKILL'), timeoutMs);
      await exited;
      clearTimeout(timer);
      killGroup(child, 'SIGKILL');
    },
    async kill() {
      if (gone) return;
      child.ref();
      killGroup(child, 'SIGKILL');
      await exited;
    },
  };
  const deadline = Date.now() + (options.readyTimeoutMs ?? 60_000);
  while (!(await options.isReady(server))) {
    if (gone) throw new Error(`${options.name} did not start: ${gone}\n${printed}`);
    if (Date.now() > deadline) {
      await server.kill();
      throw new Error(`${options.name} was not ready in time\n${printed}`);
    }
    await sleep(50);
  }
  return server;
}

/** Runs a command to its end and returns what it printed; throws with the output when it fails. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string; user?: ServerUser | null; timeoutMs?: number } = {},
): Promise<string> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: options.timeoutMs ?? 60_000,
    killSignal: 'SIGKILL',
    ...(options.user ?? {}),
  });
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const ended = await new Promise<number | string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(signal ?? code ?? -1));
  });
  if (ended !== 0) throw new Error(`${command} ended with ${ended}\n${printed}`);
  return printed;
}

/** True when something accepts TCP connections there. */
export async function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    const finish = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => finish(true));
    socket.once('error', () => finish(false));
  });
}

// The kernel kills the server when the tests are killed, too early for any handler of theirs.
function dyingWithUs(command: readonly [string, ...string[]]): readonly [string, ...string[]] {
  const setpriv = '/usr/bin/setpriv';
  return existsSync(setpriv) ? [setpriv, '--pdeathsig', 'KILL', '--', ...command] : command;
}

// A server that a suite forgot to stop must not keep the test process alive for ever.
function unreference(child: ChildProcess): void {
  child.unref();
  for (const stream of [child.stdout, child.stderr]) {
    (stream as { unref?: () => void } | null)?.unref?.();
  }
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // already gone
  }
}

function removeFolder(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 2 });
  } catch {
    // the runner removes the folder that holds all of them
  }
}
