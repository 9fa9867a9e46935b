/** Requests that no client of ours writes, put to our server as bytes: what oslo's server takes and refuses, ours does. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import type { Channel, Options } from 'amqplib';
import { startRabbitmq } from '../../../test/servers/rabbitmq.ts';
import type { Rabbitmq } from '../../../test/servers/rabbitmq.ts';
import { runFor } from '../../../test/servers/running-time.ts';
import { createAmqpTransport } from './amqp-transport.ts';
import { newNotes, probe, probeHandlers, until } from './conformance.ts';
import type { Notes } from './conformance.ts';
import { endpoint } from './endpoint.ts';
import { decodeReply } from './envelope.ts';
import type { DecodedReply } from './envelope.ts';
import { rawChannel } from './fixtures/broker.ts';
import { defineContract, method } from './contract.ts';
import { serve } from './server.ts';
import type { RpcServer } from './server.ts';
import { SILENT } from './transport.ts';
import type { Transport } from './transport.ts';

const EXCHANGE = 'handwritten';
const JSON_TYPE = { contentType: 'application/json', contentEncoding: 'utf-8' };
const named = defineContract({ topic: 'probe', version: '2.5', namespace: 'named', methods: { who: method({ since: '2.0' }) } });

const envelope = (message: string, version: unknown = '2.0'): string => JSON.stringify({ 'oslo.version': version, 'oslo.message': message });

describe('a handwritten request', function () {
  this.timeout(60_000);
  let broker: Rabbitmq;
  let transport: Transport;
  let server: RpcServer;
  let seen: Notes;
  let raw: { readonly channel: Channel; readonly close: () => Promise<void> };
  const replyQueue = `reply_${randomUUID().replaceAll('-', '')}`;
  const replies: DecodedReply[] = [];
  const warnings: string[] = [];
  const losses = (): number => warnings.filter((message) => message.includes('was lost')).length;

  before(async () => {
    broker = await startRabbitmq();
    const log = { ...SILENT, warn: (_facts: object, message: string) => void warnings.push(message) };
    transport = createAmqpTransport({ url: broker.url, exchange: EXCHANGE, connectionName: 'ours', log });
    seen = newNotes();
    server = await serve(probe, transport, { server: 'a', handlers: probeHandlers('a', seen), others: [endpoint(named, { who: () => {} })] });
    raw = await rawChannel(broker);
    await raw.channel.assertQueue(replyQueue, { durable: false, autoDelete: false, expires: 60_000 });
    await raw.channel.consume(replyQueue, (message) => message !== null && replies.push(decodeReply(message.content)), { noAck: true });
  });

  after(async () => {
    await raw?.close();
    await server?.drain();
    await transport?.close();
    await broker?.stop();
  });

  const publish = (body: string | Buffer, options: Options.Publish = JSON_TYPE, to: readonly [exchange: string, key: string] = [EXCHANGE, 'probe']): boolean =>
    raw.channel.publish(to[0], to[1], Buffer.from(body), options);
  const replyTo = async (msgId: string): Promise<DecodedReply> => {
    await until(() => replies.some((reply) => reply.msgId === msgId && reply.ending));
    return replies.find((reply) => reply.msgId === msgId && reply.ending) as DecodedReply;
  };
  /** The same with an address added, as text, for what an object cannot hold. */
  const ask = async (parts: string, wrap: (message: string) => string | Buffer = envelope, ...rest: [options?: Options.Publish, to?: readonly [string, string]]): Promise<DecodedReply> => {
    const msgId = randomUUID().replaceAll('-', '');
    publish(wrap(`{${parts}${parts === '' ? '' : ', '}"_msg_id": "${msgId}", "_reply_q": "${replyQueue}"}`), ...rest);
    return replyTo(msgId);
  };
  const failureOf = async (...args: Parameters<typeof ask>): Promise<readonly [cls: string, message: string]> => {
    const { failure, result } = await ask(...args);
    assert.equal(result, null);
    const { class: cls, message } = JSON.parse(failure ?? '{}') as Record<string, string>;
    return [cls ?? '', message ?? ''];
  };

  it('that nobody can answer is out of the queue, and those behind it are served', async () => {
    const poison: readonly (readonly [body: string | Buffer, options?: Options.Publish])[] = [
      [''],
      ['not JSON'],
      ['[1, 2]'],
      [Buffer.from([0x7b, 0xff, 0x7d])],
      [envelope('{"method": "who"}'), {}],
      [envelope('{"method": "who"}'), { contentType: 'text/plain' }],
      [envelope('nothing'), JSON_TYPE],
      [envelope('[]'), JSON_TYPE],
      ...['2.1', '1.0', '2.0.1', '3.0', '2', '', null, 2].map((version) => [envelope('{"method": "who"}', version), JSON_TYPE] as const),
      [deflateSync(Buffer.alloc(17 * 1024 * 1024, 0x20)), { ...JSON_TYPE, headers: { compression: 'application/x-gzip' } }],
      [envelope('{"method": "who"}'), { ...JSON_TYPE, headers: { compression: 'application/x-lzma' } }],
    ];
    for (const [body, options] of poison) publish(body, options);
    assert.equal((await ask('"method": "who"')).result, 'a');
  });

  it('that asks for nonsense is told so', async () => {
    const nonsense: readonly (readonly [parts: string, cls: string, words: RegExp])[] = [
      ['', 'Invalid', /^method: expected a name$/],
      ['"method": 5', 'Invalid', /^method: /],
      ['"method": "who", "args": [1]', 'Invalid', /^args: /],
      ['"method": "who", "args": null', 'Invalid', /^args: /],
      ['"method": "who", "version": "1"', 'Invalid', /^version: /],
      ['"method": "who", "version": "abc"', 'Invalid', /^version: /],
      ['"method": "who", "version": "1.x"', 'Invalid', /^version: /],
      ['"method": "_private"', 'NoSuchMethod', /RPC method _private$/],
      ['"method": "__init__"', 'NoSuchMethod', /RPC method __init__$/],
      ['"method": "constructor"', 'NoSuchMethod', /RPC method constructor$/],
      ['"method": "who", "version": "1.3"', 'UnsupportedVersion', /version 1\.3\. Attempted method: who$/],
      ['"method": "who", "version": "2.0"', 'UnsupportedVersion', /version 2\.0\. /],
      ['"method": "who", "version": "0.9"', 'UnsupportedVersion', /version 0\.9\. /],
      ['"method": "who", "namespace": "other"', 'UnsupportedVersion', /version 1\.0\. /],
      ['"method": "who", "namespace": "named"', 'UnsupportedVersion', /version 1\.0\. /],
      ['"method": "echo", "namespace": "named", "version": "2.0"', 'NoSuchMethod', /RPC method echo$/],
      ['"method": "echo"', 'Invalid', /^probe\.echo\.value: is missing$/],
      ['"method": "echo", "args": {"value": NaN}', 'Invalid', /^probe\.echo\.value: /],
      ['"method": "echo", "args": {"value": [1180591620717411303424]}', 'Invalid', /^probe\.echo\.value/],
      ['"method": "echo", "args": {"value": "\\ud83d"}', 'Invalid', /^probe\.echo\.value: .*half a surrogate/],
      ['"method": "add", "version": "1.2", "args": {"first_number": 9007199254740993, "second_number": 1}', 'Invalid', /^probe\.add\.first_number: /],
      ['"method": "who", "_context_user_id": 5', 'Invalid', /^_context_user_id: /],
    ];
    for (const [parts, cls, words] of nonsense) {
      const [given, message] = await failureOf(parts);
      assert.equal(given, cls, parts);
      assert.match(message, words, parts);
    }
  });

  it('with a forged way back costs one connection at most, and is answered by its queue where it has one', async () => {
    const forged = 'amq.rabbitmq.reply-to.Zm9yZ2Vk.Zm9yZ2Vk';
    publish(envelope(`{"method": "who", "_msg_id": "forged", "_reply_q": "${forged}"}`));
    assert.equal((await ask('"method": "who"')).result, 'a');
    assert.equal(losses(), 0);
    assert.equal((await ask('"method": "echo", "args": {"value": 1}', envelope, { ...JSON_TYPE, replyTo: forged })).result, 1);
    assert.equal(losses(), 1);
  });

  it('of many that nobody waits for any more costs a line of the log a second, and service goes on', async () => {
    const drops = (): number => warnings.filter((message) => message.includes('answers were dropped')).length;
    for (let i = 0; i < 3_000; i++) publish(envelope(`{"method": "who", "_msg_id": "m${i}", "_reply_q": "reply_gone_${i}"}`));
    await until(() => drops() > 0);
    assert.equal((await ask('"method": "who"')).result, 'a');
    assert.ok(drops() < 20, `${drops()} lines`);
  });

  it('needs no more than a method', async () => {
    publish(envelope('{"method": "note", "args": {"text": "minimal"}}'));
    publish('{"method": "note", "args": {"text": "without envelope"}}', { contentType: 'application/json' });
    await until(() => seen.notes.length === 2);
    assert.deepEqual(seen.notes, ['a: minimal', 'a: without envelope']);
  });

  it('is taken in every form that oslo takes', async () => {
    const plain = (message: string): string => message;
    assert.equal((await ask('"method": "who"')).result, 'a');
    assert.equal((await ask('"method": "who"', plain)).result, 'a');
    assert.equal((await ask('"method": "who"', (message) => envelope(message, '2.0.0'))).result, 'a');
    assert.equal((await ask('"method": "who"', (message) => JSON.stringify({ ...(JSON.parse(message) as object), 'oslo.version': '7.0' }))).result, 'a');
    assert.equal((await ask('"method": "who", "args": {"unknown": 1}, "version": "1.2", "namespace": null, "_timeout": null')).result, 'a');
    for (const timeout of ['"30"', '"abc"', '30', '1', '-1', '0', '{}']) assert.equal((await ask(`"method": "who", "_timeout": ${timeout}`)).result, 'a', timeout);
    assert.deepEqual((await ask('"method": "echo", "_context_nan": NaN, "_context_auth_token": 1180591620717411303424, "args": {"value": "\\ud83d\\ude00"}')).result, '\u{1F600}');
    assert.equal((await ask('"method": "who", "method": "oslo_rpc_server_ping"')).result, 'pong');
    assert.deepEqual(await failureOf('"method": "who", "namespace": "named", "version": "2.6"'), ['UnsupportedVersion', 'Endpoint does not support RPC version 2.6. Attempted method: who']);
    assert.equal((await ask('"method": "who", "namespace": "named", "version": "2.5"')).failure, null);
    const packed = (message: string): Buffer => deflateSync(envelope(message));
    assert.equal((await ask('"method": "who"', packed, { ...JSON_TYPE, headers: { compression: 'application/x-gzip' } })).result, 'a');
  });

  it('is answered whichever way it came', async () => {
    for (const to of [[EXCHANGE, 'probe.a'], ['', 'probe'], ['', 'probe.a'], ['probe_fanout', '']] as const) {
      assert.equal((await ask('"method": "who"', envelope, JSON_TYPE, to)).result, 'a', to.join(' '));
    }
  });

  it('gets signs of life at half of the seconds that it names, a text or a number', async () => {
    const { msgId } = await ask('"method": "wait", "args": {"ms": 5500}, "_timeout": "2"');
    const beats = replies.filter((reply) => reply.msgId === msgId && !reply.ending);
    assert.ok(beats.length >= 2, `${beats.length} signs of life`);
    for (const { result, failure } of beats) assert.deepEqual([result, failure], [null, null]);
  });

  it('that comes twice runs once', async () => {
    const before = seen.notes.length;
    for (let i = 0; i < 3; i++) publish(envelope('{"method": "note", "args": {"text": "once"}, "_unique_id": "0123456789abcdef0123456789abcdef"}'));
    await ask('"method": "who"');
    await runFor(50);
    assert.equal(seen.notes.length, before + 1);
  });
});
