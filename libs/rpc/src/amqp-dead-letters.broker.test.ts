/** Messages that no server can serve: what becomes of them, and of those beside them. */
import assert from 'node:assert/strict';
import type { Channel } from 'amqplib';
import { startOwnRabbitmq } from '../../../test/servers/rabbitmq.ts';
import type { OwnRabbitmq } from '../../../test/servers/rabbitmq.ts';
import { DEAD_LETTER_QUEUE, DEAD_LETTERS_MAX } from './amqp-dead-letters.ts';
import { createAmqpTransport } from './amqp-transport.ts';
import { createClient } from './client.ts';
import type { Client } from './client.ts';
import { newNotes, probe, probeHandlers, refusal, until } from './conformance.ts';
import { newContext } from './context.ts';
import { rawChannel, startProbe } from './fixtures/broker.ts';
import { LOSSES_MAX } from './lost-requests.ts';
import { serve } from './server.ts';
import type { RpcServer } from './server.ts';
import { SILENT } from './transport.ts';
import type { RpcLog, Transport } from './transport.ts';

const EXCHANGE = 'dead-letters';
const TOKEN = 'f3b1c0de-5ec2-4e7f-a11d-70c3a570cabc';
const json = { contentType: 'application/json', contentEncoding: 'utf-8' };

type Letter = { readonly reason: string; readonly from: { readonly queue: string }; readonly method?: string; readonly losses: number };

describe('a message that cannot be served', function () {
  this.timeout(300_000);
  let broker: OwnRabbitmq;
  let asking: Transport;
  let answering: Transport;
  let client: Client<typeof probe>;
  let server: RpcServer;
  let raw: { channel: Channel; close: () => Promise<void> };
  let seen = newNotes();
  const logged: string[] = [];
  const keep = (facts: object, message: string): void => void logged.push(`${message} ${JSON.stringify(facts)}`);
  const log: RpcLog = { ...SILENT, warn: keep, error: keep };

  before(async () => {
    broker = await startOwnRabbitmq();
  });

  after(() => broker.stop());

  beforeEach(async () => {
    seen = newNotes();
    logged.length = 0;
    const open = (connectionName: string) => createAmqpTransport({ url: broker.url, exchange: EXCHANGE, connectionName, log });
    asking = open('asking');
    answering = open('answering');
    client = createClient(probe, asking);
    server = await serve(probe, answering, { server: 'a', handlers: probeHandlers('a', seen), log });
    raw = await rawChannel(broker);
    raw.channel.on('error', () => {});
  });

  afterEach(async () => {
    await raw.channel.deleteQueue(DEAD_LETTER_QUEUE).catch(() => {});
    await raw.close().catch(() => {});
    await server.drain(100);
    await asking.close();
    await answering.close();
  });

  const nextLetter = async (): Promise<{ letter: Letter; text: string }> => {
    let text = '';
    await until(async () => {
      // Where the queue is not there yet, asking costs the channel.
      const { channel, close } = await rawChannel(broker);
      channel.on('error', () => {});
      const message = await channel.get(DEAD_LETTER_QUEUE, { noAck: true }).catch(() => false as const);
      if (message !== false) text = message.content.toString();
      await close();
      return text !== '';
    }, 90_000);
    return { letter: JSON.parse(text) as Letter, text };
  };

  const waitingIn = async (queue: string): Promise<number> => (await raw.channel.checkQueue(queue)).messageCount;

  it('does not stop service when the dead letters cannot be written', async () => {
    await raw.channel.assertQueue(DEAD_LETTER_QUEUE, { durable: false });
    for (let i = 0; i < 5; i++) raw.channel.publish(EXCHANGE, 'probe', Buffer.from(`not JSON ${TOKEN}`), json);
    await until(() => logged.filter((line) => line.includes('taken out of its queue')).length === 5);
    await until(() => logged.some((line) => line.includes('cannot be kept')));
    assert.equal(await client.who({}, newContext()), 'a');
    assert.equal(await waitingIn('probe'), 0);
    assert.equal(await waitingIn(DEAD_LETTER_QUEUE), 0);
    assert.ok(!logged.some((line) => line.includes(TOKEN)));
  });

  it('becomes a dead letter with its reason and without its secrets, once', async () => {
    const inner = { method: 7, args: { token: TOKEN }, _context_auth_token: TOKEN };
    raw.channel.publish(EXCHANGE, 'probe', Buffer.from(`{"token": "${TOKEN}"`), json);
    const first = await nextLetter();
    raw.channel.publish(EXCHANGE, 'probe.a', Buffer.from(JSON.stringify({ method: 'who', args: { token: TOKEN } })), {});
    const second = await nextLetter();
    // A cast whose refusal nobody would hear.
    raw.channel.publish(EXCHANGE, 'probe', Buffer.from(JSON.stringify(inner)), json);
    const third = await nextLetter();
    assert.deepEqual([first, second, third].map(({ letter }) => [letter.reason, letter.from.queue]), [
      ['the body is not JSON', 'probe'],
      ['the content type is not application/json', 'probe.a'],
      ['method: expected a name', 'probe'],
    ]);
    for (const { text } of [first, second, third]) assert.ok(!text.includes(TOKEN), text);
    assert.ok(!logged.some((line) => line.includes(TOKEN)));
    assert.equal(await waitingIn(DEAD_LETTER_QUEUE), 0);
    assert.equal(await client.who({}, newContext()), 'a');
  });

  it('lies in a queue that survives the broker and forgets the oldest', async () => {
    raw.channel.publish(EXCHANGE, 'probe', Buffer.from('not JSON'), json);
    await nextLetter();
    await raw.channel.assertQueue(DEAD_LETTER_QUEUE, { durable: true, arguments: { 'x-max-length': DEAD_LETTERS_MAX, 'x-max-length-bytes': 32 * 1024 * 1024 } });
  });

  it('that kills its server costs a few of them and no more, and what came with it is not lost', async () => {
    await server.drain();
    let process = await startProbe(broker.url, EXCHANGE, 'k');
    const printed: string[] = [];
    const casts = ['done 1', 'done 2', 'die', 'done 3', 'done 4'].map((text) => client.note({ text }, newContext()));
    const idempotent = createClient(probe, asking, { retries: 200 }).echo({ value: 1 }, newContext({ timeoutMs: 120_000 }));
    idempotent.catch(() => {});
    await Promise.all(casts);
    for (let losses = 0; losses <= LOSSES_MAX; losses++) {
      await process.ended;
      printed.push(process.printed());
      if (losses < LOSSES_MAX) process = await startProbe(broker.url, EXCHANGE, 'k');
    }
    server = await serve(probe, answering, { server: 'a', handlers: probeHandlers('a', seen), log });
    const { letter } = await nextLetter();
    assert.deepEqual([letter.method, letter.losses, letter.reason], ['note', LOSSES_MAX, `${LOSSES_MAX + 1} servers were lost with it`]);
    assert.equal(await idempotent, 1);
    const all = () => [...printed, ...seen.notes].join(' ');
    await until(() => [1, 2, 3, 4].every((i) => all().includes(`done ${i}`)), 60_000);
    assert.ok(!seen.notes.includes('a: die'));
    assert.equal(await waitingIn('probe'), 0);
    await assert.rejects(createClient(probe, asking, { retries: 0 }).fail({ code: 'NOT_FOUND' }, newContext()), refusal('NOT_FOUND'));
  });
});
