/**
 * What a console costs while nobody uses it: memory of all of a relay's processes, and CPU, ours beside others in one run.
 *
 *   npx tsx bench/idle-consoles.ts [consoles, 5000]      or --quick
 *   npx tsx bench/idle-consoles.ts --only 'ours;ours, TLS'
 *
 * The goals: 15 KB (at most 20), 80 where clients come by TLS, and no CPU. websockify runs a process for each connection and is asked for fewer.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Relays, TLS_RELAYS, type RelayName } from './relays.ts';

/** Those open before the counting begins: the first ones find memory that the start has left behind. */
const FLOOR_SHARE = 0.25;
const FEW = 50;
const QUIET_MS = 5_000;

async function idle(relays: Relays, name: RelayName, consoles: number): Promise<{ readonly kb: number; readonly usPerSecond: number }> {
  const grow = async (count: number): Promise<number> => {
    for (let i = 0; i < count; i++) await relays.open(name);
    await pause(500);
    return relays.memoryKb(name);
  };
  const some = await grow(Math.ceil(consoles * FLOOR_SHARE));
  const many = await grow(consoles);
  const before = relays.cpuSeconds(name);
  await pause(QUIET_MS);
  const spent = relays.cpuSeconds(name) - before;
  return { kb: (many - some) / consoles, usPerSecond: (spent / (QUIET_MS / 1_000) / (consoles * (1 + FLOOR_SHARE))) * 1e6 };
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { quick: { type: 'boolean', default: false }, only: { type: 'string' } } });
const [consoles = values.quick ? 100 : 5_000] = positionals.map(Number);
const names = (['ours', 'ours + agent', 'ws + net', 'websockify', ...TLS_RELAYS] as const).filter((name) => values.only === undefined || values.only.split(';').includes(name));
const relays = await Relays.start(names);
for (const name of relays.names) {
  const { kb, usPerSecond } = await idle(relays, name, name.startsWith('websockify') ? Math.min(FEW, consoles) : consoles);
  console.log(`${name.padEnd(16)} ${kb.toFixed(1).padStart(8)} KB   ${usPerSecond.toFixed(1).padStart(6)} us of CPU a second`);
}
relays.stop();
process.exit();
