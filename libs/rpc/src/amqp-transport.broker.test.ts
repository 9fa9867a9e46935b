import { randomUUID } from 'node:crypto';
import { startRabbitmq } from '../../../test/servers/rabbitmq.ts';
import type { Rabbitmq } from '../../../test/servers/rabbitmq.ts';
import { createAmqpTransport } from './amqp-transport.ts';
import { describeTransport } from './conformance.ts';

let broker: Rabbitmq;

before(async function () {
  this.timeout(100_000);
  broker = await startRabbitmq();
});

after(() => broker.stop());

describeTransport('the AMQP transport', async () => {
  const exchange = `gatehouse-${randomUUID()}`;
  const open = (connectionName: string) => createAmqpTransport({ url: broker.url, exchange, connectionName });
  return { client: open('test client'), server: open('test server') };
});
