/**
 * What our objects cost beside oslo.versionedobjects', in one run, on the same ConsoleConnection.
 *
 *   npx tsx bench/objects.ts [seconds a round, 1] [rounds, 5]
 *
 * Python runs as one process of its own and both sides time themselves; rounds take turns, so that a busy machine slows
 * both alike, and the median of the rounds counts. A read makes a checked object of a parsed primitive, a JSON text is
 * made of an object. The goals: 15 times oslo's primitives and reads, 8 times its JSON texts.
 */
import { fileURLToPath } from 'node:url';
import { ConsoleConnection } from '@gatehouse/objects/console-connection';
import { startPythonLines } from '../test/servers/python-lines.ts';

const [seconds = 1, rounds = 5] = process.argv.slice(2).map(Number);

const connection = ConsoleConnection.make({
  instanceUuid: '5d12a4b7-6b1c-4a37-9f2e-0d5d0f1c2b3a',
  host: 'compute-0017.example.org',
  port: 5900,
  consoleType: 'novnc',
  tokenHash: 'a'.repeat(64),
  accessUrl: `https://console.example.org/vnc#token=${'t'.repeat(43)}`,
  options: { transport: 'attach' },
  expires: new Date('2026-07-01T12:00:00Z'),
});
const primitive = ConsoleConnection.toPrimitive(connection);
const text = JSON.stringify(primitive);

interface Work {
  readonly name: string;
  /** How many times oslo's; null: measured for its own sake. */
  readonly goal: number | null;
  run(): unknown;
}

const works: readonly Work[] = [
  { name: 'primitives', goal: 15, run: () => ConsoleConnection.toPrimitive(connection) },
  { name: 'JSON texts', goal: 8, run: () => JSON.stringify(ConsoleConnection.toPrimitive(connection)) },
  { name: 'reads', goal: 15, run: () => ConsoleConnection.fromPrimitive(primitive) },
  { name: 'reads of JSON texts', goal: null, run: () => ConsoleConnection.fromPrimitive(JSON.parse(text)) },
];

interface Round {
  readonly count: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

let kept: unknown;

function measure(work: Work): Round {
  const cpu = process.cpuUsage();
  const started = performance.now();
  const end = started + seconds * 1_000;
  let count = 0;
  let now = started;
  while (now < end) {
    // Kept, so that the work cannot be optimised away.
    for (let i = 0; i < 100; i++) kept = work.run();
    count += 100;
    now = performance.now();
  }
  const { user, system } = process.cpuUsage(cpu);
  return { count, seconds: (now - started) / 1_000, cpuSeconds: (user + system) / 1e6 };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

const rate = (all: readonly Round[]): number => median(all.map((each) => each.count / each.seconds));
const cpuUs = (all: readonly Round[]): number => median(all.map((each) => (each.cpuSeconds * 1e6) / each.count));

function print({ name, goal }: Work, ours: readonly Round[], oslo: readonly Round[]): void {
  const times = rate(ours) / rate(oslo);
  const columns = [
    `ours ${Math.round(rate(ours))}/s`,
    `oslo ${Math.round(rate(oslo))}/s`,
    `${times.toFixed(1)} x${goal === null ? '' : ` (goal ${goal} x${times < goal ? ', MISSED' : ''})`}`,
    `CPU ${cpuUs(ours).toFixed(2)} us, oslo ${cpuUs(oslo).toFixed(2)} us (1/${(cpuUs(oslo) / cpuUs(ours)).toFixed(1)})`,
  ];
  process.stdout.write(`${name.padEnd(22)}${columns.map((each) => each.padEnd(24)).join('')}\n`);
}

const python = startPythonLines(fileURLToPath(new URL('oslo_objects.py', import.meta.url)), [text]);
for (const work of works) {
  const [ours, oslo]: [Round[], Round[]] = [[], []];
  measure(work);
  for (let round = 0; round < rounds; round++) {
    ours.push(measure(work));
    oslo.push((await python.ask({ work: work.name, seconds })) as Round);
  }
  print(work, ours, oslo);
}
await python.stop();
if (kept === undefined) throw new Error('nothing was measured');
