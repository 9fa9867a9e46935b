/**
 * What relaying a gigabyte costs: CPU-seconds of all of a relay's processes, ours beside others in one run.
 *
 *   npx tsx bench/relay.ts [MB down a round, 2000] [rounds, 3]      or --quick, for a look at whether it runs
 *   npx tsx bench/relay.ts --only ours,socat
 *
 * This process is the guest and the client at once; the client counts raw bytes, so that it costs as little as
 * possible. Rounds take turns, and the median counts; they are long, for what compiling costs would be counted with them. The goals: 0.35 CPU-seconds down at 64 KiB and at 1.4 KiB, 1.1 up
 * at 1 KiB frames, at most 0.6, 0.6 and 1.5; through an agent at most three times that.
 */
import type { Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { clientFrame } from '@gatehouse/console-proxy/websocket/client-frame';
import { RELAYS, Relays, type RelayName } from './relays.ts';

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
/** Of a load's volume, for those that cost ten times as much; socat would count frames as bytes. */
const SLOW: Partial<Record<RelayName, number>> = { websockify: 0.1, nova: 0.1 };

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
  return new Promise((resolve, reject) => {
    let seen = 0;
    socket.on('data', (piece: Buffer) => {
      seen += piece.length;
      if (seen >= bytes) resolve();
    });
    socket.on('close', () => reject(new Error(`closed after ${seen} of ${bytes} bytes`)));
    socket.resume();
  });
}

/** CPU-seconds per GB of payload. */
async function relayed(relays: Relays, name: RelayName, load: Load, bytes: number): Promise<number> {
  const { client, guest } = await relays.open(name);
  const [source, sink] = load.direction === 'down' ? [guest, client] : [client, guest];
  const payload = Buffer.alloc(load.pieceBytes, 7);
  const piece = load.direction === 'down' || name === 'socat' ? payload : clientFrame({ opcode: 2, payload });
  const count = Math.ceil(bytes / load.pieceBytes);
  const before = relays.cpuSeconds(name);
  const all = arrived(sink, count * load.pieceBytes);
  pour(source, piece, count);
  await all;
  const spent = relays.cpuSeconds(name) - before;
  for (const socket of [client, guest]) socket.removeAllListeners('close').destroy();
  await new Promise((resolve) => setTimeout(resolve, 50));
  return spent / ((count * load.pieceBytes) / 1e9);
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { quick: { type: 'boolean', default: false }, only: { type: 'string' } } });
const [megabytes = values.quick ? 20 : 2_000, rounds = values.quick ? 1 : 3] = positionals.map(Number);
const relays = await Relays.start(RELAYS.filter((name) => values.only === undefined || values.only.split(',').includes(name)));
const line = (name: string, cells: readonly string[]): void => console.log(name.padEnd(22), ...cells.map((cell) => cell.padStart(14)));
line('CPU-seconds per GB', relays.names);
for (const load of LOADS) {
  const figures = new Map<RelayName, number[]>(relays.names.map((name) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    for (const [name, seen] of figures) {
      const bytes = megabytes * 1e6 * load.share * (SLOW[name] ?? 1);
      // The first round is for the compilers.
      const figure = await relayed(relays, name, load, round < 0 ? bytes / 4 : bytes);
      if (round >= 0) seen.push(figure);
    }
  }
  const ours = median([...figures.values()][0]!);
  line(load.name, [...figures.values()].map((seen) => `${median(seen).toFixed(2)} (${(median(seen) / ours).toFixed(2)})`));
}
console.log('In brackets: beside the first.');
relays.stop();
process.exit();
