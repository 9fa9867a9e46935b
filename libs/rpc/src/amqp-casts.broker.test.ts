/** Casts that must not be lost: over a killed service, a drained one, the broker's restart, and a queue that is full. */
import assert from 'node:assert/strict';
import { startOwnRabbitmq } from '../../../test/servers/rabbitmq.ts';
import type { OwnRabbitmq } from '../../../test/servers/rabbitmq.ts';
import { createAmqpTransport } from './amqp-transport.ts';
import type { QueueKind } from './amqp-topology.ts';
import { createClient } from './client.ts';
import { newNotes, probe, probeHandlers, refusal, until } from './conformance.ts';
import { newContext } from './context.ts';
import { startProbe } from './fixtures/broker.ts';
import { serve } from './server.ts';
import type { Transport } from './transport.ts';

const CASTS = 10_000;
/** Below the casts that may wait for the broker at one time. */
const IN_FLIGHT = 500;

describe('casts that were confirmed', function () {
  this.timeout(180_000);
  let broker: OwnRabbitmq;
  let opened: Transport[];

  before(async () => {
    broker = await startOwnRabbitmq();
  });

  after(() => broker.stop());

  beforeEach(() => {
    opened = [];
  });

  afterEach(async () => {
    await Promise.all(opened.map((transport) => transport.close()));
  });

  const open = (exchange: string, queues: QueueKind = 'transient'): Transport => {
    const transport = createAmqpTransport({ url: broker.url, exchange, queues, connectionName: exchange });
    opened.push(transport);
    return transport;
  };

  const policy = (name: string, pattern: string, definition: string): Promise<string> =>
    broker.evaluate(`rabbit_policy:parse_set(<<"/">>, <<"${name}">>, <<"${pattern}">>, <<"${definition.replaceAll('"', '\\"')}">>, <<"0">>, <<"queues">>, <<"tests">>)`);

  it('are refused, as calls are, when the queue is full: never silently', async () => {
    await policy('full', '^probe$', '{"max-length": 3, "overflow": "reject-publish"}');
    const server = await serve(probe, open('full'), { server: 'a', handlers: probeHandlers('a', newNotes()) });
    await server.drain();
    const client = createClient(probe, open('full'), { retries: 0 });
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, (_, i) => client.note({ text: `done ${i}` }, newContext())));
    const refused = outcomes.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
    assert.ok(refused.length >= 5 && refused.length <= 7, String(refused.length));
    for (const reason of refused) refusal('RESOURCE_EXHAUSTED', /full/)(reason);
    await assert.rejects(client.who({}, newContext()), refusal('RESOURCE_EXHAUSTED', /who to probe is full/));
    await broker.evaluate('rabbit_policy:delete(<<"/">>, <<"full">>, <<"tests">>)');
    const seen = newNotes();
    const next = await serve(probe, open('full'), { server: 'a', handlers: probeHandlers('a', seen) });
    await until(() => seen.notes.length === 10 - refused.length);
    await next.drain();
  });

  it('are all done, whatever becomes of their servers: one is killed, one drains', async () => {
    const seen = newNotes();
    const done = new Set<string>();
    const first = await startProbe(broker.url, 'many', 'first');
    const client = createClient(probe, open('many'));
    const sending = castMany((i) => client.note({ text: `done ${i}` }, newContext()));
    await until(() => count(first.printed()) > 500, 60_000);
    first.process.kill('SIGKILL');
    await first.ended;
    const second = await serve(probe, open('many'), { server: 'second', handlers: probeHandlers('second', seen) });
    await until(() => seen.notes.length > 500, 60_000);
    await second.drain();
    const third = await serve(probe, open('many'), { server: 'third', handlers: probeHandlers('third', seen) });
    await sending;
    const all = () => {
      for (const [, i] of `${first.printed()} ${seen.notes.join(' ')}`.matchAll(/done (\d+)/g)) done.add(i ?? '');
      return done.size;
    };
    await until(() => all() === CASTS, 60_000);
    await third.drain();
  });

  for (const queues of ['durable', 'quorum'] as const) {
    it(`are all done over the broker's restart: ${queues} queues`, async () => {
      const exchange = `restart-${queues}`;
      await deleteProbeQueues();
      const seen = newNotes();
      const server = await serve(probe, open(exchange, queues), { server: 'a', handlers: probeHandlers('a', seen) });
      const client = createClient(probe, open(exchange, queues));
      let refused = 0;
      const sendOnce = async (i: number): Promise<void> => {
        // What the broker did not confirm is the sender's to send again.
        await client.note({ text: `done ${i}` }, newContext()).catch(async () => {
          refused += 1;
          await sendOnce(i);
        });
      };
      const sending = castMany(sendOnce);
      await until(() => seen.notes.length > 1_000, 60_000);
      await broker.restart();
      await sending;
      await until(() => new Set(seen.notes).size === CASTS, 60_000);
      assert.ok(refused < 2 * IN_FLIGHT, `${refused} were not confirmed`);
      await server.drain();
    });
  }

  async function deleteProbeQueues(): Promise<void> {
    await broker.evaluate('[rabbit_amqqueue:delete(Q, false, false, <<"tests">>) || Q <- rabbit_amqqueue:list(), lists:member(element(4, amqqueue:get_name(Q)), [<<"probe">>, <<"probe.a">>])]');
  }
});

async function castMany(cast: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < CASTS) await cast(next++);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
}

function count(printed: string): number {
  return printed.match(/done /g)?.length ?? 0;
}
