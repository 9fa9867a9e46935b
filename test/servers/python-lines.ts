/** A Python script at the other end of a pipe: a JSON request a line, a JSON answer a line, in turn. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const PYTHON = '/usr/bin/python3';
const PROBLEM_CHARS_MAX = 8 * 1024;

export interface PythonLines {
  /** The answer's `result`. @throws Error with Python's words where it answered `raised`, or ended */
  ask(request: object): Promise<unknown>;
  /** Ends the script's input and waits until it is gone. */
  stop(): Promise<void>;
}

/** Debian's Python, so that Debian's packages are there. */
export function startPythonLines(script: string, args: readonly string[] = []): PythonLines {
  const child = spawn(PYTHON, ['-u', script, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  const kill = (): boolean => child.kill('SIGKILL');
  process.once('exit', kill);
  const gone = once(child, 'close');
  // Who asks is told that Python cannot be started.
  gone.catch(() => {});
  let problems = '';
  child.stderr.on('data', (chunk: Buffer) => (problems = (problems + chunk.toString()).slice(-PROBLEM_CHARS_MAX)));
  child.stdin.on('error', () => {});
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let turn: Promise<unknown> = Promise.resolve();

  async function exchange(request: object): Promise<unknown> {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const { done, value } = await answers.next();
    if (done === true) {
      await gone;
      throw new Error(`Python ended: ${problems}`);
    }
    const answer = JSON.parse(value) as { readonly result?: unknown; readonly raised?: string };
    if (answer.raised !== undefined) throw new Error(`Python raised: ${answer.raised}`);
    return answer.result;
  }

  return {
    ask: (request) => (turn = turn.then(() => exchange(request), () => exchange(request))),
    async stop() {
      child.stdin.end();
      await gone;
      process.off('exit', kill);
    },
  };
}
