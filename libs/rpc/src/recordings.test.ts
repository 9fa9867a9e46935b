/** Every message of the recordings: decoded and encoded again, and each request answered by our server as by oslo's. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ServiceError } from '@gatehouse/errors/service-error';
import { float, json, object, string } from '@gatehouse/objects/fields';
import type { JsonObject, JsonValue } from '@gatehouse/objects/field';
import { KeyPair } from '@gatehouse/objects/key-pair';
import { newNotes, probe, probeHandlers, refusal } from './conformance.ts';
import { defineContract, method } from './contract.ts';
import { endpoint } from './endpoint.ts';
import type { Handlers } from './endpoint.ts';
import { decodeReply, decodeRequest, encodeReply, encodeRequest } from './envelope.ts';
import { decodeFailure } from './failure.ts';
import { exchangesIn, messageIn, publishedIn } from './fixtures/test-vectors.ts';
import type { Exchange } from './fixtures/test-vectors.ts';
import { createMemoryTransport } from './memory-transport.ts';
import { serve } from './server.ts';
import type { IncomingRequest, Reply, Transport } from './transport.ts';

const RECORDINGS = [
  '02-call-result', '03-call-result-types', '04-call-exceptions', '05-cast-fanout', '06-call-heartbeat', '07-timeout-unroutable',
  '09-missing-reply-queue', '11-compression', '13-ping', '20-nova-object-call', '21-nova-backport',
];

describe('every recorded message', () => {
  for (const name of RECORDINGS) {
    it(`of ${name} is read and written again`, () => {
      const published = publishedIn(name);
      assert.ok(published.length > 0);
      for (const { body } of published) {
        const { _unique_id: recordedId, ...recorded } = messageIn(body);
        const { _unique_id: uniqueId, ...written } = messageIn('method' in recorded ? rewriteRequest(body) : rewriteReply(body));
        assert.deepEqual(written, recorded);
        assert.match(String(recordedId), /^[0-9a-f]{32}$/);
        assert.match(String(uniqueId), /^[0-9a-f]{32}$/);
      }
    });
  }

  it('that was damaged on its way is read, or refused for what it is', () => {
    const bodies = RECORDINGS.flatMap(publishedIn).map(({ body }) => body);
    const damage = fc.array(fc.tuple(fc.nat(), fc.constantFrom('', '"', '\\', '{', '}', '[', ',', ':', 'NaN', '-', '9007199254740993', '"__proto__": ', '\\\\\\"', '\u0000', '\ud83d', '2.1')), { minLength: 1, maxLength: 4 });
    const property = fc.property(fc.constantFrom(...bodies), damage, fc.nat({ max: 30 }), (body, pieces, cut) => {
      let damaged = body;
      for (const [at, piece] of pieces) damaged = damaged.slice(0, at % damaged.length) + piece + damaged.slice((at % damaged.length) + (at % 3));
      const bytes = Buffer.from(cut === 0 ? damaged.slice(0, damaged.length / 2) : damaged);
      for (const decode of [decodeRequest, decodeReply]) {
        try {
          const decoded = decode(bytes);
          if ('failure' in decoded && decoded.failure !== null) assert.ok(decodeFailure(decoded.failure) instanceof ServiceError);
        } catch (error) {
          refusal('INVALID_ARGUMENT')(error);
        }
      }
    });
    fc.assert(property, { numRuns: 2_000, seed: 20260701 });
  });

  it('with a number beyond JSON keeps it, to the digit', () => {
    const numbers = publishedIn('03-call-result-types').flatMap(({ body }) => {
      const [, token] = /\\"result\\": (NaN|-?Infinity|-?\d{17,}),/.exec(body) ?? [];
      return token === undefined ? [] : [{ token, written: rewriteReply(body).toString() }];
    });
    assert.deepEqual(numbers.map(({ token }) => token), ['1180591620717411303424', 'NaN', 'Infinity']);
    for (const { token, written } of numbers) assert.ok(written.includes(`\\"result\\":${token},`), written);
  });
});

function rewriteRequest(body: string): Buffer {
  const { address, message } = decodeRequest(Buffer.from(body));
  if (message instanceof ServiceError) throw message;
  const { msgId, replyQueue, monitorTimeoutMs } = address;
  return encodeRequest(message, msgId === null ? null : { msgId, replyQueue: replyQueue ?? '', monitorTimeoutMs });
}

function rewriteReply(body: string): Buffer {
  const { msgId, result, failure, ending } = decodeReply(Buffer.from(body));
  return encodeReply(msgId, { result, failure }, ending);
}

/** Takes what no field of ours does: numbers beyond JSON. */
const anything = { ...json(), fromWire: (value: unknown) => value as JsonValue, toWire: (value: JsonValue) => value };

