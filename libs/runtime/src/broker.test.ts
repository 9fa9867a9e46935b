import assert from 'node:assert/strict';
import { z } from 'zod';
import { brokerSettings } from './broker.ts';
import { readConfig } from './config.ts';

const shape = z.object(brokerSettings);
const read = (env: Record<string, string>) => readConfig(shape, env, () => {});

describe('the settings of the message broker', () => {
  it('name the part that is wrong, and never show the password', () => {
    const refused: readonly (readonly [string, RegExp])[] = [
      ['http://u:hunter2@h', /scheme/],
      ['rabbit://u:hunter2@h1,u:hunter2@h2:99999', /port of host 2/],
      ['amqp://u:hunter2@[::1', /the host is no name/],
    ];
    for (const [url, words] of refused) {
      assert.throws(
        () => read({ GATEHOUSE_TRANSPORT_URL: url }),
        (error: unknown) => words.test(String(error)) && /GATEHOUSE_TRANSPORT_URL is wrong/.test(String(error)) && !String(error).includes('hunter2'),
        url,
      );
    }
    assert.throws(() => read({}), /GATEHOUSE_TRANSPORT_URL is not set: set a URL like amqp:/);
    assert.throws(() => read({ GATEHOUSE_TRANSPORT_URL: 'amqp://h', GATEHOUSE_RPC_QUEUES: 'mirrored' }), /GATEHOUSE_RPC_QUEUES is "mirrored": set one of transient, durable, quorum/);
  });

  it('take what oslo takes, and make transient queues unless told', () => {
    const transportUrl = 'rabbit://u:p@h1:5672,u:p@[::1]:5672/nova';
    const told = read({ GATEHOUSE_TRANSPORT_URL: transportUrl, GATEHOUSE_RPC_QUEUES: 'quorum', GATEHOUSE_RPC_DELIVERY_LIMIT: '5' });
    assert.deepEqual(told, { transportUrl, rpcExchange: 'gatehouse', rpcQueues: 'quorum', rpcDeliveryLimit: 5 });
    assert.equal(read({ GATEHOUSE_TRANSPORT_URL: 'rabbit://' }).rpcQueues, 'transient');
  });
});
