import { connect } from 'node:net';
import { keepText } from './evidence.ts';
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

const ANSWER_MS_MAX = 5_000;

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
    async stop() {
      // Evidence, unless it was halted before.
      keepText('database', 'memcached', await contentOf(port).catch(() => ''));
      await server.stop();
    },
  };
}

/** Every key with its value, as the server tells them. */
async function contentOf(port: number): Promise<string> {
  const keys = [...(await ask(port, 'lru_crawler metadump all')).matchAll(/^key=(\S+)/gm)].map(([, key]) => decodeURIComponent(key ?? ''));
  return keys.length === 0 ? '' : ask(port, ...keys.map((key) => `get ${key}`));
}

/** All answers: each command's ends with END. */
function ask(port: number, ...commands: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    let answer = '';
    socket.setTimeout(ANSWER_MS_MAX, () => socket.destroy(new Error('memcached does not answer')));
    socket.once('error', reject);
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      if (answer.endsWith('END\r\n') && answer.split('END\r\n').length > commands.length) socket.end(() => resolve(answer));
    });
    socket.write(commands.map((command) => `${command}\r\n`).join(''));
  });
}
