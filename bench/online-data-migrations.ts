/**
 * How fast `gatehouse db online-data-migrations` is, whether that depends on how much there is to move, and what users and
 * guests notice of it.
 *
 *   npx tsx bench/online-data-migrations.ts [--alone 1000,1000000] [--traffic 1000000] [--nova 0] [--quiet-seconds 20] [--pause 20] [--kill-after 0]
 *
 * Sizes are live legacy key pairs over two cells, with a fifth as many instances; each is made anew. `alone`: nothing else goes on.
 * `traffic`: an api and two metadata services answer users and guests, first alone, then while rows move (test/house/key-pair-traffic.ts);
 * afterwards every row is compared. `nova`: before ours, so many rows of other databases by Nova's own removed move, restated
 * (nova_key_pair_move.py; apt-get install python3-sqlalchemy python3-psycopg2). `kill-after`: the command is killed by SIGKILL after so many seconds and run again, over and over.
 * Loads are those of the machine, and say how much else it does.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { buildBundles } from '../test/house/five-processes.ts';
import { startMove } from '../test/house/move-command.ts';
import type { MoveEnd } from '../test/house/move-command.ts';
import { faultsOfMove, NO_CHANGES } from '../test/house/moved-key-pairs.ts';
import { startMovingHouse } from '../test/house/moving-house.ts';
import type { MovingHouse } from '../test/house/moving-house.ts';
import { serverLoop } from '../test/house/server-traffic.ts';
import { TrafficRecord } from '../test/house/traffic-record.ts';
import { startOwnPostgresql } from '../test/servers/postgresql.ts';
import { startOwnRabbitmq } from '../test/servers/rabbitmq.ts';
import { quantile, readCpu } from './console-house.ts';

const { values } = parseArgs({
  options: {
    alone: { type: 'string', default: '1000,1000000' },
    traffic: { type: 'string', default: '1000000' },
    nova: { type: 'string', default: '0' },
    'quiet-seconds': { type: 'string', default: '20' },
    pause: { type: 'string', default: '20' },
    'kill-after': { type: 'string', default: '0' },
  },
});
const sizes = (text: string): readonly number[] => text.split(',').filter((word) => word !== '').map(Number);
const GOAL_ROWS_A_SECOND = 5_000;
const GUEST_LOOPS = 4;
const READS = ['show', 'list', 'count', 'metadata'] as const;
const MS_A_TICK = 10;
const PYTHON = '/usr/bin/python3';
const NOVA_SCRIPT = fileURLToPath(new URL('nova_key_pair_move.py', import.meta.url));
/** Until everything has been asked for and is compiled. */
const WARMING_UP_MS = 15_000;

/** What one migration of a run did. */
interface Stretch {
  readonly rows: number;
  readonly seconds: number;
  readonly cpuMs: Cpu;
}

interface Cpu {
  readonly command: number;
  readonly database: number;
}

const NO_CPU: Cpu = { command: 0, database: 0 };

interface Moved {
  readonly ends: readonly MoveEnd[];
  readonly stretches: ReadonlyMap<string, Stretch>;
  readonly cpuMs: Cpu;
}

const [postgresql] = await Promise.all([startOwnPostgresql(), buildBundles()]);
try {
  if (Number(values.nova) > 0) await novaAlone(Number(values.nova));
  const perRow = new Map<number, number>();
  for (const rows of sizes(values.alone)) perRow.set(rows, await alone(rows));
  const [first, last] = [[...perRow][0], [...perRow].at(-1)];
  if (first !== undefined && last !== undefined && perRow.size > 1) {
    console.log(`CPU a row among ${last[0]} against that among ${first[0]}: ${(last[1] / first[1]).toFixed(2)} x`);
  }
  for (const rows of sizes(values.traffic)) await besideTraffic(rows);
} finally {
  await postgresql.stop();
}

