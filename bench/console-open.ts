/**
 * What it costs to open a console, beside the goals: the mint of a link (POST remote-consoles), the check and claim of its
 * token (consoleauth's `connect`, asked by this process as a proxy would), and the whole way of a user through the proxy
 * to the first byte of the screen.
 *
 *   npx tsx bench/console-open.ts [--count 600] [--rounds 3] [--tokens 1000,1000000] [--in-flight 1,32] [--profile folder]
 *
 * CPU is user and system time of all processes of each part, PostgreSQL's backends included; it is the sturdy figure, rates
 * and milliseconds are those of a machine that does other things too. The consoles of a round stay open until all are, and no step
 * begins before the house is idle, so that closing them is not counted. What is counted is warm: rounds go before until their
 * figure no longer falls (until-steady.ts). Links are spread over 50 machines and 25 users. Beside others: console-connect.ts.
 * `--profile` has each service write a CPU profile into that folder when it stops. With several numbers of `--tokens` (unexpired ones of other machines) the last line says what growth costs: it must not.
 */
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { createAmqpTransport } from '@gatehouse/rpc/amqp-transport';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { BROKER_EXCHANGE, cpuPerCall, describeParts, fillTokens, inFlightOf, PARTS, profiled, quantile, startConsoleHouse } from './console-house.ts';
import type { Cpu, Part, Run } from './console-house.ts';
import { visit } from './console-visitor.ts';
import type { Visitor } from './console-visitor.ts';
import { awaitIdle } from './tree-cpu.ts';
import { untilSteady } from './until-steady.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '600' },
    rounds: { type: 'string', default: '3' },
    tokens: { type: 'string', default: '1000,1000000' },
    'in-flight': { type: 'string', default: '1,32' },
    profile: { type: 'string' },
  },
});
const [count, rounds] = [Number(values.count), Number(values.rounds)];
const [tokenCounts, inFlights] = [values.tokens, values['in-flight']].map((list) => list.split(',').map(Number)) as [number[], number[]];
const MACHINES = 50;
const WARM_ROUNDS_MAX = 12;
/** CPU milliseconds a call; p95 in milliseconds; calls a second. */
const GOALS = { mint: { cpu: 3.5 }, claim: { cpu: 1.5 }, connect: { cpu: 2.5, p95: 50, rate: 400 } };
type Step = keyof typeof GOALS;
const COUNTED: Readonly<Record<Step, readonly Part[]>> = {
  mint: PARTS,
  claim: ['consoleauth', 'database'],
  connect: ['console-proxy', 'consoleauth', 'compute-agent', 'database'],
};

interface Figures {
  readonly cpuMs: number;
  readonly parts: string;
  readonly run: Run;
}

const house = await startConsoleHouse({ machines: MACHINES, env: profiled(values.profile) });
const transport = createAmqpTransport({ url: house.brokerUrl, exchange: BROKER_EXCHANGE, connectionName: 'bench' });
const auth = createClient(consoleauth, transport);

try {
  const cold = await untilSteady(async () => Object.values(await roundOf(Math.max(...inFlights))).reduce((sum, { cpuMs }) => sum + cpuMs, 0), WARM_ROUNDS_MAX);
  console.log(`mint, claim and connect before they were warm: ${cold.map((ms) => ms.toFixed(2)).join(', ')} ms of CPU`);
  const cpuOf = new Map<Step, number[]>();
  for (const tokens of tokenCounts) {
    await fillTokens(house.cell, tokens);
    for (const inFlight of inFlights) {
      const all: Record<Step, Figures>[] = [];
      for (let round = 0; round < rounds; round += 1) all.push(await roundOf(inFlight));
      for (const step of Object.keys(GOALS) as Step[]) {
        const figures = medianOf(all.map((each) => each[step]));
        print(`${step}, ${tokens} tokens, ${inFlight} in flight`, figures, GOALS[step], all.flatMap((each) => each[step].run.failures));
        cpuOf.set(step, [...(cpuOf.get(step) ?? []), figures.cpuMs]);
      }
    }
  }
  if (tokenCounts.length > 1) {
    const growth = (all: readonly number[]): number => quantile(inFlights.map((_, index) => (all.at(index - inFlights.length) ?? NaN) / (all[index] ?? NaN)), 0.5);
    console.log(`CPU with ${tokenCounts.at(-1)} tokens beside that with ${tokenCounts[0]}: ${[...cpuOf].map(([step, all]) => `${step} ${growth(all).toFixed(2)} x`).join(', ')}`);
  }
} finally {
  await transport.close();
  await house.stop();
}

