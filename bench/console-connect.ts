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
 * no longer fell (until-steady.ts), at the same number in flight, or one where every connection is a new process, which is never warm;
 * those figures are printed too, for they say what a cold one costs. A link is used again in each round, as its user may.
 */
import { parseArgs } from 'node:util';
import { inFlightOf, profiled, quantile, startConsoleHouse, type Run } from './console-house.ts';
import { ourselves, startGuests, startNova, startWebsockify, startWsNet, type Peer } from './console-peers.ts';
import { visit, type Visitor } from './console-visitor.ts';
import { awaitIdle } from './tree-cpu.ts';
import { untilSteady } from './until-steady.ts';

const MACHINES = 50;
const WARM_ROUNDS_MAX = { compiling: 12, forking: 1 };

interface Figures {
  /** Milliseconds a console that opened; what those that were lost cost is in it. */
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
  const started = await Promise.all(Object.entries(starts).map(([name, start]) => (wanted(name) ? start() : Promise.resolve(null))));
  peers.push(...started.filter((peer) => peer !== null));
  const linksOf = new Map<Peer, readonly string[]>();
  for (const peer of peers) linksOf.set(peer, await peer.links(Math.min(count, peer.consolesMax)));
  for (const inFlight of values['in-flight'].split(',').map(Number)) await beside(linksOf, inFlight);
} finally {
  for (const peer of peers) await peer.stop();
  guests.close();
  await house.stop();
}

async function beside(linksOf: ReadonlyMap<Peer, readonly string[]>, inFlight: number): Promise<void> {
  console.log(`\n${inFlight} in flight`);
  for (const [peer, links] of linksOf) {
    const cold = await untilSteady(async () => (await roundOf(peer, links, inFlight)).cpuMs, peer.forks ? WARM_ROUNDS_MAX.forking : WARM_ROUNDS_MAX.compiling);
    console.log(`  ${peer.name.padEnd(16)} before it was warm: ${cold.map((ms) => ms.toFixed(2)).join(', ')} ms of CPU, ${links.length} consoles each`);
  }
  const all = new Map<Peer, Figures[]>(peers.map((peer) => [peer, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [peer, figures] of all) figures.push(await roundOf(peer, linksOf.get(peer) ?? [], inFlight));
  }
  let first: number | null = null;
  for (const [peer, figures] of all) {
    const median = figures.toSorted((a, b) => a.cpuMs - b.cpuMs)[Math.floor((figures.length - 1) / 2)] as Figures;
    first ??= median.cpuMs;
    print(peer.name, median, first, figures.flatMap(({ run }) => run.failures));
  }
}

async function roundOf(peer: Peer, links: readonly string[], inFlight: number): Promise<Figures> {
  const spent = (): number => Object.values(peer.cpu()).reduce((sum, ms) => sum + ms, 0);
  await awaitIdle(spent);
  const visitors: Visitor[] = [];
  const before = peer.cpu();
  const run = await inFlightOf(links, inFlight, async (link) => void visitors.push(await visit(link)));
  const after = peer.cpu();
  await Promise.all(visitors.map((visitor) => visitor.leave()));
  await peer.released();
  await awaitIdle(spent);
  const parts = Object.fromEntries(Object.entries(after).map(([part, ms]) => [part, (ms - (before[part] ?? 0)) / Math.max(1, run.times.length)]));
  return { cpuMs: Object.entries(parts).reduce((sum, [part, ms]) => (part === 'broker' ? sum : sum + ms), 0), parts, run };
}

function print(name: string, { cpuMs, parts, run }: Figures, first: number, failures: readonly string[]): void {
  const cells = [`${cpuMs.toFixed(2)} ms of CPU`, `${(cpuMs / first).toFixed(2)} of the first`, `${(run.times.length / run.seconds).toFixed(0)}/s`,
    `p50 ${quantile(run.times, 0.5).toFixed(1)} ms`, `p95 ${quantile(run.times, 0.95).toFixed(1)} ms`, `${failures.length} lost`];
  console.log(`  ${name.padEnd(16)}${cells.map((cell) => cell.padStart(19)).join('')}${failures[0] === undefined ? '' : `: ${failures[0]}`}`);
  console.log(`                     ${Object.entries(parts).map(([part, ms]) => `${part} ${ms.toFixed(2)}`).join(', ')}`);
}
