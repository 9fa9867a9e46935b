import { randomUUID } from 'node:crypto';
import { startRabbitmq } from '../../../test/servers/rabbitmq.ts';
import type { Rabbitmq } from '../../../test/servers/rabbitmq.ts';
import { createAmqpTransport } from './amqp-transport.ts';
import { describeLevels } from './conformance-levels.ts';

let broker: Rabbitmq;

before(async function () {
  this.timeout(100_000);
  broker = await startRabbitmq();
});

after(() => broker.stop());

describeLevels('levels over AMQP', async () => {
  const exchange = `gatehouse-${randomUUID()}`;
  const connect = (connectionName: string) => createAmqpTransport({ url: broker.url, exchange, connectionName });
  return { client: connect('test client'), server: connect('test server') };
});
