/** Copies of lost requests that wait a moment in their server: each runs once or not at all, whatever happens meanwhile. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Channel, ConsumeMessage } from 'amqplib';
import { setTimeout as sleep } from 'node:timers/promises';
import { listenOn } from './amqp-listener.ts';
import type { ListenerMeans } from './amqp-listener.ts';
import { cancelKey } from './amqp-topology.ts';
import { until } from './conformance.ts';
import { CONTENT_TYPE } from './envelope.ts';
import { COPY_HELD_MS } from './lost-requests.ts';
import { SILENT } from './transport.ts';
import type { Listening } from './transport.ts';

type Consumer = (message: ConsumeMessage) => void;

/** What a listener asks of a channel; the test is the broker. */
class ScriptedChannel {
  readonly #events = new EventEmitter();
  readonly consumers = new Map<string, Consumer>();
  readonly acknowledged: number[] = [];
  #tags = 0;

  async assertExchange(): Promise<void> {}
  async assertQueue(): Promise<void> {}
  async bindQueue(): Promise<void> {}
  async prefetch(): Promise<void> {}
  async cancel(): Promise<void> {}
  async close(): Promise<void> {}
  publish(): boolean {
    return true;
  }

  on(event: string, hear: () => void): void {
    this.#events.on(event, hear);
  }

  lose(): void {
    this.#events.emit('close');
  }

  async consume(queue: string, consumer: Consumer): Promise<{ readonly consumerTag: string }> {
    this.consumers.set(queue, consumer);
    return { consumerTag: queue };
  }

  ack({ fields }: ConsumeMessage, allUpTo: boolean): void {
    for (let tag = allUpTo ? 1 : fields.deliveryTag; tag <= fields.deliveryTag; tag += 1) if (!this.acknowledged.includes(tag)) this.acknowledged.push(tag);
  }

  deliver(queue: string, body: object, { redelivered = false, losses = 0, routingKey = queue, correlationId = '' } = {}): void {
    const name = [...this.consumers.keys()].find((each) => each === queue || (queue === 'fanout' && each.includes('fanout'))) ?? '';
    const properties = { contentType: CONTENT_TYPE, correlationId, headers: losses === 0 ? {} : { 'x-gatehouse-losses': losses } };
    const fields = { deliveryTag: (this.#tags += 1), redelivered, exchange: '', routingKey, consumerTag: name };
    this.consumers.get(name)?.({ content: Buffer.from(JSON.stringify(body)), fields, properties } as unknown as ConsumeMessage);
  }
}

describe('the copy of a lost request that waits in its server', () => {
  let channel: ScriptedChannel;
  let publish: () => Promise<void>;
  let ran: number;
  let listening: Listening;

  beforeEach(async () => {
    channel = new ScriptedChannel();
    publish = async () => {};
    ran = 0;
    const connection = { connected: true, model: async () => ({ createChannel: async () => channel as unknown as Channel }) };
    const parts = { connection, topology: { exchange: 'x', queues: 'transient' }, publisher: { publish: () => publish() }, deadLetters: { put: async () => {} } };
    const means = { ...parts, acknowledgeAfterMs: 60_000, log: SILENT } as unknown as ListenerMeans;
    const handle = async () => {
      ran += 1;
      return { result: 'done', failure: null };
    };
    listening = await listenOn(means, { topic: 'probe', server: 'a', requestsMax: 10, handle });
  });

  afterEach(() => listening.close());

  const request = { method: 'who', args: {}, _unique_id: 'one', _msg_id: 'call', _reply_q: 'replies' };

  it('runs once, although word of it came so late that its original was to run instead', async () => {
    let fail = (): void => {};
    publish = () => new Promise((_, reject) => (fail = () => reject(new Error('no word of it'))));
    channel.deliver('probe', request, { redelivered: true });
    channel.deliver('probe', request, { losses: 1 });
    await sleep(2 * COPY_HELD_MS);
    assert.equal(ran, 0);
    fail();
    await until(() => channel.acknowledged.length === 2);
    await sleep(2 * COPY_HELD_MS);
    assert.equal(ran, 1);
  });

  it('does not run when its caller gives up meanwhile', async () => {
    channel.deliver('probe', request, { losses: 1 });
    channel.deliver('fanout', {}, { routingKey: cancelKey('probe'), correlationId: 'call' });
    await until(() => channel.acknowledged.includes(1));
    assert.equal(ran, 0);
  });

  it('runs before its server has drained, also when its channel was lost', async () => {
    channel.deliver('probe', request, { losses: 1 });
    channel.lose();
    await listening.pause();
    assert.equal(ran, 1);
    await sleep(2 * COPY_HELD_MS);
    assert.equal(ran, 1);
  });

  it('does not run in a server that has closed: the broker gives it to another', async () => {
    channel.deliver('probe', request, { losses: 1 });
    await listening.close();
    await sleep(2 * COPY_HELD_MS);
    assert.deepEqual([ran, channel.acknowledged], [0, []]);
  });
});
