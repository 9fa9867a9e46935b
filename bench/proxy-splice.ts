/**
 * What the proxy's relay costs beside the usual one, `ws` and net with back-pressure, in one run.
 *
 *   npx tsx bench/proxy-splice.ts [MB down a round, 400] [rounds, 3] [idle consoles, 2000]
 *
 * Each relay is a process of its own, and the CPU and memory figures are that process's alone. This process is the guest
 * and the client at once: the client counts raw bytes, so that it costs as little as possible. Rounds take
 * turns, and the median counts. The goal: at most 20 KB of memory an idle console.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { pathToFileURL } from 'node:url';
import { WebSocketServer } from 'ws';
import { startConsoleProxy } from '@gatehouse/console-proxy/app.module';
import { consoleProxyConfig } from '@gatehouse/console-proxy/config';
import { TestConsoleAuth } from '@gatehouse/console-proxy/test-console-auth';
import { clientFrame } from '@gatehouse/console-proxy/websocket/client-frame';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { noAudit } from '@gatehouse/runtime/audit';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { createMetrics } from '@gatehouse/runtime/metrics';

/** Idle consoles that are open before the counting begins. */
const IDLE_FLOOR = 500;
const RELAYS = ['ours', 'ws + net'] as const;
type Relay = (typeof RELAYS)[number];

interface Load {
  readonly name: string;
  readonly direction: 'down' | 'up';
  readonly pieceBytes: number;
  /** Share of the volume: small pieces and the way up cost more. */
  readonly share: number;
}

const LOADS: readonly Load[] = [
  { name: 'down, 64 KiB pieces', direction: 'down', pieceBytes: 65_536, share: 1 },
  { name: 'down, 1.4 KiB pieces', direction: 'down', pieceBytes: 1_400, share: 0.5 },
  { name: 'up, 64 KiB frames', direction: 'up', pieceBytes: 65_536, share: 0.5 },
  { name: 'up, 1 KiB frames', direction: 'up', pieceBytes: 1_024, share: 0.25 },
];

/* The relays, each in a child process. */

async function serveOurs(guestPort: number): Promise<number> {
  const transport = createMemoryTransport();
  const auth = new TestConsoleAuth();
  await auth.serve(transport);
  auth.consoles.set('bench', { instanceName: 'bench', consoleType: 'serial', port: guestPort });
  const config = consoleProxyConfig.parse({ proxyPort: '0', proxyName: 'bench' });
  const app = await startConsoleProxy({ config, transport, audit: noAudit, log: silentLogger, metrics: createMetrics('bench'), clock: systemClock });
  return Number(new URL(app.addresses[0]!.url).port);
}