/** @returns CPU milliseconds a row */
async function alone(rows: number): Promise<number> {
  const house = await startMovingHouse(postgresql, sizeOf(rows));
  try {
    console.log(`${rows} key pairs and ${rows / 5} instances in two cells, alone (load ${load()})`);
    const cpu = report(await moveAll(house, 0), await moveAll(house, 0));
    tell('wrong afterwards', await faultsOfMove(house.deployment, NO_CHANGES));
    return cpu;
  } finally {
    await house.stop();
  }
}

/** One cell, as Nova's moves one; what it does with rows that cannot move is not asked of it. */
async function novaAlone(rows: number): Promise<void> {
  const house = await startMovingHouse(postgresql, sizeOf(4 * rows));
  try {
    console.log(`${rows} key pairs of one cell by Nova's removed move, restated, alone (load ${load()})`);
    const { apiDatabaseUrl, cellDatabaseUrls: [cellUrl = ''] } = house.command;
    const before = readCpu().database;
    const { stdout } = await promisify(execFile)(PYTHON, [NOVA_SCRIPT, apiDatabaseUrl, cellUrl, String(rows)]);
    const ended = JSON.parse(stdout) as { readonly rows: number; readonly seconds: number; readonly cpuMs: number };
    console.log(`    ${rowsText(ended.rows, ended.seconds)}; CPU a row: ${cpuText({ command: ended.cpuMs, database: readCpu().database - before }, ended.rows)}`);
  } finally {
    await house.stop();
  }
}

async function besideTraffic(rows: number): Promise<void> {
  const rabbitmq = await startOwnRabbitmq();
  const house = await startMovingHouse(postgresql, sizeOf(rows));
  const record = new TrafficRecord(Number(values.pause));
  try {
    const serving = await house.serve(rabbitmq.url);
    const { users, guests } = await serving.trafficOf(record);
    record.label('warming up');
    record.start([...users.loops(), ...guests.loops(GUEST_LOOPS), serverLoop(serving, users, guests)]);
    await sleep(WARMING_UP_MS);
    console.log(`${rows} key pairs and ${rows / 5} instances in two cells, beside traffic (load ${load()})`);
    record.label('quiet');
    await sleep(Number(values['quiet-seconds']) * 1_000);
    record.label('moving');
    report(await moveAll(house, Number(values['kill-after'])), null);
    record.label('after');
    await sleep(1_000);
    await record.stop();
    for (const read of READS) {
      const [quiet, moving] = [record.timesOf('quiet', read), record.timesOf('moving', read)];
      const words = ([quiet, moving] as const).map((times) => `p50 ${quantile(times, 0.5).toFixed(1)}, p99 ${quantile(times, 0.99).toFixed(1)} ms (${times.length})`);
      console.log(`    ${read}: quiet ${words[0]}; while rows move ${words[1]}`);
    }
    console.log(`    done: ${Object.entries(users.done).map(([what, times]) => `${times} ${what}`).join(', ')}, ${guests.reads} guests read; load ${load()}`);
    tell('failed', record.failures);
    await users.checkAll();
    await guests.checkAll();
    tell('wrong afterwards', await faultsOfMove(house.deployment, users.changes()));
  } finally {
    await record.stop();
    await house.stop();
    await rabbitmq.stop();
  }
}

