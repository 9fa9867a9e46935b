import { freePort } from './free-port.ts';
import { accepts, makeTempFolder, removeTempFolder, startServer } from './server-process.ts';

export interface Redis {
  /** redis://127.0.0.1:port */
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts a Redis of its own: no persistence, free loopback port. */
export async function startRedis(): Promise<Redis> {
  const folder = makeTempFolder('redis');
  const port = await freePort();
  const server = await startServer({
    name: 'redis',
    command: 'redis-server',
    args: ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no', '--dir', folder],
    cwd: folder,
    isReady: () => accepts(port),
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      await server.stop();
      removeTempFolder(folder);
    },
  };
}
