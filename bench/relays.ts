/**
 * The relays that the benches compare, each in processes of its own, and what those spend. `ours` reaches its guest by
 * TCP, and so does `ours vnc`, a VNC console that is greeted first; `ours + agent` goes through the console stream of a host (both
 * processes count). Those of TLS_RELAYS are the same before clients that come by TLS. websockify, socat (which relays bytes without any WebSocket: the floor) and nova's proxy are Debian's; those that are not installed are left out.
 */
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { makeCertificate } from '../test/servers/certificates.ts';
import { makeTempFolder, runCommand } from '../test/servers/server-process.ts';
import { greetRelay, passGreeting } from './vnc-guest.ts';

export const RELAYS = ['ours', 'ours vnc', 'ours + agent', 'ws + net', 'websockify', 'nova', 'socat'] as const;
export const TLS_RELAYS = ['ours, TLS', 'ws + net, TLS', 'websockify, TLS'] as const;
export type RelayName = (typeof RELAYS)[number] | (typeof TLS_RELAYS)[number];

const ROOT = dirname(import.meta.dirname);

const NEEDS: Partial<Record<RelayName, string>> = {
  websockify: '/usr/bin/websockify',
  'websockify, TLS': '/usr/bin/websockify',
  nova: '/usr/lib/python3/dist-packages/nova/console/websocketproxy.py',
  socat: '/usr/bin/socat',
};

/** With BENCH_PROFILE_DIR set, each of our processes leaves a CPU profile there. */
const { BENCH_PROFILE_DIR: profiles } = process.env;
const PROFILED = profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`];

/** A console through a relay: the client's raw socket and the guest's. */
export interface Joined {
  readonly client: Socket;
  readonly guest: Socket;
}

export class Relays {
  readonly #running = new Map<RelayName, { readonly processes: ChildProcess[]; readonly port: number }>();
  readonly #guests: Socket[] = [];

  /** Starts those of the named that this machine has. */
  static async start(names: readonly RelayName[]): Promise<Relays> {
    await runCommand(process.execPath, [join(ROOT, 'tools/build.mjs'), 'relay-bench'], { cwd: ROOT, timeoutMs: 120_000 });
    const relays = new Relays();
    const plain = await relays.#listen(() => Promise.resolve());
    const vnc = await relays.#listen(greetRelay);
    for (const name of names) {
      const file = NEEDS[name];
      if (file === undefined || existsSync(file)) await relays.#start(name, name === 'ours vnc' ? vnc : plain);
    }
    return relays;
  }

  /** The port of guests that are there when they have greeted. */
  async #listen(greet: (guest: Socket) => Promise<void>): Promise<number> {
    const server = createTcpServer({ noDelay: true }, (socket) => {
      socket.on('error', () => {});
      void greet(socket).then(() => this.#guests.push(socket.pause()));
    });
    server.listen(0, '127.0.0.1');
    server.unref();
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  get names(): readonly RelayName[] {
    return [...this.#running.keys()];
  }

  stop(): void {
    for (const { processes } of this.#running.values()) for (const each of processes) if (each.connected) each.disconnect(); else each.kill();
  }

  /** One at a time: the next guest that comes is taken for this client's. */
  async open(name: RelayName): Promise<Joined> {
    const to = { port: this.#running.get(name)!.port, host: '127.0.0.1', noDelay: true };
    const client = isTls(name) ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to);
    if (name !== 'socat') {
      client.write(
        'GET /?token=bench HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
          'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: binary\r\n\r\n',
      );
      await (name === 'ours vnc' ? passGreeting(client) : once(client, 'data'));
    }
    client.pause();
    while (this.#guests.length === 0) await pause(1);
    return { client, guest: this.#guests.shift()! };
  }

  /** CPU-seconds that the relay's processes have spent so far, those of its connections included while they are open. */
  cpuSeconds(name: RelayName): number {
    return this.#pids(name).reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
  }

  /** Proportional memory of all its processes, KB, after a collection. */
  async memoryKb(name: RelayName): Promise<number> {
    for (const child of this.#running.get(name)!.processes) if (child.connected) await asked(child);
    return this.#pids(name).reduce((sum, pid) => sum + Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]), 0);
  }

  #pids(name: RelayName): number[] {
    return this.#running.get(name)!.processes.flatMap(({ pid }) => (pid === undefined ? [] : [pid, ...childrenOf(pid)]));
  }

  async #start(name: RelayName, guestPort: number): Promise<void> {
    const [role] = name.split(',') as [RelayName];
    const pair = isTls(name) ? makeCertificate(makeTempFolder('relays'), 'proxy') : null;
    if (role === 'ours' || role === 'ours vnc' || role === 'ours + agent' || role === 'ws + net') {
      const processes: ChildProcess[] = [];
      const run = async (role: string, port: number): Promise<number> => {
        const child = fork(join(ROOT, 'dist/relay-bench/main.js'), [role, String(port), ...(pair === null ? [] : [pair.certificate, pair.key])], { execArgv: [...PROFILED, '--expose-gc'] });
        processes.push(child);
        return Number((await once(child, 'message'))[0]);
      };
      const port = role === 'ours + agent' ? await run('attach', await run('agent', guestPort)) : await run(role, guestPort);
      this.#running.set(name, { processes, port });
      return;
    }
    const port = await freePort();
    const commands = {
      websockify: ['websockify', ...(pair === null ? [] : ['--cert', pair.certificate, '--key', pair.key]), `127.0.0.1:${port}`, `127.0.0.1:${guestPort}`],
      nova: ['/usr/bin/python3', new URL('nova_relay.py', import.meta.url).pathname, String(port), String(guestPort)],
      socat: ['socat', '-b', '524288', `TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr,nodelay`, `TCP:127.0.0.1:${guestPort},nodelay`],
    };
    const [command = '', ...args] = commands[role as keyof typeof commands];
    const child = spawn(command, args, { stdio: 'ignore' });
    this.#running.set(name, { processes: [child], port });
    await listening(port);
    // The attempt that found it listening may have brought a guest.
    await pause(300);
    for (const socket of this.#guests.splice(0)) socket.destroy();
  }
}

function isTls(name: RelayName): boolean {
  return name.endsWith(', TLS');
}

async function asked(child: ChildProcess): Promise<void> {
  child.send('collect');
  await once(child, 'message');
}

function childrenOf(pid: number): number[] {
  const own = readdirSync(`/proc/${pid}/task`).flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number));
  return own.flatMap((child) => [child, ...childrenOf(child)]);
}

function cpuSecondsOf(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`).map((task) => Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]));
  return tasks.reduce((sum, each) => sum + each, 0) / 1e9;
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function listening(port: number): Promise<void> {
  for (let i = 0; i < 300; i++) {
    const socket = connect(port, '127.0.0.1');
    const isOpen = await new Promise<boolean>((resolve) => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)));
    socket.destroy();
    if (isOpen) return;
    await pause(100);
  }
  throw new Error(`nothing listens on port ${port}`);
}
