import { randomUUID } from 'node:crypto';
import { startRabbitmq } from '../../../test/servers/rabbitmq.ts';
import type { Rabbitmq } from '../../../test/servers/rabbitmq.ts';
import { createAmqpTransport } from './amqp-transport.ts';
import { describeGivingUp } from './conformance-giving-up.ts';
import { describeTransport } from './conformance.ts';

let broker: Rabbitmq;

before(async function () {
  this.timeout(100_000);
  broker = await startRabbitmq();
});

after(() => broker.stop());

const open = async () => {
  const exchange = `gatehouse-${randomUUID()}`;
  const connect = (connectionName: string) => createAmqpTransport({ url: broker.url, exchange, connectionName });
  return { client: connect('test client'), server: connect('test server') };
};

describeTransport('the AMQP transport', open);
describeGivingUp('giving up over the AMQP transport', open);
