import { freePort } from './free-port.ts';
import { accepts, startServer, unprivilegedUser } from './server-process.ts';

export interface Memcached {
  /** 127.0.0.1:port */
  readonly address: string;
  readonly pid: number;
  /** Empty, at the same port. */
  start(): Promise<void>;
  halt(): Promise<void>;
  /** For good. */
  stop(): Promise<void>;
}

/** Starts a memcached of its own on a free loopback port, with 16 MB. `args`: further ones, such as ['-m', '1']. */
export async function startMemcached(args: readonly string[] = []): Promise<Memcached> {
  const port = await freePort();
  const start = () =>
    startServer({
      name: 'memcached',
      command: 'memcached',
      args: ['-l', '127.0.0.1', '-p', String(port), '-U', '0', '-m', '16', '-t', '1', ...args],
      user: unprivilegedUser(),
      isReady: () => accepts(port),
    });
  let server = await start();
  return {
    address: `127.0.0.1:${port}`,
    get pid() {
      return server.pid;
    },
    async start() {
      server = await start();
    },
    halt: () => server.stop(),
    stop: () => server.stop(),
  };
}
