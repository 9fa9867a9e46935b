/**
 * What a call of ours costs beside a bare amqplib echo and beside Python's oslo.messaging, in one run on one broker.
 *
 *   npx tsx bench/rpc.ts [seconds a round, 1] [rounds, 5]
 *
 * `CPU` is the asking and the answering side together; `with broker` adds what RabbitMQ spent. Ours live in this
 * process on a connection each, oslo's in two processes of Debian's Python. Rounds take turns, so that a busy machine
 * slows all alike; the median of the rounds counts. The goals: an echo of ours within 25 % of the bare one; a call with
 * a ConsoleConnection in and out at 8 times oslo's calls a second and a twelfth of its CPU; p50 of one call at most
 * 0.4 ms.
 */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { connect } from 'amqplib';
import type { ConsumeMessage } from 'amqplib';
import { ConsoleConnection } from '@gatehouse/objects/console-connection';
import { object, string } from '@gatehouse/objects/fields';
import { createAmqpTransport } from '@gatehouse/rpc/amqp-transport';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { defineContract, method } from '@gatehouse/rpc/contract';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { serve } from '@gatehouse/rpc/server';
import type { Transport } from '@gatehouse/rpc/transport';
import { startOwnRabbitmq } from '../test/servers/rabbitmq.ts';

const [seconds = 1, rounds = 5] = process.argv.slice(2).map(Number);
const IN_FLIGHT = [1, 32];
const BARE = 'bare amqplib echo';
const OSLO = "Python's oslo.messaging, the same";

const contract = defineContract({
  topic: 'bench',
  version: '1.0',
  methods: {
    echo: method({ since: '1.0', args: { text: string() }, result: string() }),
    authorize: method({ since: '1.0', args: { connection: object(ConsoleConnection) }, result: object(ConsoleConnection) }),
  },
});

const connection = ConsoleConnection.make({
  instanceUuid: '5d12a4b7-6b1c-4a37-9f2e-0d5d0f1c2b3a',
  host: 'compute-0017.example.org',
  port: 5900,
  consoleType: 'novnc',
  tokenHash: 'a'.repeat(64),
  accessUrl: `https://console.example.org/vnc#token=${'t'.repeat(43)}`,
  options: { transport: 'attach' },
  expires: new Date(),
});
const TEXT = 'x'.repeat(100);

interface Round {
  readonly calls: number;
  readonly seconds: number;
  /** Both sides together, without the broker. */
  readonly cpuUs: number;
  readonly p50Us: number;
}

interface Subject {
  readonly name: string;
  run(inFlight: number): Promise<Round>;
  close(): Promise<void>;
}

interface Figures {
  readonly callsPerSecond: number;
  readonly cpuUs: number;
  readonly allCpuUs: number;
  readonly p50Us: number;
}

async function bareEcho(url: string): Promise<Subject> {
  const [asking, answering] = await Promise.all([connect(url, { noDelay: true }), connect(url, { noDelay: true })]);
  const serverChannel = await answering.createChannel();
  await serverChannel.assertQueue('bare', { durable: false, autoDelete: true });
  const onRequest = (message: ConsumeMessage | null): void => {
    if (message === null) return;
    const { replyTo, correlationId } = message.properties as { replyTo: string; correlationId: string };
    serverChannel.publish('', replyTo, message.content, { correlationId });
  };
  await serverChannel.consume('bare', onRequest, { noAck: true });
  const channel = await asking.createChannel();
  const pending = new Map<string, (body: Buffer) => void>();
  const onReply = (message: ConsumeMessage | null): void => {
    const id = String(message?.properties.correlationId);
    pending.get(id)?.(message?.content ?? Buffer.alloc(0));
    pending.delete(id);
  };
  await channel.consume('amq.rabbitmq.reply-to', onReply, { noAck: true });
  const body = Buffer.from(JSON.stringify({ text: TEXT }));
  let calls = 0;
  return {
    name: BARE,
    run: inThisProcess(
      () =>
        new Promise((resolve) => {
          const correlationId = String(++calls);
          pending.set(correlationId, resolve);
          channel.publish('', 'bare', body, { correlationId, replyTo: 'amq.rabbitmq.reply-to' });
        }),
    ),
    close: async () => void (await Promise.all([asking.close(), answering.close()])),
  };
}

async function ours(name: string, asking: Transport, answering: Transport): Promise<readonly Subject[]> {
  const server = await serve(contract, answering, {
    server: 'bench',
    handlers: { echo: ({ text }) => text, authorize: (args) => args.connection },
  });
  const client = createClient(contract, asking);
  const close = async (): Promise<void> => {
    await server.drain(1_000);
    await asking.close();
    await answering.close();
  };
  return [
    { name: `${name}, echo`, run: inThisProcess(() => client.echo({ text: TEXT }, newContext())), close },
    { name: `${name}, ConsoleConnection in and out`, run: inThisProcess(() => client.authorize({ connection }, newContext())), close: async () => {} },
  ];
}

