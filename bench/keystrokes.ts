/**
 * What a keystroke costs while many type: each of 200 consoles ten a second, echoed by its guest. CPU of all of a relay's
 * processes for one round trip, and how long it took, ours beside others in one run.
 *
 *   npx tsx bench/keystrokes.ts [consoles, 200] [seconds, 8]      or --quick
 *   npx tsx bench/keystrokes.ts --only 'ours,ws + net'
 *
 * The goals: at most 60 us of CPU, p99 at most 5 ms on a machine that does nothing else.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { clientFrame } from '@gatehouse/console-proxy/websocket/client-frame';
import { Relays, type RelayName } from './relays.ts';

const EVERY_MS = 100;
const KEY = clientFrame({ opcode: 2, payload: 'k'.repeat(8) });

async function typed(relays: Relays, name: RelayName, consoles: number, seconds: number): Promise<{ readonly us: number; readonly p50: number; readonly p99: number }> {
  const times: number[] = [];
  const open = [];
  for (let i = 0; i < consoles; i++) {
    const { client, guest } = await relays.open(name);
    const state = { sentAt: 0 };
    guest.on('data', (bytes) => guest.write(bytes)).resume();
    client.on('data', () => times.push(performance.now() - state.sentAt)).resume();
    open.push({ client, guest, state });
  }
  await pause(500);
  times.length = 0;
  const before = relays.cpuSeconds(name);
  const typists = open.map(async ({ client, state }, i) => {
    await pause((i * EVERY_MS) / consoles);
    for (let left = seconds * (1_000 / EVERY_MS); left > 0; left--) {
      state.sentAt = performance.now();
      client.write(KEY);
      await pause(EVERY_MS);
    }
  });
  await Promise.all(typists);
  await pause(200);
  const spent = relays.cpuSeconds(name) - before;
  for (const { client, guest } of open) for (const socket of [client, guest]) socket.destroy();
  await pause(200);
  const sorted = times.toSorted((a, b) => a - b);
  return { us: (spent / sorted.length) * 1e6, p50: sorted[Math.floor(sorted.length * 0.5)]!, p99: sorted[Math.floor(sorted.length * 0.99)]! };
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { quick: { type: 'boolean', default: false }, only: { type: 'string' } } });
const [consoles = values.quick ? 20 : 200, seconds = values.quick ? 1 : 8] = positionals.map(Number);
// Nova's proxy takes 30 MB and seconds for each of 200 processes: it is measured by hand.
const names = (['ours', 'ours + agent', 'ws + net', 'websockify', 'socat'] as const).filter((name) => values.only === undefined || values.only.split(',').includes(name));
const relays = await Relays.start(names);
console.log(`${consoles} consoles, ${1_000 / EVERY_MS} keystrokes a second each`);
let first = 0;
for (const name of relays.names) {
  await typed(relays, name, Math.min(consoles, 20), 1);
  const { us, p50, p99 } = await typed(relays, name, consoles, seconds);
  first ||= us;
  console.log(`${name.padEnd(14)} ${us.toFixed(0).padStart(5)} us of CPU (${(us / first).toFixed(2)} of ours)   p50 ${p50.toFixed(2)} ms   p99 ${p99.toFixed(2)} ms`);
}
relays.stop();
process.exit();
