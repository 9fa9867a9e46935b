// What the tools tell a person while something takes long. All of it goes to stderr, so that stdout
// stays free for what a command is for.
import { spawn } from 'node:child_process';

/** A step that cannot be done, in words for a person: printed without a stack. */
export class StepError extends Error {}

export function say(line) {
  process.stderr.write(`${line}\n`);
}

/**
 * Runs a long command quietly, with a sign of life every five seconds, and shows its output only when it
 * fails. SIGINT and SIGTERM reach it and then end us.
 *
 * @param {string} what what is being done, in words
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Record<string, string | undefined> }} [options]
 */
export async function runStep(what, command, args, options = {}) {
  say(`${what} ...`);
  const startedAt = Date.now();
  const seconds = () => Math.round((Date.now() - startedAt) / 1000);
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const keep = (chunk) => (output = (output + chunk).slice(-20_000));
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const life = setInterval(() => say(`  still at it, ${seconds()} s`), 5_000);
  const pass = (signal) => {
    child.kill(signal);
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.once('SIGINT', pass);
  process.once('SIGTERM', pass);
  try {
    const ended = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve(signal ?? code));
    });
    if (ended !== 0) throw new StepError(`${what}: ${command} ended with ${ended}\n${output.trimEnd()}`);
  } finally {
    clearInterval(life);
    process.off('SIGINT', pass);
    process.off('SIGTERM', pass);
  }
  say(`  done in ${seconds()} s`);
  return output;
}

/** Ends a tool whose main function failed: words for what a person can mend, a stack for our own faults. */
export function failTool(error) {
  say(error instanceof StepError ? error.message : (error?.stack ?? String(error)));
  process.exit(1);
}
