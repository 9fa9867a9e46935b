import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAmqpTransport } from '@gatehouse/rpc/amqp-transport';
import type { QueueKind } from '@gatehouse/rpc/amqp-topology';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { defineContract, method } from '@gatehouse/rpc/contract';
import { serve } from '@gatehouse/rpc/server';
import { SILENT } from '@gatehouse/rpc/transport';
import { ServiceError } from '@gatehouse/errors/service-error';
import { string } from '@gatehouse/objects/fields';
import { connect } from 'amqplib';
import { startRabbitmq } from '../servers/rabbitmq.ts';
import type { Rabbitmq } from '../servers/rabbitmq.ts';

const EXCHANGE = 'gatehouse';
const greeter = defineContract({ topic: 'greeter', version: '1.0', methods: { greet: method({ since: '1.0', idempotent: true, args: {}, result: string() }) } });

// What docs/upgrading.md says of a change of GATEHOUSE_RPC_QUEUES.
describe('a change from transient to durable queues', function () {
  this.timeout(60_000);
  let rabbitmq: Rabbitmq;

  before(async () => {
    rabbitmq = await startRabbitmq();
  });

  after(() => rabbitmq?.stop());

  const lines: string[] = [];
  const keep = (facts: object, message: string): void => void lines.push(`${message} ${JSON.stringify(facts)}`);
  const log = { ...SILENT, warn: keep, error: keep };
  const transportOf = (queues: QueueKind, connectionName: string) => createAmqpTransport({ url: rabbitmq.url, exchange: EXCHANGE, queues, connectionName, log });
  const serveAs = (server: string, transport: ReturnType<typeof transportOf>) => serve(greeter, transport, { server, handlers: { greet: () => server } });

  it('is refused with advice while the old exchange and queues are there, and goes on by itself when they are not', async () => {
    const [old, changed] = [transportOf('transient', 'old'), transportOf('durable', 'changed')];
    const oldServer = await serveAs('old', old);
    const [asOld, asChanged] = [createClient(greeter, old), createClient(greeter, changed)];
    const serving = serveAs('changed', changed);
    const isUnavailable = (error: unknown) => error instanceof ServiceError && error.code === 'UNAVAILABLE';
    await assert.rejects(asChanged.greet({}, newContext(), { timeoutMs: 5_000 }), isUnavailable);
    const advice = /set GATEHOUSE_RPC_QUEUES as the other services that share it are set, or delete it when none uses it.*inequivalent arg 'durable'/;
    for (const until = Date.now() + 20_000; !advice.test(lines.join('\n')); await sleep(20)) assert.ok(Date.now() < until, `no advice in ${lines.join('\n')}`);
    // Whoever is not changed goes on meanwhile.
    assert.equal(await asOld.greet({}, newContext()), 'old');

    await oldServer.drain();
    await old.close();
    const operator = await connect(rabbitmq.url);
    const channel = await operator.createChannel();
    for (const queue of ['greeter', 'greeter.old']) await channel.deleteQueue(queue);
    await channel.deleteExchange(EXCHANGE);
    await operator.close();

    const server = await serving;
    assert.equal(await asChanged.greet({}, newContext()), 'changed');
    await server.drain();
    await changed.close();
  });

  it('is no matter in another virtual host', async () => {
    const other = await startRabbitmq();
    const changed = createAmqpTransport({ url: other.url, exchange: EXCHANGE, queues: 'quorum', connectionName: 'changed' });
    const server = await serveAs('changed', changed);
    assert.equal(await createClient(greeter, changed).greet({}, newContext()), 'changed');
    await server.drain();
    await changed.close();
    await other.stop();
  });
});
