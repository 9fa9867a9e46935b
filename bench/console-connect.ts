/**
 * What it costs to open a console through its proxy, from the WebSocket handshake to the first byte of the screen, ours beside others in
 * one run: with the token checked, the session claimed and the guest attached (ours, nova-novncproxy), and with none of
 * that (`ws + net`, websockify).
 *
 *   npx tsx bench/console-connect.ts [--count 600] [--rounds 3] [--in-flight 1,32] [--only ours,websockify] [--profile folder]
 *
 * CPU is user and system time of all processes of a peer, database included and the broker told beside; it is the sturdy figure, rates
 * and milliseconds are those of a machine that does other things too, and of this process, which is all visitors. The visitor is the
 * same for all, and so are the guests, VNC servers that greet: ours are simulated in the agent and counted with it, the others' are of this
 * process. Peers take turns, and of their rounds the median counts. The consoles of a round stay open until all are; between rounds
 * nothing is counted until all are closed and the peer spends nothing any more. Warm: each peer has had rounds until its figure
 * no longer fell (until-steady.ts), at the same number in flight; those figures are printed too, for they say what a cold one costs.
 */
import { parseArgs } from 'node:util';
import { inFlightOf, profiled, quantile, startConsoleHouse, type Run } from './console-house.ts';
import { ourselves, startGuests, startNova, startWebsockify, startWsNet, type Peer } from './console-peers.ts';
import { visit, type Visitor } from './console-visitor.ts';
import { awaitIdle } from './tree-cpu.ts';
import { untilSteady } from './until-steady.ts';

const MACHINES = 50;
const WARM_ROUNDS_MAX = 12;

interface Figures {
  /** Milliseconds a console. */
  readonly cpuMs: number;
  readonly parts: Readonly<Record<string, number>>;
  readonly run: Run;
}

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '600' },
    rounds: { type: 'string', default: '3' },
    'in-flight': { type: 'string', default: '1,32' },
    only: { type: 'string' },
    profile: { type: 'string' },
  },
});
const [count, rounds] = [Number(values.count), Number(values.rounds)];

const house = await startConsoleHouse({ machines: MACHINES, env: profiled(values.profile) });
const guests = await startGuests();
const wanted = (name: string): boolean => values.only?.split(',').includes(name) ?? true;
const starts: Readonly<Record<string, () => Promise<Peer | null>>> = {
  ours: () => Promise.resolve(ourselves(house)),
  'ws + net': () => startWsNet(guests),
  websockify: () => startWebsockify(guests),
  'nova-novncproxy': () => startNova(house, guests),
};
const peers: Peer[] = [];
try {
  for (const [name, start] of Object.entries(starts)) {
    const peer = wanted(name) ? await start() : null;
    if (peer !== null) peers.push(peer);
  }
  for (const inFlight of values['in-flight'].split(',').map(Number)) await beside(inFlight);
} finally {
  for (const peer of peers) await peer.stop();
  guests.close();
  await house.stop();
}

async function beside(inFlight: number): Promise<void> {
  console.log(`\n${inFlight} in flight`);
  for (const peer of peers) {
    const cold = await untilSteady(async () => (await roundOf(peer, inFlight)).cpuMs, WARM_ROUNDS_MAX);
    console.log(`  ${peer.name.padEnd(16)} before it was warm: ${cold.map((ms) => ms.toFixed(2)).join(', ')} ms of CPU, ${Math.min(count, peer.consolesMax)} consoles each`);
  }
  const all = new Map<Peer, Figures[]>(peers.map((peer) => [peer, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [peer, figures] of all) figures.push(await roundOf(peer, inFlight));
  }
  let ours: number | null = null;
  for (const [peer, figures] of all) {
    const median = figures.toSorted((a, b) => a.cpuMs - b.cpuMs)[Math.floor((figures.length - 1) / 2)] as Figures;
    ours ??= median.cpuMs;
    print(peer.name, median, ours, figures.flatMap(({ run }) => run.failures));
  }
}

async function roundOf(peer: Peer, inFlight: number): Promise<Figures> {
  const spent = (): number => Object.values(peer.cpu()).reduce((sum, ms) => sum + ms, 0);
  const links = await peer.links(Math.min(count, peer.consolesMax));
  await awaitIdle(spent);
  const visitors: Visitor[] = [];
  const before = peer.cpu();
  const run = await inFlightOf(links, inFlight, async (link) => void visitors.push(await visit(link)));
  const after = peer.cpu();
  await Promise.all(visitors.map((visitor) => visitor.leave()));
  await peer.released();
  await awaitIdle(spent);
  const parts = Object.fromEntries(Object.entries(after).map(([part, ms]) => [part, (ms - (before[part] ?? 0)) / links.length]));
  return { cpuMs: Object.entries(parts).reduce((sum, [part, ms]) => (part === 'broker' ? sum : sum + ms), 0), parts, run };
}

function print(name: string, { cpuMs, parts, run }: Figures, ours: number, failures: readonly string[]): void {
  const cells = [`${cpuMs.toFixed(2)} ms of CPU`, `${(cpuMs / ours).toFixed(2)} of ours`, `${(run.times.length / run.seconds).toFixed(0)}/s`,
    `p50 ${quantile(run.times, 0.5).toFixed(1)} ms`, `p95 ${quantile(run.times, 0.95).toFixed(1)} ms`, `${failures.length} lost`];
  console.log(`  ${name.padEnd(16)}${cells.map((cell) => cell.padStart(17)).join('')}${failures[0] === undefined ? '' : `: ${failures[0]}`}`);
  console.log(`                     ${Object.entries(parts).map(([part, ms]) => `${part} ${ms.toFixed(2)}`).join(', ')}`);
}
