/** `gatehouse db online-data-migrations` as an operator runs it: a process of its own, which may be killed. */
import { spawn } from 'node:child_process';

export interface MoveEnd {
  /** Null: it was killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
}

export interface MoveRun {
  readonly pid: number;
  readonly ended: Promise<MoveEnd>;
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>;
}

export interface MoveSources {
  /** The command's bundle. */
  readonly entry: string;
  readonly apiDatabaseUrl: string;
  readonly cellDatabaseUrls: readonly string[];
}

export interface MigrationLine {
  readonly migration: string;
  readonly needed: number;
  readonly completed: number;
}

/** `onLine`: what it prints, as it comes. */
export function startMove({ entry, apiDatabaseUrl, cellDatabaseUrls }: MoveSources, args: readonly string[] = [], onLine: (line: string) => void = () => {}): MoveRun {
  const began = performance.now();
  const env = { ...process.env, NODE_NO_WARNINGS: '1', GATEHOUSE_API_DATABASE_URL: apiDatabaseUrl, GATEHOUSE_CELL_DATABASE_URLS: cellDatabaseUrls.join(',') };
  const child = spawn(process.execPath, [entry, 'db', 'online-data-migrations', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const printed = { stdout: '', stderr: '' };
  let rest = '';
  child.stdout.on('data', (chunk: Buffer) => {
    printed.stdout += chunk.toString();
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
  child.stderr.on('data', (chunk: Buffer) => (printed.stderr += chunk.toString()));
  const ended = new Promise<MoveEnd>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...printed, seconds: (performance.now() - began) / 1_000 }));
  });
  return {
    pid: child.pid ?? NaN,
    ended,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** To its end. */
export function move(sources: MoveSources, args: readonly string[] = []): Promise<MoveEnd> {
  return startMove(sources, args).ended;
}

/** The table at the end of what it printed. */
export function tableOf({ stdout }: MoveEnd): readonly MigrationLine[] {
  const rows = [...stdout.matchAll(/^\|\s*(\w+)\s*\|\s*(\d+)\s*\|\s*(\d+)\s*\|$/gm)];
  return rows.map(([, migration = '', needed, completed]) => ({ migration, needed: Number(needed), completed: Number(completed) }));
}
