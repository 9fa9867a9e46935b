// What the person at the terminal sees: progress, links, the ready line, on stdout. The log goes to stderr.

import type { AppAddress } from '@gatehouse/runtime/app';

export interface Terminal {
  say(line: string): void;
  /** Says what begins, and after it how long it took. */
  progress<T>(what: string, work: () => Promise<T>): Promise<T>;
  /** Calls `action` for each Enter, one at a time; nothing where stdin is no terminal. @returns whether it listens */
  onEnter(action: () => Promise<void>): boolean;
}

// Below this, telling how long something took is only noise.
const WORTH_TELLING_MS = 500;

export function terminalOf(stdout: NodeJS.WritableStream, stdin: NodeJS.ReadStream): Terminal {
  // A terminal that was closed takes no more lines; what runs goes on, or drains.
  stdout.on('error', () => {});
  const say = (line: string): void => void stdout.write(`${line}\n`);
  return {
    say,
    async progress(what, work) {
      say(`${what} ...`);
      const startMs = performance.now();
      const result = await work();
      const tookMs = performance.now() - startMs;
      if (tookMs >= WORTH_TELLING_MS) say(`  done in ${(tookMs / 1000).toFixed(1)} s`);
      return result;
    },
    onEnter(action) {
      if (!stdin.isTTY) return false;
      let running: Promise<void> | null = null;
      stdin.on('data', (chunk: Buffer) => {
        if (running !== null || !chunk.includes(0x0a)) return;
        running = action()
          .catch((error: unknown) => say(`no: ${error instanceof Error ? error.message : String(error)}`))
          .finally(() => void (running = null));
      });
      return true;
    },
  };
}

/** `ready  api http://127.0.0.1:8774  console proxy http://127.0.0.1:6080 ...` */
export function readyLine(addresses: readonly AppAddress[]): string {
  return ['ready', ...addresses.map(({ name, url }) => `${name} ${url}`)].join('  ');
}
