import { freePort } from './free-port.ts';
import { accepts, makeTempFolder, removeTempFolder, runCommand, startServer } from './server-process.ts';

export interface Redis {
  /** redis://127.0.0.1:port */
  readonly url: string;
  readonly pid: number;
  /** Empty, at the same port. */
  start(): Promise<void>;
  halt(): Promise<void>;
  /** For good. */
  stop(): Promise<void>;
}

/** Starts a Redis of its own: no persistence, free loopback port. `args`: further ones, such as ['--maxmemory', '2mb']. */
export async function startRedis(args: readonly string[] = []): Promise<Redis> {
  const folder = makeTempFolder('redis');
  const port = await freePort();
  const start = () =>
    startServer({
      name: 'redis',
      command: 'redis-server',
      args: ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no', '--rdbcompression', 'no', '--dir', folder, ...args],
      cwd: folder,
      isReady: () => accepts(port),
    });
  let server = await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    get pid() {
      return server.pid;
    },
    async start() {
      server = await start();
    },
    halt: () => server.stop(),
    async stop() {
      // What it holds is evidence (evidence.ts), unless it was halted before.
      await runCommand('redis-cli', ['-p', String(port), 'save']).catch(() => {});
      await server.stop();
      removeTempFolder(folder);
    },
  };
}
