/** One shell in which the examples of a page run in order, as their reader would run them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';

const BLOCK_MS_MAX = 20_000;

export interface ShellOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class Shell {
  readonly #bash;
  #text = '';

  constructor({ cwd, env }: ShellOptions = {}) {
    this.#bash = spawn('bash', [], { stdio: ['pipe', 'pipe', 'inherit'], ...(cwd === undefined ? {} : { cwd }), env: { ...process.env, ...env } });
    this.#bash.stdout.setEncoding('utf8').on('data', (text: string) => (this.#text += text));
  }

  /** What the block printed. */
  async run(block: string): Promise<string> {
    const mark = '<<<end of block>>>';
    this.#text = '';
    this.#bash.stdin.write(`${block}\necho '${mark}'\n`);
    for (const until = Date.now() + BLOCK_MS_MAX; !this.#text.includes(mark); await new Promise((resolve) => setTimeout(resolve, 10))) {
      assert.ok(Date.now() < until, `${block}\n${this.#text}`);
    }
    return this.#text.slice(0, this.#text.indexOf(mark));
  }

  stop(): void {
    this.#bash.kill();
  }
}

/** The blocks of shell in a page of Markdown. */
export function shellBlocks(page: string): readonly string[] {
  return [...page.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block = '']) => block);
}
