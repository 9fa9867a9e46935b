/** What goes wrong on a real broker: it restarts, connections are cut, queues vanish, servers die, messages are poison. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Options } from 'amqplib';
import { startOwnRabbitmq } from '../../../test/servers/rabbitmq.ts';
import type { OwnRabbitmq } from '../../../test/servers/rabbitmq.ts';
import { runFor, runningMsOf } from '../../../test/servers/running-time.ts';
import { createAmqpTransport } from './amqp-transport.ts';
import { createClient } from './client.ts';
import type { Client } from './client.ts';
import { newNotes, probe, probeHandlers, refusal, until } from './conformance.ts';
import { newContext } from './context.ts';
import { encodeRequest } from './envelope.ts';
import { closeConnectionNamed, queueNames, rawChannel, startProbe, startRelay } from './fixtures/broker.ts';
import { serve } from './server.ts';
import type { RpcServer } from './server.ts';
import { SILENT } from './transport.ts';
import type { RpcLog, Transport } from './transport.ts';

const EXCHANGE = 'faults';

describe('RPC over a broker where things go wrong', function () {
  this.timeout(120_000);
  let broker: OwnRabbitmq;
  let asking: Transport;
  let answering: Transport;
  let client: Client<typeof probe>;
  let impatient: Client<typeof probe>;
  let server: RpcServer;
  let seen = newNotes();
  const problems: object[] = [];
  const log: RpcLog = { ...SILENT, error: (facts) => void problems.push(facts) };

  const open = (connectionName: string): Transport => createAmqpTransport({ url: broker.url, exchange: EXCHANGE, connectionName, log });

  before(async () => {
    broker = await startOwnRabbitmq();
  });

  after(() => broker.stop());

  beforeEach(async () => {
    seen = newNotes();
    problems.length = 0;
    asking = open('asking');
    answering = open('answering');
    // A server that lost the broker may be back seconds after its callers.
    client = createClient(probe, asking, { retries: 20 });
    impatient = createClient(probe, asking, { retries: 0 });
    server = await serve(probe, answering, { server: 'a', handlers: probeHandlers('a', seen), log });
    assert.equal(await client.who({}, newContext()), 'a');
  });

  afterEach(async () => {
    await server.drain(100);
    await asking.close();
    await answering.close();
  });

  it('waits for a broker that is away, until the deadline and no longer', async () => {
    await broker.kill();
    const refused = async (): Promise<void> => {
      await assert.rejects(impatient.who({}, newContext({ timeoutMs: 500 })), refusal('DEADLINE_EXCEEDED'));
      await assert.rejects(client.note({ text: 'x' }, newContext({ timeoutMs: 300 })), refusal('DEADLINE_EXCEEDED'));
    };
    assert.ok((await runningMsOf(refused)) < 2_000);
    const patient = client.echo({ value: 'back' }, newContext({ timeoutMs: 100_000 }));
    await broker.start();
    assert.equal(await patient, 'back');
  });

  it('rejects what waits when the broker restarts, and answers again afterwards', async () => {
    const call = impatient.wait({ ms: 20_000 }, newContext());
    await until(() => seen.running === 1);
    const [outcome] = await Promise.allSettled([call, broker.restart()]);
    refusal('UNAVAILABLE', /may have run/)(outcome.status === 'rejected' ? outcome.reason : null);
    assert.equal(await client.echo({ value: 1 }, newContext()), 1);
    await server.checkLoop(30_000);
    await client.announce({ text: 'all' }, newContext());
    await until(() => seen.announcements.length === 1);
  });

  it('answers idempotent calls through a cut of every connection', async () => {
    const calls = Array.from({ length: 20 }, async (_, i) => {
      await sleep(i * 50);
      return client.echo({ value: i }, newContext());
    });
    await sleep(300);
    await broker.closeConnections();
    assert.deepEqual(await Promise.all(calls), Array.from({ length: 20 }, (_, i) => i));
  });

  it('runs a request once when only the server lost its connection, and still answers it', async () => {
    const call = impatient.wait({ ms: 1_500 }, newContext());
    await until(() => seen.running === 1);
    await closeConnectionNamed(broker, 'answering');
    assert.equal(await call, 'waited');
    assert.equal(seen.runningMax, 1);
  });

  it('repairs an answer that is lost with the connection: an idempotent call runs again, any other is refused', async () => {
    await server.drain();
    const relay = await startRelay(broker.url);
    const cutOff = createAmqpTransport({ url: relay.url, exchange: EXCHANGE, connectionName: 'cut off' });
    const runs = { echo: 0, who: 0 };
    const cutFirst = (name: keyof typeof runs): void => {
      runs[name] += 1;
      if (runs[name] === 1) relay.cut();
    };
    const { echo, who, ...others } = probeHandlers('a', seen);
    const handlers = {
      ...others,
      echo: (...given: Parameters<typeof echo>) => (cutFirst('echo'), echo(...given)),
      who: (...given: Parameters<typeof who>) => (cutFirst('who'), who(...given)),
    };
    server = await serve(probe, cutOff, { server: 'a', handlers });
    try {
      assert.equal(await impatient.echo({ value: 1 }, newContext({ timeoutMs: 15_000 })), 1);
      await assert.rejects(impatient.who({}, newContext({ timeoutMs: 15_000 })), refusal('UNAVAILABLE', /may have run/));
      assert.deepEqual(runs, { echo: 2, who: 1 });
    } finally {
      await server.drain(100);
      await cutOff.close();
      relay.close();
    }
  });

  it('makes queues again that were deleted under it', async () => {
    const { channel, close } = await rawChannel(broker);
    for (const queue of ['probe', 'probe.a']) await channel.deleteQueue(queue);
    await close();
    assert.equal(await client.echo({ value: 1 }, newContext()), 1);
    await server.checkLoop(30_000);
  });

  it('makes its reply queue again when that was deleted', async () => {
    const { channel, close } = await rawChannel(broker);
    const replyQueues = (await queueNames(broker)).filter((name) => name.startsWith('reply_'));
    for (const queue of replyQueues) await channel.deleteQueue(queue);
    await close();
    assert.equal(replyQueues.length, 1);
    assert.equal(await client.echo({ value: 1 }, newContext()), 1);
    assert.ok((await queueNames(broker)).includes(replyQueues[0] ?? ''));
  });

  it('says within two seconds that the last server of a queue is gone', async () => {
    await server.drain();
    const ask = () => assert.rejects(impatient.who({}, newContext()), refusal('UNAVAILABLE', /nobody serves probe any more/));
    assert.ok((await runningMsOf(ask)) < 2_000);
  });

  it('waits for a server that drains with the call in its hands', async () => {
    const call = impatient.wait({ ms: 2_500 }, newContext());
    await until(() => seen.running === 1);
    await Promise.all([server.drain(), call.then((answer) => assert.equal(answer, 'waited'))]);
  });

  it('gives what a killed server held to the next one: an idempotent call runs again, any other is refused', async () => {
    await server.drain();
    const first = await startProbe(broker.url, EXCHANGE, 'first');
    const idempotent = client.echo({ value: { holdMs: 60_000 } }, newContext());
    const single = assert.rejects(impatient.wait({ ms: 60_000 }, newContext()), refusal('UNAVAILABLE', /was lost, or its connection; it may have run|nobody serves/));
    const cast = client.note({ text: 'hold' }, newContext());
    await Promise.all([first.lineWith('echo'), first.lineWith('wait'), first.lineWith('note'), cast]);
    first.process.kill('SIGKILL');
    await once(first.process, 'exit');
    server = await serve(probe, answering, { server: 'a', handlers: probeHandlers('a', seen), log });
    await single;
    assert.deepEqual(await idempotent, { holdMs: 60_000 });
    await until(() => seen.notes.length === 1);
  });

  it('refuses messages that are no requests, answers those that can be answered, and lives', async () => {
    const { channel, close } = await rawChannel(broker);
    const json: Options.Publish = { contentType: 'application/json', contentEncoding: 'utf-8' };
    const replies: unknown[] = [];
    await channel.assertQueue('reply_raw', { exclusive: true });
    await channel.consume('reply_raw', (message) => void replies.push(JSON.parse(String(message?.content))), { noAck: true });
    const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
    const poison: readonly (readonly [string | Buffer, Options.Publish])[] = [
      ['', json],
      ['not JSON', json],
      ['[]', json],
      ['null', json],
      [Buffer.from([0xff, 0xfe, 0x00]), json],
      [JSON.stringify({ 'oslo.version': '2.1', 'oslo.message': '{}' }), json],
      [JSON.stringify({ 'oslo.version': '2.0', 'oslo.message': 'not JSON' }), json],
      [JSON.stringify({ 'oslo.version': '2.0', 'oslo.message': deep }), json],
      [deep, json],
      [JSON.stringify({ 'oslo.version': '2.0', 'oslo.message': '{"method": "who"}' }), {}],
      ['x'.repeat(17 * 1024 * 1024), json],
    ];
    for (const [body, options] of poison) channel.publish(EXCHANGE, 'probe', Buffer.from(body), options);
    const address = { _msg_id: 'm', _reply_q: 'reply_raw' };
    const answerable = [
      { ...address, method: 7 },
      { ...address, method: 'who', args: [] },
      { ...address, method: 'who', version: 'abc' },
      { ...address, method: 'who', _context_user_id: { a: 1 } },
      { ...address, method: '__proto__' },
      { ...address, method: 'constructor' },
      { ...address, method: 'who', args: {} },
    ];
    for (const each of answerable) channel.publish(EXCHANGE, 'probe', Buffer.from(JSON.stringify(each)), json);
    await until(() => replies.length === answerable.length);
    assert.equal(problems.length, 10, 'one line of the log for each that could not be answered');
    const failures = replies.map((reply) => JSON.parse((JSON.parse((reply as Record<string, string>)['oslo.message'] ?? '') as { failure: string | null }).failure ?? 'null') as { class: string } | null);
    assert.deepEqual(failures.map((each) => each?.class ?? 'answered').toSorted(), ['Invalid', 'Invalid', 'Invalid', 'Invalid', 'NoSuchMethod', 'NoSuchMethod', 'answered']);
    assert.equal(await client.who({}, newContext()), 'a');
    await close();
  });

  it('drops a request that comes twice', async () => {
    const { channel, close } = await rawChannel(broker);
    const body = encodeRequest({ method: 'note', args: { text: 'once' }, namespace: null, version: '1.0', context: {} }, null);
    for (let i = 0; i < 3; i++) channel.publish(EXCHANGE, 'probe', body, { contentType: 'application/json' });
    // Its way into the queue is another.
    await until(() => seen.notes.includes('a: once'));
    await client.note({ text: 'last' }, newContext());
    await until(() => seen.notes.includes('a: last'));
    await runFor(100);
    assert.deepEqual(seen.notes, ['a: once', 'a: last']);
    await close();
  });

  it('keeps an answer for a reply queue that its client has yet to make again', async () => {
    const { channel, close } = await rawChannel(broker);
    const body = JSON.stringify({ method: 'who', _msg_id: 'm', _reply_q: 'reply_late' });
    channel.publish(EXCHANGE, 'probe', Buffer.from(body), { contentType: 'application/json' });
    await sleep(400);
    await channel.assertQueue('reply_late', { exclusive: true });
    const answer = await new Promise<string>((resolve) => void channel.consume('reply_late', (message) => resolve(String(message?.content)), { noAck: true }));
    assert.match(answer, /\\"result\\":\\"a\\"/);
    await close();
  });

  it('says that it is at work to a caller that asks for signs of life', async () => {
    const { channel, close } = await rawChannel(broker);
    await channel.assertQueue('reply_signs', { exclusive: true });
    const endings: boolean[] = [];
    await channel.consume('reply_signs', (message) => void endings.push(/\\"ending\\":true/.test(String(message?.content))), { noAck: true });
    const body = JSON.stringify({ method: 'wait', args: { ms: 5_500 }, _msg_id: 'm', _reply_q: 'reply_signs', _timeout: 2 });
    channel.publish(EXCHANGE, 'probe', Buffer.from(body), { contentType: 'application/json' });
    await until(() => endings.includes(true));
    // One a second, or fewer where the machine stood still.
    assert.equal(endings.indexOf(true), endings.length - 1);
    assert.ok(endings.length >= 3 && endings.length <= 6, endings.join());
    await close();
  });

  it('uses one connection a process, and leaves no queue of its own behind but the topic\'s', async () => {
    await client.note({ text: 'x' }, newContext());
    // Those of the test before are counted until the broker has let go of them.
    await until(async () => (await broker.evaluate('length(rabbit_networking:connections())')).trim() === '2');
    await server.drain();
    await asking.close();
    await answering.close();
    await until(async () => (await queueNames(broker)).every((name) => /^(probe(\.[a-z]+)?|gatehouse\.dead-letters)$/.test(name)));
  });
});