/** The same call between two Python processes, as many threads asking as calls are in flight. */
async function oslo(url: string): Promise<Subject> {
  const start = (role: string): Child => spawn('/usr/bin/python3', [fileURLToPath(new URL('oslo_echo.py', import.meta.url)), role, url.replace(/^amqp:/, 'rabbit:')], { stdio: ['pipe', 'pipe', 'ignore'] });
  const [client, server] = [start('client'), start('server')];
  await once(server.stdout, 'data');
  const lines = createInterface({ input: client.stdout });
  const cpuUs = (): number => cpuUsOf(client.pid ?? 0) + cpuUsOf(server.pid ?? 0);
  return {
    name: OSLO,
    run: async (inFlight) => {
      const before = cpuUs();
      client.stdin.write(`${inFlight} ${seconds}\n`);
      const [line] = (await once(lines, 'line')) as [string];
      const { calls, seconds: took, p50_us: p50Us } = JSON.parse(line) as { calls: number; seconds: number; p50_us: number };
      return { calls, seconds: took, cpuUs: cpuUs() - before, p50Us };
    },
    close: async () => {
      for (const child of [client, server]) {
        child.stdin.end();
        await once(child, 'exit');
      }
    },
  };
}

type Child = ChildProcessByStdio<Writable, Readable, null>;

function inThisProcess(call: () => Promise<unknown>): Subject['run'] {
  return async (inFlight) => {
    const latencies: number[] = [];
    const cpu = process.cpuUsage();
    const started = performance.now();
    const end = started + seconds * 1_000;
    const ask = async (): Promise<void> => {
      for (let now = performance.now(); now < end; ) {
        await call();
        const then = now;
        now = performance.now();
        latencies.push(now - then);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, ask));
    const { user, system } = process.cpuUsage(cpu);
    return { calls: latencies.length, seconds: (performance.now() - started) / 1_000, cpuUs: user + system, p50Us: median(latencies) * 1_000 };
  };
}

async function measure(subject: Subject, inFlight: number): Promise<Figures> {
  const brokerBefore = cpuUsOf(brokerPid);
  const { calls, seconds: took, cpuUs, p50Us } = await subject.run(inFlight);
  const brokerUs = cpuUsOf(brokerPid) - brokerBefore;
  return { callsPerSecond: calls / took, cpuUs: cpuUs / calls, allCpuUs: (cpuUs + brokerUs) / calls, p50Us };
}

/** User and system time of a process so far; the kernel counts it in hundredths of a second. */
function cpuUsOf(pid: number): number {
  const [user, system] = (readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1] ?? '').split(' ').slice(11, 13);
  return (Number(user) + Number(system)) * 10_000;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function print(name: string, figures: Figures, bare: Figures): void {
  const ratio = (a: number, b: number): string => `${(a / b).toFixed(2)} x`;
  const columns = [
    `${Math.round(figures.callsPerSecond)}/s`,
    `p50 ${Math.round(figures.p50Us)} us (${ratio(figures.p50Us, bare.p50Us)})`,
    `CPU ${figures.cpuUs.toFixed(0)} us (${ratio(figures.cpuUs, bare.cpuUs)})`,
    `with broker ${figures.allCpuUs.toFixed(0)} us (${ratio(figures.allCpuUs, bare.allCpuUs)})`,
    `time a call ${ratio(bare.callsPerSecond, figures.callsPerSecond)}`,
  ];
  process.stdout.write(`  ${name.padEnd(42)} ${columns.map((each) => each.padEnd(28)).join('')}\n`);
}

const broker = await startOwnRabbitmq();
const brokerPid = Number((await broker.evaluate('list_to_integer(os:getpid())')).trim());
const amqp = (connectionName: string): Transport => createAmqpTransport({ url: broker.url, exchange: 'bench', connectionName });
const memory = createMemoryTransport();
const subjects = [await bareEcho(broker.url), ...(await ours('AMQP', amqp('asking'), amqp('answering'))), ...(await ours('memory', memory, memory)), await oslo(broker.url)];

for (const subject of subjects) await measure(subject, 8);
for (const inFlight of IN_FLIGHT) {
  const all = new Map<string, Figures[]>(subjects.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const subject of subjects) all.get(subject.name)?.push(await measure(subject, inFlight));
  }
  const medians = new Map(
    [...all].map(([name, figures]): [string, Figures] => [
      name,
      {
        callsPerSecond: median(figures.map((each) => each.callsPerSecond)),
        cpuUs: median(figures.map((each) => each.cpuUs)),
        allCpuUs: median(figures.map((each) => each.allCpuUs)),
        p50Us: median(figures.map((each) => each.p50Us)),
      },
    ]),
  );
  const bare = medians.get(BARE);
  if (bare === undefined) throw new Error('the bare echo was not measured');
  process.stdout.write(`${inFlight} in flight (ratios to the bare echo)\n`);
  for (const [name, figures] of medians) print(name, figures, bare);
  const [python, same] = [medians.get(OSLO), medians.get('AMQP, ConsoleConnection in and out')];
  if (python === undefined || same === undefined) throw new Error('a subject was not measured');
  const rate = (same.callsPerSecond / python.callsPerSecond).toFixed(1);
  process.stdout.write(`  a ConsoleConnection in and out, ours to oslo's: ${rate} x the calls a second, 1/${(python.cpuUs / same.cpuUs).toFixed(1)} of the CPU\n`);
}
await Promise.all(subjects.map((subject) => subject.close()));
await broker.stop();
