/**
 * What the configuration calls a machine's parts, as files of this host. A machine is started in its own folder and with
 * a plain PATH, so names that mean something only where the agent was started are made whole here, once.
 */
import { execFile } from 'node:child_process';
import path from 'node:path';

const LOOK_TIMEOUT_MS = 5_000;

/** The absolute path of the program, found along PATH when it is a bare name; the name itself when there is none, so that the start says so. */
export async function findProgram(name: string): Promise<string> {
  if (name.includes('/')) return path.resolve(name);
  const found = await whereShellFinds(name);
  return found.includes('/') ? path.resolve(found) : name;
}

/** Null stays null: there is none. */
export function absoluteOrNull(file: string | null): string | null {
  return file === null ? null : path.resolve(file);
}

/** A path; empty when there is none, and a bare word for what only a shell has. */
function whereShellFinds(name: string): Promise<string> {
  return new Promise((resolve) => {
    execFile('/bin/sh', ['-c', 'command -v -- "$0"', name], { timeout: LOOK_TIMEOUT_MS }, (error, stdout) => resolve(error ? '' : stdout.trim()));
  });
}