const console13 = defineContract({
  topic: 'console',
  version: '1.3',
  methods: {
    echo: method({ since: '1.0', args: { value: json() }, result: json() }),
    add: method({ since: '1.2', args: { a: float(), b: float() }, result: float() }),
    types: method({ since: '1.0', args: { kind: string() }, result: anything }),
    slow: method({ since: '1.0', args: { seconds: float() }, result: string() }),
    notify: method({ since: '1.0', kind: 'cast', args: { x: json() } }),
    raiseValue: method({ since: '1.0' }),
  },
});

/** What the recorded server's method answered, as Python's JSON has it. */
const TYPES: Readonly<Record<string, unknown>> = {
  none: null, bool: true, false: false, zero: 0, empty_string: '', empty_list: [], empty_dict: {}, int: 42, bigint: 2n ** 70n, float: 1.5, string: 'text', unicode: 'café 日本 \u{1F600}',
  list: [1, 'a', null], dict: { a: { b: [1, 2] } }, int_keys: { 1: 'one' }, tuple: [1, 2], set: [7], bytes: 'bytes', datetime_naive: '2026-07-01T10:20:30.123456',
  datetime_utc: '2026-07-01T10:20:30.000000', uuid: '12345678-1234-5678-1234-567812345678', ip: '192.0.2.1', nan: Number.NaN, inf: Infinity,
};

const consoleHandlers: Handlers<typeof console13> = {
  echo: ({ value }) => value,
  add: ({ a, b }) => a + b,
  types: ({ kind }) => TYPES[kind] as JsonValue,
  slow: ({ seconds }) => `slept ${seconds}`,
  notify: () => {},
  raiseValue: () => {
    throw new Error("('café', 42)");
  },
};

function inNamespace(namespace: string) {
  const contract = defineContract({ topic: 'console', version: '2.5', namespace, methods: { echo: method({ since: '2.0', args: { value: json() }, result: json() }) } });
  return endpoint(contract, { echo: ({ value }) => ['ns', value] });
}

/** Puts a recorded request to the server of a topic. */
async function ask(transport: Transport, topic: string, { body, request }: Exchange): Promise<Reply | null> {
  const { message } = decodeRequest(Buffer.from(body));
  if (message instanceof ServiceError) throw message;
  return transport.request({ kind: '_msg_id' in request ? 'call' : 'cast', topic, message, deadline: Date.now() + 5_000 });
}

const consoles = createMemoryTransport();
const consoleauth = createMemoryTransport();

/** `changes` have no order: they are a set in Python. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([key, each]) => [key, key === 'nova_object.changes' ? (each as string[]).toSorted() : sorted(each)]);
  return Object.fromEntries(members) as unknown;
}

/** Where the original failed, whether ours must fail as the very same class with the very same words. */
function sameAnswer(given: Reply | null, { request, reply }: Exchange, isSameFailure: (name: string) => boolean): void {
  if (reply === null) return assert.ok(given === null || !('_msg_id' in request) || given.failure === null);
  if (typeof reply['failure'] !== 'string') return assert.deepEqual(sorted(given), sorted({ result: reply['result'] ?? null, failure: null }), String(request['method']));
  assert.equal(given?.result, null);
  const [theirs, ours] = [reply['failure'], given?.failure ?? '{}'].map((text) => JSON.parse(text) as Record<string, unknown>);
  assert.deepEqual(Object.keys(ours ?? {}).slice(0, 6), ['class', 'module', 'message', 'tb', 'args', 'kwargs']);
  if (!isSameFailure(String(theirs?.['class']))) return;
  const parts = (failure: Record<string, unknown> | undefined) => [failure?.['module'], failure?.['class'], failure?.['message'], failure?.['args']];
  assert.deepEqual(parts(ours), parts(theirs));
  for (const [keyword, value] of Object.entries(theirs?.['kwargs'] ?? {})) {
    if (keyword !== 'token' && keyword !== 'code') assert.equal((ours?.['kwargs'] as JsonObject)[keyword], value);
  }
}

