/** What we declare, beside what oslo.messaging declares with the same options; and what the broker makes of it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { startOwnRabbitmq } from '../../../test/servers/rabbitmq.ts';
import type { OwnRabbitmq } from '../../../test/servers/rabbitmq.ts';
import { createAmqpTransport } from './amqp-transport.ts';
import type { AmqpTransportOptions } from './amqp-transport.ts';
import { createClient } from './client.ts';
import { newNotes, probe, probeHandlers, refusal, until } from './conformance.ts';
import { newContext } from './context.ts';
import { sentMethods } from './fixtures/amqp-frames.ts';
import type { SentMethod } from './fixtures/amqp-frames.ts';
import { rawChannel, startRelay } from './fixtures/broker.ts';
import { serve } from './server.ts';
import { SILENT } from './transport.ts';

interface Recording {
  readonly variants: Readonly<Record<string, { readonly frames: readonly (SentMethod & { readonly conn: string })[] }>>;
}

const recording = JSON.parse(readFileSync(new URL('../test-vectors/10-topologies.json', import.meta.url), 'utf8')) as Recording;

type Declared = Pick<AmqpTransportOptions, 'queues' | 'deliveryLimit'>;
const SAME_OPTIONS: readonly (readonly [string, Declared])[] = [
  ['default', {}],
  ['amqp_durable_queues', { queues: 'durable' }],
  ['rabbit_quorum_queue', { queues: 'quorum', deliveryLimit: 5 }],
];

describe('queues and exchanges', function () {
  this.timeout(120_000);
  let broker: OwnRabbitmq;

  before(async () => {
    broker = await startOwnRabbitmq();
  });

  after(() => broker.stop());

  it('that others declared otherwise are one clear line of the log, and served as soon as they fit', async () => {
    const { channel, close } = await rawChannel(broker);
    await channel.assertQueue('probe', { durable: true });
    const lines: string[] = [];
    const keep = (facts: object, message: string): void => void lines.push(`${message} ${JSON.stringify(facts)}`);
    const transport = createAmqpTransport({ url: broker.url, exchange: 'other', connectionName: 'other', log: { ...SILENT, warn: keep, error: keep } });
    const relayed = serve(probe, transport, { server: 'a', handlers: probeHandlers('a', newNotes()) });
    await until(() => lines.length > 0);
    await sleep(3_000);
    assert.equal(lines.length, 1, lines.join('\n'));
    assert.match(lines[0] ?? '', /GATEHOUSE_RPC_QUEUES.*delete it.*inequivalent arg 'durable' for queue 'probe'/);
    await channel.deleteQueue('probe');
    const server = await relayed;
    await channel.assertExchange('fixed', 'topic', { durable: true });
    const misled = createAmqpTransport({ url: broker.url, exchange: 'fixed', connectionName: 'misled', log: { ...SILENT, warn: keep, error: keep } });
    await assert.rejects(createClient(probe, misled, { retries: 0 }).who({}, newContext()), refusal('UNAVAILABLE', /GATEHOUSE_RPC_QUEUES/));
    await assert.rejects(createClient(probe, misled).note({ text: 'x' }, newContext()), refusal('UNAVAILABLE', /GATEHOUSE_RPC_QUEUES/));
    await server.drain(100);
    await channel.assertExchange('apart_fanout', 'fanout', { durable: true });
    const apart = { kind: 'fanout', topic: 'apart', message: { method: 'm', args: {}, namespace: null, version: null, context: {} } } as const;
    await assert.rejects(transport.request({ ...apart, deadline: Date.now() + 30_000 }), refusal('UNAVAILABLE', /rabbit_transient_quorum_queue.*another virtual host/));
    await Promise.all([transport.close(), misled.close(), close()]);
  });

  for (const [variant, options] of SAME_OPTIONS) {
    it(`are declared as oslo declares them: ${variant}`, async () => {
      const relay = await startRelay(broker.url);
      const topic = `topo-${variant}`;
      const transport = createAmqpTransport({ url: relay.url, exchange: `ex-${variant}`, connectionName: 'host1', ...options });
      const listening = await transport.listen({ topic, server: 'host1', requestsMax: 10, handle: async () => ({ result: 1, failure: null }) });
      const message = { method: 'm', args: {}, namespace: null, version: null, context: {} };
      await transport.request({ kind: 'call', topic, message, deadline: Date.now() + 30_000 });
      const fanout = await transport.request({ kind: 'fanout', topic, message, deadline: Date.now() + 30_000 });
      assert.equal(fanout, null);
      await listening.close();
      await transport.close();
      relay.close();

      const theirs = recording.variants[variant]?.frames ?? [];
      const ours = sentMethods(Buffer.concat(relay.sent[0] ?? []));
      assert.deepEqual(sharedBy(ours, topic), sharedBy(theirs, topic));
      // Fanout and reply queues are nobody else's: ours leave with their connection, or soon after.
      const [ourOwn, theirOwn] = [ours, theirs].map((all) => ownQueues(all, topic));
      assert.deepEqual(ourOwn?.map(({ queue, durable }) => [kindOf(queue), durable]).toSorted(), theirOwn?.map(({ queue, durable }) => [kindOf(queue), durable]).toSorted());
    });
  }

  it('of quorum carry calls, casts and fanouts, and a cast outlives the broker', async () => {
    const seen = newNotes();
    const open = (connectionName: string) => createAmqpTransport({ url: broker.url, exchange: 'quorum', connectionName, queues: 'quorum' });
    const [asking, answering] = [open('asking'), open('answering')];
    const { channel, close } = await rawChannel(broker);
    await channel.deleteQueue('probe');
    await channel.deleteQueue('probe.a');
    await close();
    const server = await serve(probe, answering, { server: 'a', handlers: probeHandlers('a', seen) });
    const client = createClient(probe, asking);
    assert.equal(await client.echo({ value: 1 }, newContext()), 1);
    await client.announce({ text: 'all' }, newContext());
    await until(() => seen.announcements.length === 1);
    await server.drain();
    await client.note({ text: 'kept' }, newContext());
    await broker.restart();
    const next = await serve(probe, answering, { server: 'a', handlers: probeHandlers('a', seen) });
    await until(() => seen.notes.includes('a: kept'));
    await next.drain();
    await Promise.all([asking.close(), answering.close()]);
  });
});

/** The declarations that a Python service of the same topic makes as well, in their order. */
function sharedBy(methods: readonly SentMethod[], topic: string): unknown[] {
  const shared = methods.flatMap(({ method, args }) => {
    const { exchange, queue, type, durable, auto_delete: autoDelete, exclusive, arguments: table, routing_key: key } = args;
    if (method === 'exchange.declare') return [[method, exchange, type, durable, autoDelete, table]];
    const isShared = queue === topic || queue === `${topic}.host1`;
    if (method === 'queue.declare' && isShared) return [[method, queue, durable, autoDelete, exclusive, table]];
    return method === 'queue.bind' && isShared ? [[method, queue, exchange, key, table]] : [];
  });
  // Their client declares on other connections, in an order of its own.
  return [...new Set(shared.map((each) => JSON.stringify(each)))];
}

function ownQueues(methods: readonly SentMethod[], topic: string): { queue: string; durable: unknown }[] {
  const declared = methods.filter(({ method, args }) => method === 'queue.declare' && args['queue'] !== topic && args['queue'] !== `${topic}.host1`);
  return declared.map(({ args }) => ({ queue: String(args['queue']), durable: args['durable'] }));
}

function kindOf(queue: string): string {
  return queue.replace(/[0-9a-f]{32}$/, '');
}