async function serveWs(guestPort: number): Promise<number> {
  const server = createServer();
  const acceptor = new WebSocketServer({ server, perMessageDeflate: false });
  acceptor.on('connection', (client, request) => {
    const guest = connect({ port: guestPort, host: '127.0.0.1', noDelay: true });
    const { socket } = request;
    guest.on('data', (bytes) => {
      client.send(bytes);
      if (socket.writableNeedDrain) guest.pause();
    });
    socket.on('drain', () => guest.resume());
    client.on('message', (bytes: Buffer) => {
      if (!guest.write(bytes)) client.pause();
    });
    guest.on('drain', () => client.resume());
    guest.on('close', () => client.terminate());
    client.on('close', () => guest.destroy());
    guest.on('error', () => {});
    client.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function runRelay(relay: string, guestPort: number): Promise<void> {
  const port = relay === 'ours' ? await serveOurs(guestPort) : await serveWs(guestPort);
  process.on('message', (wanted) => {
    if (wanted === 'collect') globalThis.gc?.();
    process.send?.(process.cpuUsage());
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.(port);
}

/* The guest and the client. */

async function openConsole(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.write(
    'GET /?token=bench HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: binary\r\n\r\n',
  );
  await once(socket, 'data');
  return socket;
}

/** Write `count` times `piece` as fast as it is taken. */
function pour(socket: Socket, piece: Buffer, count: number): void {
  let left = count;
  const more = (): void => {
    while (left > 0 && !socket.destroyed) {
      left -= 1;
      if (!socket.write(piece)) break;
    }
  };
  socket.on('drain', more);
  more();
}

function arrived(socket: Socket, bytes: number): Promise<void> {
  return new Promise((resolve) => {
    let seen = 0;
    socket.on('data', (piece: Buffer) => {
      seen += piece.length;
      if (seen >= bytes) resolve();
    });
  });
}

class Bench {
  readonly #guests: Socket[] = [];
  readonly #children = new Map<Relay, { readonly child: ChildProcess; readonly port: number }>();
  #guestPort = 0;

  async start(): Promise<void> {
    const guest = createTcpServer({ noDelay: true }, (socket) => {
      socket.on('error', () => {});
      socket.resume();
      this.#guests.push(socket);
    });
    guest.listen(0, '127.0.0.1');
    guest.unref();
    await once(guest, 'listening');
    this.#guestPort = (guest.address() as AddressInfo).port;
    for (const relay of RELAYS) {
      const child = fork(import.meta.filename, ['--relay', relay, String(this.#guestPort)], { execArgv: ['--expose-gc', '--import=tsx'] });
      const [port] = (await once(child, 'message')) as [number];
      this.#children.set(relay, { child, port });
    }
  }

  stop(): void {
    for (const { child } of this.#children.values()) child.disconnect();
  }

  /** CPU-seconds per GB of payload. */
  async relayed(relay: Relay, load: Load, bytes: number): Promise<number> {
    const [client, guest] = await this.#console(relay);
    const [source, sink] = load.direction === 'down' ? [guest, client] : [client, guest];
    const payload = Buffer.alloc(load.pieceBytes, 7);
    const piece = load.direction === 'down' ? payload : clientFrame({ opcode: 2, payload });
    const count = Math.ceil(bytes / load.pieceBytes);
    const before = await this.#cpuSeconds(relay);
    const all = arrived(sink, count * load.pieceBytes);
    pour(source, piece, count);
    await all;
    const spent = (await this.#cpuSeconds(relay)) - before;
    client.destroy();
    await once(guest, 'close');
    return spent / ((count * load.pieceBytes) / 1e9);
  }

  /** KB of proportional memory for each idle console. */
  async idle(relay: Relay, consoles: number): Promise<number> {
    const open: Socket[] = [];
    const grow = async (count: number): Promise<number> => {
      for (let i = 0; i < count; i++) open.push(...(await this.#console(relay)));
      await new Promise((resolve) => setTimeout(resolve, 500));
      await this.#ask(relay, 'collect');
      return this.#pssKb(relay);
    };
    // From some to many: the first ones find memory that the start has left behind, and would seem to cost nothing.
    const some = await grow(IDLE_FLOOR);
    const many = await grow(consoles);
    for (const socket of open) socket.destroy();
    return (many - some) / consoles;
  }

  async #console(relay: Relay): Promise<[Socket, Socket]> {
    const client = await openConsole(this.#children.get(relay)!.port);
    while (this.#guests.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    return [client, this.#guests.shift()!];
  }

  async #cpuSeconds(relay: Relay): Promise<number> {
    const usage = await this.#ask(relay, 'cpu');
    return (usage.user + usage.system) / 1e6;
  }

  async #ask(relay: Relay, wanted: 'cpu' | 'collect'): Promise<NodeJS.CpuUsage> {
    const { child } = this.#children.get(relay)!;
    child.send(wanted);
    const [usage] = (await once(child, 'message')) as [NodeJS.CpuUsage];
    return usage;
  }

  #pssKb(relay: Relay): number {
    const rollup = readFileSync(`/proc/${this.#children.get(relay)!.child.pid}/smaps_rollup`, 'utf8');
    return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1]);
  }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

async function main(): Promise<void> {
  const [megabytes = 400, rounds = 3, consoles = 2_000] = process.argv.slice(2).map(Number);
  const bench = new Bench();
  await bench.start();
  const line = (name: string, unit: string, ours: number, theirs: number, digits: number): void =>
    console.log(`${name.padEnd(22)} ${ours.toFixed(digits).padStart(7)} ${theirs.toFixed(digits).padStart(9)}  ${unit.padEnd(18)} ratio ${(ours / theirs).toFixed(2)}`);
  console.log(`${''.padEnd(22)} ${'ours'.padStart(7)} ${'ws + net'.padStart(9)}`);
  for (const load of LOADS) {
    const bytes = megabytes * 1e6 * load.share;
    const figures: Record<Relay, number[]> = { ours: [], 'ws + net': [] };
    for (const relay of RELAYS) await bench.relayed(relay, load, bytes / 8);
    for (let round = 0; round < rounds; round++) {
      for (const relay of RELAYS) figures[relay].push(await bench.relayed(relay, load, bytes));
    }
    line(load.name, 'CPU-seconds per GB', median(figures.ours), median(figures['ws + net']), 2);
  }
  bench.stop();
  // Processes of their own: what the loads left behind would be given back just then.
  const fresh = new Bench();
  await fresh.start();
  line('idle console', 'KB of memory', await fresh.idle('ours', consoles), await fresh.idle('ws + net', consoles), 1);
  fresh.stop();
}

if (process.argv[2] === '--relay') await runRelay(process.argv[3] ?? '', Number(process.argv[4]));
else if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