/** Until the command ends by itself. */
async function moveAll(house: MovingHouse, killAfterSeconds: number): Promise<Moved> {
  const ends: MoveEnd[] = [];
  const stretches = new Map<string, Stretch>();
  const before = { command: childrenCpuMs(), database: readCpu().database };
  for (;;) {
    let since = performance.now();
    let current = { name: '', cpuMs: NO_CPU };
    /** The lines are of another migration now, or of none. */
    const turn = (name: string): void => {
      const cpuMs = { command: cpuMsOf(run.pid), database: readCpu().database };
      const stretch = stretches.get(current.name);
      if (stretch !== undefined) stretches.set(current.name, { ...stretch, cpuMs: more(stretch.cpuMs, less(cpuMs, current.cpuMs)) });
      current = { name, cpuMs };
    };
    const run = startMove(house.command, [], (line) => {
      const now = performance.now();
      if (line.startsWith('Running')) since = now;
      if (line.startsWith('Running') || (line.startsWith('+') && current.name !== '')) turn('');
      const [, name, done] = /^\d+ rows matched query (\w+), (\d+) migrated$/.exec(line) ?? [];
      if (name === undefined) return;
      if (current.name === '') current = { ...current, name };
      if (current.name !== name) turn(name);
      const { rows, seconds, cpuMs } = stretches.get(name) ?? { rows: 0, seconds: 0, cpuMs: NO_CPU };
      stretches.set(name, { rows: rows + Number(done), seconds: seconds + (now - since) / 1_000, cpuMs });
      since = now;
    });
    const timer = killAfterSeconds > 0 ? setTimeout(() => void run.kill(), killAfterSeconds * 1_000) : undefined;
    const end = await run.ended;
    clearTimeout(timer);
    ends.push(end);
    if (end.code !== null) break;
  }
  return { ends, stretches, cpuMs: less({ command: childrenCpuMs(), database: readCpu().database }, before) };
}

/** `idle`: a run that found nothing to move, whose cost is that of starting. @returns CPU milliseconds a row */
function report({ ends, stretches, cpuMs }: Moved, idle: Moved | null): number {
  let all = 0;
  for (const [name, { rows, seconds, cpuMs: spent }] of stretches) {
    const goal = `goal ${GOAL_ROWS_A_SECOND}: ${rows / seconds >= GOAL_ROWS_A_SECOND ? 'reached' : 'NOT reached'}`;
    all += rows;
    console.log(`    ${name}: ${rowsText(rows, seconds)} (${goal}); CPU a row: ${cpuText(spent, rows)}`);
  }
  const seconds = ends.reduce((sum, end) => sum + end.seconds, 0);
  const [command, database] = [(cpuMs.command - (idle?.cpuMs.command ?? 0)) / all, (cpuMs.database - (idle?.cpuMs.database ?? 0)) / all];
  const besides = idle === null ? 'starts and users included' : `without starting, which takes ${idle.cpuMs.command} ms`;
  console.log(`    ${ends.length} runs, ${seconds.toFixed(1)} s with their starts; CPU a row: command ${command.toFixed(3)}, database ${database.toFixed(3)} ms, ${besides}`);
  const last = ends.at(-1);
  // Some rows are set aside.
  if (last?.code !== 2) tell(`ended with ${last?.code}`, [last?.stderr ?? '']);
  return command + database;
}

function tell(what: string, faults: readonly string[]): void {
  console.log(faults.length === 0 ? `    nothing ${what}` : `    ${what}: ${faults.join('\n      ')}`);
  if (faults.length > 0) process.exitCode = 1;
}

function sizeOf(rows: number): { readonly rows: number; readonly instances: number; readonly bad: number } {
  return { rows, instances: rows / 5, bad: rows < 10_000 ? 2 : 50 };
}

function load(): string {
  return (loadavg()[0] ?? NaN).toFixed(1);
}

function rowsText(rows: number, seconds: number): string {
  return `${rows} rows, ${(rows / seconds).toFixed(0)} a second`;
}

function cpuText({ command, database }: Cpu, rows: number): string {
  return `command ${(command / rows).toFixed(3)}, database ${(database / rows).toFixed(3)} ms`;
}

function more(one: Cpu, other: Cpu): Cpu {
  return { command: one.command + other.command, database: one.database + other.database };
}

function less(one: Cpu, other: Cpu): Cpu {
  return { command: one.command - other.command, database: one.database - other.database };
}

/** Of this process's children that have ended: the command, and nothing else ends meanwhile. */
function childrenCpuMs(): number {
  return ticksOf('self', 13);
}

/** Of one that runs. */
function cpuMsOf(pid: number): number {
  return ticksOf(String(pid), 11);
}

/** Two numbers of /proc/<pid>/stat, the user's and the system's, counted behind the command's name. */
function ticksOf(pid: string, first: number): number {
  const fields = (readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1] ?? '').split(' ');
  return (Number(fields[first]) + Number(fields[first + 1])) * MS_A_TICK;
}
