import assert from 'node:assert/strict';
import type { ConsumeMessage } from 'amqplib';
import { json } from '@gatehouse/objects/fields';
import { startRabbitmq } from '../../../test/servers/rabbitmq.ts';
import type { Rabbitmq } from '../../../test/servers/rabbitmq.ts';
import { createAmqpTransport } from './amqp-transport.ts';
import { createClient } from './client.ts';
import { newContext } from './context.ts';
import { defineContract, method } from './contract.ts';
import { decodeRequest, encodeDirectReply, encodeReply } from './envelope.ts';
import { rawChannel } from './fixtures/broker.ts';

const contract = defineContract({ topic: 'asked', version: '1.0', methods: { ask: method({ since: '1.0', args: { value: json() }, result: json() }) } });

describe('the asking side over AMQP', function () {
  this.timeout(100_000);
  let broker: Rabbitmq;

  before(async () => {
    broker = await startRabbitmq();
  });

  after(() => broker.stop());

  it('leaves the envelope away for servers that answer as only ours do, until one of oslo\'s has answered', async () => {
    const { channel, close } = await rawChannel(broker);
    await channel.assertExchange('asking', 'topic', { durable: false });
    await channel.assertQueue('asked', { durable: false });
    await channel.bindQueue('asked', 'asking', 'asked');
    const enveloped: boolean[] = [];
    const answer = (message: ConsumeMessage | null): void => {
      assert.ok(message !== null);
      enveloped.push(message.content.includes('"oslo.message"'));
      const { msgId, replyQueue } = decodeRequest(message.content).address;
      assert.ok(msgId !== null && replyQueue !== null, 'either kind of server finds where its answer goes');
      const reply = { result: enveloped.length, failure: null };
      const isOslo = enveloped.length === 3;
      const body = isOslo ? encodeReply(msgId, reply) : encodeDirectReply(msgId, reply);
      channel.publish('', isOslo ? replyQueue : String(message.properties.replyTo), body);
    };
    await channel.consume('asked', answer, { noAck: true });

    const transport = createAmqpTransport({ url: broker.url, exchange: 'asking', connectionName: 'ours' });
    const client = createClient(contract, transport);
    for (const nth of [1, 2, 3, 4, 5]) assert.equal(await client.ask({ value: nth }, newContext()), nth);
    assert.deepEqual(enveloped, [true, false, false, true, false]);

    await transport.close();
    await close();
  });
});
