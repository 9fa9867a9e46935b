/**
 * How soon users see that their consoles were taken away: 1,000 open consoles, and their machines are switched off one after
 * the other. Counted from the request to the close of each WebSocket. The goal: p99 below a second.
 *
 *   npx tsx bench/console-revoke.ts [sessions, 1000] [machines, 10] [tokens of others, 1000]
 */
import { ComputeClient } from '../test/house/compute-client.ts';
import { fillTokens, inFlightOf, quantile, startConsoleHouse } from './console-house.ts';
import { visit } from './console-visitor.ts';
import type { Visitor } from './console-visitor.ts';

const [sessions = 1_000, machines = 10, tokens = 1_000] = process.argv.slice(2).map(Number);
const GOAL_MS = 1_000;
const CLOSED_MS_MAX = 30_000;

// They are all one user's, through one proxy.
const house = await startConsoleHouse({ machines, env: { 'GATEHOUSE_CONSOLE_SESSIONS_PER_USER@consoleauth': '0', 'GATEHOUSE_CONSOLE_SESSIONS_PER_INSTANCE@consoleauth': '0' } });
try {
  await fillTokens(house.cell, tokens);
  const compute = new ComputeClient(house.apiUrl);
  const visitors = new Map<string, Visitor[]>(house.machines.map((id) => [id, []]));
  const places = Array.from({ length: sessions }, (_, index) => house.machines[index % machines] ?? '');
  const opened = await inFlightOf(places, 16, async (id) => void visitors.get(id)?.push(await visit(await compute.consoleUrl(id, 'vnc'))));
  console.log(`${opened.times.length} consoles of ${machines} machines opened in ${opened.seconds.toFixed(1)} s, ${opened.failures.length} did not: ${opened.failures[0] ?? '-'}`);
  const times: number[] = [];
  for (const [id, theirs] of visitors) {
    const began = Date.now();
    await compute.request('POST', `/servers/${id}/action`, { 'os-stop': null });
    const until = began + CLOSED_MS_MAX;
    while (theirs.some(({ closedAt }) => closedAt === null) && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
    times.push(...theirs.map(({ closedAt }) => (closedAt ?? Infinity) - began));
  }
  const p99 = quantile(times, 0.99);
  console.log(`revoked to closed, ${tokens} tokens: p50 ${quantile(times, 0.5)} ms, p99 ${p99} ms (goal ${GOAL_MS}: ${p99 < GOAL_MS ? 'reached' : 'NOT reached'}), most ${quantile(times, 1)} ms`);
} finally {
  await house.stop();
}
