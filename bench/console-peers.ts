/**
 * Who opens consoles in bench/console-connect.ts: our house, and what there is beside it, each in processes of its own. Nova's
 * proxy and websockify are Debian's; those that are not installed are left out. `ws + net` and websockify ask nobody who comes:
 * they are what the handshake, the dialling and a first byte cost by themselves.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../test/servers/free-port.ts';
import { startPythonLines } from '../test/servers/python-lines.ts';
import { accepts, makeTempFolder, removeTempFolder, runCommand, startServer } from '../test/servers/server-process.ts';
import { inFlightOf, type ConsoleHouse } from './console-house.ts';
import { childrenOf, treeCpuMs } from './tree-cpu.ts';

const ROOT = new URL('..', import.meta.url).pathname;
const WEBSOCKIFY = '/usr/bin/websockify';
const PYTHON = '/usr/bin/python3';
const NOVA = '/usr/lib/python3/dist-packages/nova/cmd/novncproxy.py';
const NOVA_SCRIPT = new URL('nova_console.py', import.meta.url).pathname;

export interface Peer {
  readonly name: string;
  /** Consoles of a round, all of which stay open: a process each costs websockify 4 MB and Nova 30. */
  readonly consolesMax: number;
  /** Has a process for each connection, in which nothing is ever compiled or remembered. */
  readonly forks: boolean;
  /** Access URLs, each good for more than one console. */
  links(count: number): Promise<readonly string[]>;
  /** CPU milliseconds so far of each part that counts, and of the broker, which does not. */
  cpu(): Readonly<Record<string, number>>;
  /** Resolves when no console is open any more. */
  released(): Promise<void>;
  stop(): Promise<void>;
}

export function ourselves(house: ConsoleHouse): Peer {
  return {
    ...{ name: 'ours', consolesMax: Infinity, forks: false },
    async links(count) {
      const links: string[] = [];
      const { failures } = await inFlightOf(Array.from({ length: count }, (_, index) => index), 8, async (index) => void links.push(await house.mint(index)));
      if (failures[0] !== undefined) throw new Error(`${failures.length} links were refused: ${failures[0]}`);
      return links;
    },
    cpu() {
      const all = house.cpu();
      return { proxy: all['console-proxy'], consoleauth: all.consoleauth, agent: all['compute-agent'], database: all.database, broker: all.broker };
    },
    released: () => house.released(),
    stop: () => Promise.resolve(),
  };
}

export interface Guests {
  readonly port: number;
  close(): void;
}

/** VNC servers that greet whoever comes, as ours do; in this process, so that nobody is charged for them. */
export async function startGuests(): Promise<Guests> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {}).resume();
    socket.write('RFB 003.008\n');
  });
  server.listen(0, '127.0.0.1', 4_096);
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

/** A WebSocket server of the usual library before a socket: ten lines, as a bundle (relay-process.ts). */
export async function startWsNet(guests: Guests): Promise<Peer> {
  await runCommand(process.execPath, [join(ROOT, 'tools/build.mjs'), 'relay-bench'], { cwd: ROOT, timeoutMs: 120_000 });
  const child = fork(join(ROOT, 'dist/relay-bench/main.js'), ['ws + net', String(guests.port)], { execArgv: [] });
  const [port] = (await once(child, 'message')) as [number];
  return { ...openTo('ws + net', child.pid ?? 0, port, Infinity), stop: () => Promise.resolve(void child.disconnect()) };
}

export async function startWebsockify(guests: Guests): Promise<Peer | null> {
  if (!existsSync(WEBSOCKIFY)) return null;
  const port = await freePort();
  const server = await startServer({ name: 'websockify', command: WEBSOCKIFY, args: [`127.0.0.1:${port}`, `127.0.0.1:${guests.port}`], isReady: () => accepts(port) });
  return { ...openTo('websockify', server.pid, port, 150), stop: () => server.stop() };
}

/** A proxy that lets everybody in, at one link. */
function openTo(name: string, pid: number, port: number, consolesMax: number): Omit<Peer, 'stop'> {
  return {
    ...{ name, consolesMax, forks: consolesMax !== Infinity },
    links: (count) => Promise.resolve(Array.from({ length: count }, () => `http://127.0.0.1:${port}/websockify`)),
    cpu: () => ({ proxy: treeCpuMs(pid) }),
    released: () => childless(pid),
  };
}

/**
 * nova-novncproxy with its RFB security proxy, on the house's broker and PostgreSQL, which serves nobody else while it is measured:
 * token and instance in its cell's database, and the port checked by RPC.
 */
export async function startNova(house: ConsoleHouse, guests: Guests): Promise<Peer | null> {
  if (!existsSync(NOVA)) return null;
  const [port, folder] = [await freePort(), makeTempFolder('nova')];
  const config = ['--config-file', join(folder, 'nova.conf')];
  const connection = await house.createDatabase();
  writeFileSync(config[1] ?? '', [
    `[DEFAULT]\ntransport_url = ${house.brokerUrl.replace('amqp:', 'rabbit:')}`, `web = ${folder}`,
    `[database]\nconnection = ${connection}`, `[vnc]\nnovncproxy_host = 127.0.0.1\nnovncproxy_port = ${port}`, '',
  ].join('\n'));
  const start = (role: string, isReady: Parameters<typeof startServer>[0]['isReady']) =>
    startServer({ name: `nova-${role}`, command: PYTHON, args: [NOVA_SCRIPT, role, ...config], cwd: folder, isReady });
  const lines = startPythonLines(NOVA_SCRIPT, ['links', ...config]);
  await lines.ask([0, 0]); // the tables are there
  const compute = await start('compute', ({ output }) => Promise.resolve(output().includes('serving')));
  const proxy = await start('proxy', () => accepts(port));
  return {
    ...{ name: 'nova-novncproxy', consolesMax: 32, forks: true },
    async links(count) {
      const tokens = (await lines.ask([count, guests.port])) as readonly string[];
      return tokens.map((token) => `http://127.0.0.1:${port}/?token=${token}`);
    },
    cpu() {
      const { database, broker } = house.cpu();
      return { proxy: treeCpuMs(proxy.pid), compute: treeCpuMs(compute.pid), database, broker };
    },
    released: () => childless(proxy.pid),
    async stop() {
      await Promise.all([proxy.stop(), compute.stop(), lines.stop()]);
      removeTempFolder(folder);
    },
  };
}

/** Of a proxy that has a process for each connection. */
async function childless(pid: number): Promise<void> {
  while (childrenOf(pid).length > 0) await pause(100);
}