describe('every recorded request', () => {
  before(async () => {
    await serve(console13, consoles, { server: 'host1', handlers: consoleHandlers, others: [inNamespace('console'), inNamespace('old_console')] });
  });

  after(() => Promise.all([consoles.close(), consoleauth.close()]));

  for (const name of RECORDINGS.filter((each) => !/nova|missing-reply-queue/.test(each))) {
    it(`of ${name} is answered as it was`, async () => {
      const exchanges = exchangesIn(name);
      assert.ok(exchanges.length > 0);
      for (const exchange of exchanges) {
        const given = await ask(consoles, 'console', exchange);
        sameAnswer(given, exchange, (failed) => failed === 'NoSuchMethod' || failed === 'UnsupportedVersion');
      }
    });
  }

  it('with Nova\'s objects and context is answered as it was, and a newer object asked back as Nova asked', async () => {
    const backports = exchangesIn('21-nova-backport').filter(({ request }) => request['method'] === 'object_backport_versions');
    const asked: IncomingRequest[] = [];
    await consoleauth.listen({
      topic: 'conductor',
      server: 'conductor1',
      requestsMax: 1,
      handle: async (request) => {
        asked.push(request);
        return { result: backports[0]?.reply?.['result'] ?? null, failure: null };
      },
    });
    const server = await serve(recordedConsoleauth, consoleauth, {
      server: 'host1',
      handlers: recordedHandlers,
      backportPeer: { topic: 'conductor', version: '3.0' },
    });
    for (const exchange of exchangesIn('21-nova-backport')) {
      if (exchange.request['method'] === 'describe') sameAnswer(await ask(consoleauth, 'consoleauth', exchange), exchange, () => true);
    }
    assert.deepEqual(
      asked.map(({ message: { method: name, args, version } }) => ({ name, args, version })),
      backports.map(({ request }) => ({ name: request['method'], args: request['args'], version: request['version'] })),
    );
    await server.drain();
  });

  it('with Nova\'s objects inside lists and maps is answered as it was, its errors by class', async () => {
    const server = await serve(recordedAnything, consoleauth, { server: 'host1', handlers: anythingHandlers });
    for (const exchange of exchangesIn('20-nova-object-call')) sameAnswer(await ask(consoleauth, 'consoleauth', exchange), exchange, (failed) => failed === 'InvalidToken');
    await server.drain();
  });

  it('is refused by our own probe where it asks for what the probe has not', async () => {
    const transport = createMemoryTransport();
    await serve(probe, transport, { server: 'a', handlers: probeHandlers('a', newNotes()) });
    for (const [wanted, cls] of [['_private', 'NoSuchMethod'], ['constructor', 'NoSuchMethod'], ['__proto__', 'NoSuchMethod'], ['firstNumber', 'NoSuchMethod']] as const) {
      const message = { method: wanted, args: {}, namespace: null, version: null, context: {} };
      const reply = await transport.request({ kind: 'call', topic: 'probe', message, deadline: Date.now() + 5_000 });
      assert.equal((JSON.parse(reply?.failure ?? '{}') as JsonObject)['class'], cls, wanted);
    }
    await transport.close();
  });
});

const recordedConsoleauth = defineContract({
  topic: 'consoleauth',
  version: '1.0',
  objects: { '1.0': KeyPair.manifest },
  methods: { describe: method({ since: '1.0', args: { obj: object(KeyPair) }, result: json() }) },
});

const recordedHandlers: Handlers<typeof recordedConsoleauth> = {
  describe: (_args, { userId }) => ({ ctx: `RequestContext user=${userId}`, obj: `KeyPair ${KeyPair.version} changed=[]` }),
};

const recordedAnything = defineContract({
  topic: 'consoleauth',
  version: '1.0',
  methods: {
    echo: method({ since: '1.0', args: { obj: json() }, result: json() }),
    describe: method({ since: '1.0', args: { a: json(), b: json(), c: json(), d: json(), e: json() }, result: json() }),
    fail: method({ since: '1.0' }),
    failToken: method({ since: '1.0' }),
  },
});

const anythingHandlers: Handlers<typeof recordedAnything> = {
  echo: ({ obj }) => obj,
  describe: (args, { userId }) => ({ ctx: `RequestContext user=${userId}`, ...(described(args as unknown as JsonValue) as JsonObject) }),
  fail: () => {
    throw new ServiceError('NOT_FOUND', 'Instance could not be found.');
  },
  failToken: () => {
    throw new ServiceError('UNAUTHENTICATED', "The token '***' is invalid or has expired");
  },
};

/** In the words of the recorded server's `describe`. */
function described(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(described);
  if (typeof value !== 'object' || value === null) return value === null ? 'None' : String(value);
  const parts = value as JsonObject;
  if (!('nova_object.name' in parts)) return Object.fromEntries(Object.entries(parts).map(([key, each]) => [key, described(each)]));
  const changes = ((parts['nova_object.changes'] ?? []) as readonly string[]).toSorted().map((each) => `'${each}'`);
  return `${String(parts['nova_object.name'])} ${String(parts['nova_object.version'])} changed=[${changes.join(', ')}]`;
}