/** Links are made, claimed, and then opened: `count` of each. */
async function roundOf(inFlight: number): Promise<Record<Step, Figures>> {
  const urls: string[] = [];
  const mint = await measure('mint', () => inFlightOf(range(count), inFlight, async (index) => void urls.push(await house.mint(index))));
  const claims: string[] = [];
  const claim = await measure('claim', () => inFlightOf(urls, inFlight, async (url) => {
    const sessionId = randomUUID();
    await auth.connect({ sessionId, token: tokenOf(url), proxy: 'bench', clientAddress: '192.0.2.7' }, newContext());
    claims.push(sessionId);
  }));
  await inFlightOf(claims, 8, async (id) => void (await auth.release({ proxy: 'bench', session: { id, claim: id, bytesIn: 0, bytesOut: 0 }, reason: 'client_closed' }, newContext())));
  await awaitIdle(spentMs);
  const visitors: Visitor[] = [];
  const connect = await measure('connect', () => inFlightOf(urls, inFlight, async (url) => void visitors.push(await visit(url))));
  await Promise.all(visitors.map((visitor) => visitor.leave()));
  await house.released();
  await awaitIdle(spentMs);
  return { mint, claim, connect };
}

function spentMs(): number {
  const cpu = house.cpu();
  return PARTS.reduce((sum, part) => sum + cpu[part], 0);
}

async function measure(step: Step, work: () => Promise<Run>): Promise<Figures> {
  const [before, ownBefore] = [house.cpu(), process.cpuUsage()];
  const run = await work();
  const [after, own]: [Cpu, NodeJS.CpuUsage] = [house.cpu(), process.cpuUsage(ownBefore)];
  // Who asks for a claim is a proxy; elsewhere this process is the users.
  const asking = step === 'claim' ? (own.user + own.system) / 1_000 / count : 0;
  const parts = `${step === 'claim' ? `the asking side ${asking.toFixed(2)}, ` : ''}${describeParts(before, after, count)}`;
  return { cpuMs: asking + cpuPerCall(before, after, COUNTED[step], count), parts, run };
}

function tokenOf(url: string): string {
  return new URLSearchParams(new URL(url).hash.slice(1)).get('token') ?? '';
}

function range(length: number): readonly number[] {
  return Array.from({ length }, (_, index) => index);
}

function medianOf(all: readonly Figures[]): Figures {
  const sorted = all.toSorted((a, b) => a.cpuMs - b.cpuMs);
  return sorted[Math.floor((sorted.length - 1) / 2)] as Figures;
}

function print(title: string, { cpuMs, parts, run }: Figures, goal: { readonly cpu: number; readonly p95?: number; readonly rate?: number }, failures: readonly string[]): void {
  const rate = run.times.length / run.seconds;
  const of = (limit: number | undefined): string => (limit === undefined ? '' : ` (goal ${limit})`);
  console.log(`${title}: ${cpuMs.toFixed(2)} ms of CPU (goal ${goal.cpu}: ${cpuMs <= goal.cpu ? 'reached' : 'NOT reached'}); ${rate.toFixed(0)}/s${of(goal.rate)}, ` +
    `p50 ${quantile(run.times, 0.5).toFixed(1)} ms, p95 ${quantile(run.times, 0.95).toFixed(1)} ms${of(goal.p95)}, ${failures.length} lost${failures[0] === undefined ? '' : `: ${failures[0]}`}`);
  console.log(`    ${parts}`);
}
