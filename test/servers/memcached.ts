import { freePort } from './free-port.ts';
import { accepts, startServer, unprivilegedUser } from './server-process.ts';

export interface Memcached {
  /** 127.0.0.1:port */
  readonly address: string;
  stop(): Promise<void>;
}

/** Starts a memcached of its own on a free loopback port. */
export async function startMemcached(): Promise<Memcached> {
  const port = await freePort();
  const server = await startServer({
    name: 'memcached',
    command: 'memcached',
    args: ['-l', '127.0.0.1', '-p', String(port), '-U', '0', '-m', '16', '-t', '1'],
    user: unprivilegedUser(),
    isReady: () => accepts(port),
  });
  return { address: `127.0.0.1:${port}`, stop: () => server.stop() };
}
