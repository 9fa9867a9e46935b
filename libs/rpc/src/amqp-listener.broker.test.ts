/** A server on a real broker whose callers, queues or clocks are difficult, and one that drains while the broker acts up. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { startOwnRabbitmq } from '../../../test/servers/rabbitmq.ts';
import type { OwnRabbitmq } from '../../../test/servers/rabbitmq.ts';
import { runFor, runningMsOf } from '../../../test/servers/running-time.ts';
import { createAmqpTransport } from './amqp-transport.ts';
import type { AmqpTransportOptions } from './amqp-transport.ts';
import { createClient } from './client.ts';
import { newNotes, probe, probeHandlers, refusal, until } from './conformance.ts';
import { newContext } from './context.ts';
import { closeConnectionNamed, rawChannel } from './fixtures/broker.ts';
import { serve } from './server.ts';
import { SILENT } from './transport.ts';
import type { RpcLog, Transport } from './transport.ts';

const EXCHANGE = 'listener';
const json = { contentType: 'application/json', contentEncoding: 'utf-8' };

describe('a server on a broker', function () {
  this.timeout(120_000);
  let broker: OwnRabbitmq;
  let opened: Transport[];
  let lines: string[];

  before(async () => {
    broker = await startOwnRabbitmq();
  });

  after(() => broker.stop());

  beforeEach(() => {
    opened = [];
    lines = [];
  });

  afterEach(async () => {
    await Promise.all(opened.map((transport) => transport.close()));
  });

  const open = (connectionName: string, options: Partial<AmqpTransportOptions> = {}): Transport => {
    const keep = (facts: object, message: string): void => void lines.push(`${message} ${JSON.stringify(facts)}`);
    const log: RpcLog = { ...SILENT, info: keep, warn: keep, error: keep };
    const transport = createAmqpTransport({ url: broker.url, exchange: EXCHANGE, connectionName, log, ...options });
    opened.push(transport);
    return transport;
  };

  it('is not held up by callers that are gone: their answers are tried a few times and dropped', async () => {
    const server = await serve(probe, open('server'), { server: 'a', handlers: probeHandlers('a', newNotes()), concurrency: 4 });
    const { channel, close } = await rawChannel(broker);
    for (let i = 0; i < 200; i++) {
      channel.publish(EXCHANGE, 'probe', Buffer.from(JSON.stringify({ method: 'who', _msg_id: `m${i}`, _reply_q: `reply_gone_${i}` })), json);
      await sleep(1);
    }
    const client = createClient(probe, open('client'));
    const ask = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) assert.equal(await client.echo({ value: i }, newContext()), i);
    };
    assert.ok((await runningMsOf(ask)) < 5_000);
    await close();
    const dropped = (): number[] => lines.filter((line) => line.includes('its client is gone')).map((line) => Number(/"answers":(\d+)/.exec(line)?.[1]));
    await until(() => dropped().reduce((sum, each) => sum + each, 0) === 200, 60_000);
    assert.ok(dropped().length < 20, 'no line for each');
    await server.drain();
  });

  it('that is slow refuses what is beyond its bound, and harms no other', async () => {
    const [slow, quick] = [newNotes(), newNotes()];
    const servers = [
      await serve(probe, open('slow'), { server: 'slow', handlers: probeHandlers('slow', slow), concurrency: 2 }),
      await serve(probe, open('quick'), { server: 'quick', handlers: probeHandlers('quick', quick) }),
    ];
    const client = createClient(probe, open('client'));
    const calls = Array.from({ length: 8 }, () => client.wait({ ms: 1_500 }, newContext(), { server: 'slow' }));
    const outcomes = Promise.allSettled(calls);
    await until(() => slow.running === 2);
    const ask = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) assert.equal(await client.who({}, newContext(), { server: 'quick' }), 'quick');
    };
    assert.ok((await runningMsOf(ask)) < 1_000);
    const refused = (await outcomes).flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
    assert.ok(refused.length >= 1 && refused.length <= 4, String(refused.length));
    for (const reason of refused) refusal('RESOURCE_EXHAUSTED', /busy/)(reason);
    assert.equal(slow.runningMax, 2);
    await Promise.all(servers.map((server) => server.drain()));
  });

  it('keeps a request for longer than the broker allows: it is acknowledged early and runs once', async function () {
    this.timeout(120_000);
    await broker.evaluate('application:set_env(rabbit, consumer_timeout, 7000), application:set_env(rabbit, channel_tick_interval, 500)');
    const seen = newNotes();
    const other = newNotes();
    const server = await serve(probe, open('server', { acknowledgeAfterMs: 1_000 }), { server: 'a', handlers: probeHandlers('a', seen) });
    const client = createClient(probe, open('client'), { retries: 0 });
    const call = client.wait({ ms: 9_000 }, newContext());
    await until(() => seen.running === 1);
    const second = await serve(probe, open('second'), { server: 'b', handlers: probeHandlers('b', other) });
    assert.equal(await call, 'waited');
    assert.deepEqual([seen.runningMax, other.runningMax], [1, 0]);
    assert.ok(lines.some((line) => line.includes('acknowledged before their end')));
    assert.ok(!lines.some((line) => line.includes('channel for requests failed')), lines.join('\n'));
    await broker.evaluate('application:set_env(rabbit, consumer_timeout, 1800000), application:set_env(rabbit, channel_tick_interval, 60000)');
    await Promise.all([server.drain(), second.drain()]);
  });

  it('leaves no consumer behind when it is paused while its channel is being set up', async () => {
    const { channel, close } = await rawChannel(broker);
    for (let round = 0; round < 15; round++) {
      const transport = open(`paused ${round}`);
      const handle = async () => ({ result: 'taken', failure: null });
      const listening = await transport.listen({ topic: 'paused', server: 'a', requestsMax: 10, handle });
      await closeConnectionNamed(broker, `paused ${round}`);
      await until(() => transport.connected);
      // Anywhere between the new connection and its last consumer.
      await sleep(round);
      await listening.pause();
      // Those of the connection that was cut are counted until the broker has let go of it.
      const consumers = () => Promise.all(['paused', 'paused.a'].map(async (queue) => (await channel.checkQueue(queue)).consumerCount));
      await until(async () => (await consumers()).every((count) => count === 0));
      await runFor(200);
      assert.deepEqual(await consumers(), [0, 0], `round ${round}`);
      await listening.close();
    }
    await close();
  });

  it('says again that it is at work when it loses its connection while it drains, and still answers', async () => {
    const seen = newNotes();
    const server = await serve(probe, open('draining'), { server: 'a', handlers: probeHandlers('a', seen) });
    const client = createClient(probe, open('client'), { retries: 0 });
    const call = client.wait({ ms: 3_500 }, newContext());
    await until(() => seen.running === 1);
    const drained = server.drain();
    await sleep(300);
    await closeConnectionNamed(broker, 'draining');
    assert.equal(await call, 'waited');
    await drained;
  });

  it('gives back what it has taken and not finished when its time to drain is over', async () => {
    const [first, next] = [newNotes(), newNotes()];
    const server = await serve(probe, open('first'), { server: 'a', handlers: probeHandlers('first', first), concurrency: 1 });
    const client = createClient(probe, open('client'), { retries: 0 });
    const call = client.wait({ ms: 10_000 }, newContext());
    const outcome = call.then(String, String);
    await until(() => first.running === 1);
    // Behind it in the server's hands.
    await Promise.all(['1', '2'].map((text) => client.note({ text }, newContext())));
    await server.drain(200);
    const second = await serve(probe, open('next'), { server: 'b', handlers: probeHandlers('next', next) });
    await until(() => next.notes.length === 2);
    assert.match(await outcome, /waited|may have run|nobody serves/);
    await second.drain();
  });

  it('hears no cancellation of requests that are not its own', async () => {
    const seen = newNotes();
    const server = await serve(probe, open('server'), { server: 'a', handlers: probeHandlers('a', seen) });
    const { channel, close } = await rawChannel(broker);
    for (const correlationId of [undefined, 'x'.repeat(255), 'unknown']) {
      channel.publish(EXCHANGE, 'gatehouse:cancel:probe', Buffer.from('any'), correlationId === undefined ? {} : { correlationId });
    }
    for (let i = 0; i < 3_000; i++) channel.publish(EXCHANGE, 'gatehouse:cancel:probe.a', Buffer.alloc(0), { correlationId: `id ${i}` });
    assert.equal(await createClient(probe, open('client')).wait({ ms: 300 }, newContext()), 'waited');
    assert.deepEqual(seen.aborted, []);
    await close();
    await server.drain();
  });

  it('of oslo\'s kind notices nothing of a cancellation: nothing but the request comes to its queues', async () => {
    const { channel, close } = await rawChannel(broker);
    // As oslo's server declares and binds.
    await channel.assertExchange(EXCHANGE, 'topic', { durable: false });
    await channel.assertExchange('pythons_fanout', 'fanout', { durable: false, autoDelete: true });
    const came: string[] = [];
    for (const [queue, exchange] of [['pythons', EXCHANGE], ['pythons.h', EXCHANGE], ['pythons_fanout_1', 'pythons_fanout']] as const) {
      await channel.assertQueue(queue, { durable: false });
      await channel.bindQueue(queue, exchange, exchange === EXCHANGE ? queue : 'pythons');
      await channel.consume(queue, (message) => void came.push(String(message?.fields.routingKey)), { noAck: true });
    }
    const transport = open('client');
    const caller = new AbortController();
    const message = { method: 'm', args: {}, namespace: null, version: null, context: {} };
    const ask = (server?: string) =>
      assert.rejects(transport.request({ kind: 'call', topic: 'pythons', server, message, deadline: Date.now() + 50_000, signal: caller.signal }), refusal('CANCELLED'));
    const refused = [ask(), ask('h')];
    await until(() => came.length === 2);
    caller.abort();
    await Promise.all(refused);
    await runFor(300);
    assert.deepEqual(came.toSorted(), ['pythons', 'pythons.h']);
    await close();
  });

  it('that falls silent ends the call of those who asked for signs of life, long before the deadline', async () => {
    const { channel, close } = await rawChannel(broker);
    await channel.assertExchange(EXCHANGE, 'topic', { durable: false });
    await channel.assertQueue('silent', { durable: false });
    await channel.bindQueue('silent', EXCHANGE, 'silent');
    const asked: unknown[] = [];
    await channel.consume('silent', (message) => void asked.push(JSON.parse(JSON.parse(String(message?.content))['oslo.message'] as string)), { noAck: true });
    const message = { method: 'm', args: {}, namespace: null, version: null, context: {} };
    const transport = open('client');
    const ask = () => assert.rejects(
      transport.request({ kind: 'call', topic: 'silent', message, deadline: Date.now() + 50_000, monitorTimeoutMs: 2_500 }),
      refusal('DEADLINE_EXCEEDED', /no sign of life from m to silent within 2500 ms/),
    );
    assert.ok((await runningMsOf(ask)) < 10_000);
    assert.equal((asked[0] as { _timeout: unknown })._timeout, 3);
    await close();
  });
});
