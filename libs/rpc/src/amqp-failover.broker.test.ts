/** When the broker is lost: several hosts in one URL, and a fleet that comes back without trampling it. */
import assert from 'node:assert/strict';
import { startOwnRabbitmq } from '../../../test/servers/rabbitmq.ts';
import type { OwnRabbitmq } from '../../../test/servers/rabbitmq.ts';
import { runFor } from '../../../test/servers/running-time.ts';
import { backoffMs } from './amqp-connection.ts';
import { createAmqpTransport } from './amqp-transport.ts';
import { createClient } from './client.ts';
import { newNotes, probe, probeHandlers, refusal, until } from './conformance.ts';
import { newContext } from './context.ts';
import { closeConnectionNamed, startRelay } from './fixtures/broker.ts';
import { serve } from './server.ts';
import { SILENT } from './transport.ts';
import type { Transport } from './transport.ts';

describe('the pause before a broker is asked again', () => {
  const drawn = (failures: number): number[] => Array.from({ length: 10_000 }, () => backoffMs(failures));

  it('is never nothing, grows with each failure, and ends growing at 5 s', () => {
    for (const failures of [0, 1, 5, 50, 5_000]) {
      const all = drawn(failures);
      assert.ok(Math.min(...all) >= 20 && Math.max(...all) <= 5_020, String(failures));
    }
    const mean = (values: number[]): number => values.reduce((sum, each) => sum + each, 0) / values.length;
    const means = [0, 1, 2, 3, 4].map((failures) => mean(drawn(failures)));
    for (let i = 1; i < means.length; i++) assert.ok((means[i] ?? 0) > 1.5 * (means[i - 1] ?? 0), means.join(' '));
  });

  it('is spread evenly: no tenth of the time gets twice its share', () => {
    for (const failures of [0, 3, 20]) {
      const longest = Math.max(...drawn(failures));
      const shares = new Array<number>(10).fill(0);
      for (const each of drawn(failures)) shares[Math.min(9, Math.trunc((10 * each) / (longest + 1)))]! += 1;
      for (const share of shares) assert.ok(share < 2_000, shares.join(' '));
    }
  });
});

describe('RPC whose broker is lost', function () {
  this.timeout(180_000);
  let brokers: readonly [OwnRabbitmq, OwnRabbitmq];
  let opened: Transport[];
  const log: string[] = [];

  before(async () => {
    brokers = await Promise.all([startOwnRabbitmq(), startOwnRabbitmq()]);
  });

  after(() => Promise.all(brokers.map((broker) => broker.stop())));

  beforeEach(() => {
    opened = [];
  });

  afterEach(async () => {
    await Promise.all(opened.map((transport) => transport.close()));
  });

  const open = (url: string, name: string): Transport => {
    const transport = createAmqpTransport({ url, exchange: 'failover', connectionName: name, log: { ...SILENT, info: (_facts, message) => void log.push(`${name} ${message}`) } });
    opened.push(transport);
    return transport;
  };

  it('does not come back as one wave: 60 clients that were cut off in one moment', async () => {
    const relay = await startRelay(brokers[0].url);
    const clients = Array.from({ length: 60 }, (_, i) => open(relay.url, `client ${i}`));
    const server = await serve(probe, open(brokers[0].url, 'server'), { server: 'a', handlers: probeHandlers('a', newNotes()) });
    await Promise.all(clients.map((transport) => createClient(probe, transport).who({}, newContext())));
    // Where this process stood still meanwhile, what was spread comes in one moment: the widest of a few says what they do.
    const spreadsMs: number[] = [];
    while (spreadsMs.length < 5 && Math.max(0, ...spreadsMs) <= 150) {
      const before = relay.cameAt.length;
      relay.cut();
      await until(() => relay.cameAt.length >= before + 60);
      const back = relay.cameAt.slice(before).toSorted((a, b) => a - b);
      spreadsMs.push((back.at(-1) ?? 0) - (back[0] ?? 0));
      await until(() => clients.every((transport) => transport.connected));
    }
    assert.ok(Math.max(...spreadsMs) > 150, `all came within ${spreadsMs.join(', ')} ms`);
    assert.deepEqual(new Set(await Promise.all(clients.map((transport) => createClient(probe, transport).echo({ value: 1 }, newContext())))), new Set([1]));
    await server.drain();
    await Promise.all(clients.map((transport) => transport.close()));
    relay.close();
  });

  it('is patient with servers that are still on their way back: calls of every kind, and casts', async () => {
    const seen = newNotes();
    const answering = open(brokers[0].url, 'server');
    const server = await serve(probe, answering, { server: 'a', handlers: probeHandlers('a', seen) });
    const client = createClient(probe, open(brokers[0].url, 'client'), { retries: 0 });
    assert.equal(await client.who({}, newContext()), 'a');
    await server.drain();
    await brokers[0].restart();
    // For how long it is patient counts from its own return: its server's way there must not take of that.
    await until(() => answering.connected && opened[1]?.connected === true);
    const returns = (): number => log.filter((line) => line === 'client connected to the message broker').length;
    const before = returns();
    await closeConnectionNamed(brokers[0], 'client');
    await until(() => returns() > before);
    // The first requests find no queue, and its server comes a while later.
    const asked = [client.who({}, newContext()), client.note({ text: 'kept' }, newContext())];
    await runFor(300);
    const late = serve(probe, answering, { server: 'a', handlers: probeHandlers('a', seen) });
    assert.deepEqual(await Promise.all(asked), ['a', undefined]);
    await until(() => seen.notes.length === 1);
    await (await late).drain();
  });

  it('goes on at the next host of its URL when the first dies, and comes back when that one dies too', async () => {
    const hosts = brokers.map((broker) => new URL(broker.url)).map(({ username, password, host }) => `${username}:${password}@${host}`);
    const url = `rabbit://${hosts.join(',')}/`;
    const seen = newNotes();
    // They are no cluster: client and server meet only where both must be.
    await brokers[1].kill();
    const server = await serve(probe, open(url, 'server'), { server: 'a', handlers: probeHandlers('a', seen) });
    const transport = open(url, 'client');
    const client = createClient(probe, transport, { retries: 100 });
    assert.equal(await client.echo({ value: 'first' }, newContext()), 'first');
    for (const [dies, lives] of [[0, 1], [1, 0]] as const) {
      await brokers[lives].start();
      const running = seen.running;
      const waiting = createClient(probe, transport).wait({ ms: 60_000 }, newContext());
      const rejected = assert.rejects(waiting, refusal('UNAVAILABLE', /may have run/));
      await until(() => seen.running > running);
      await brokers[dies].kill();
      await rejected;
      assert.equal(await client.echo({ value: dies }, newContext()), dies);
      await client.announce({ text: `without ${dies}` }, newContext());
      await until(() => seen.announcements.includes(`a: without ${dies}`));
      await server.checkLoop(30_000);
    }
    await server.drain(100);
    await brokers[1].start();
  });
});
