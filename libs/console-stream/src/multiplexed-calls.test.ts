/** The stream that the calls of many consoles share, as the proxy uses it: at hosts that do what they like, and stop when they like. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { parseAddress } from './address.ts';
import { attachConsole } from './attach-console.ts';
import type { AttachedConsole } from './attach-console.ts';
import { encodeResponse } from './attach-messages.ts';
import { MULTIPLEXED_PATH, decodeMultiplexedRequest, encodeMultiplexedResponse } from './multiplexed-messages.ts';
import type { MultiplexedRequest, MultiplexedResponse } from './multiplexed-messages.ts';
import { SECRET, failsWith, until } from './test-streams.ts';

const opened = encodeResponse({ opened: { outputOffset: 0, inputOffset: 0, windowBytes: 65536, ticket: null } });
const data = encodeResponse({ data: { offset: 0, ack: 0, payload: Buffer.from('x') } });

interface FakeStream {
  readonly heard: readonly MultiplexedRequest[];
  readonly isOver: boolean;
  say(response: MultiplexedResponse): void;
  sayBytes(bytes: Buffer): void;
  end(): void;
  /** As a host does that does not know the method. */
  refuse(): void;
}

describe('consoles whose calls share a stream', () => {
  let host: Server;
  let endpoint: string;
  const streams: FakeStream[] = [];

  function fake(stream: ServerDuplexStream<Buffer, Buffer>): void {
    const heard: MultiplexedRequest[] = [];
    let isOver = false;
    stream.on('data', (bytes: Buffer) => heard.push(decodeMultiplexedRequest(bytes)));
    stream.on('cancelled', () => (isOver = true));
    const sayBytes = (bytes: Buffer): void => void stream.write(bytes);
    const say = (response: MultiplexedResponse): void => sayBytes(encodeMultiplexedResponse(response));
    streams.push({ heard, get isOver() { return isOver; }, say, sayBytes, end: () => void stream.end(), refuse: () => void stream.emit('error', { code: status.UNIMPLEMENTED }) });
  }

  beforeEach(async () => {
    host = new Server();
    const same = (bytes: Buffer): Buffer => bytes;
    const method = { path: MULTIPLEXED_PATH, requestStream: true, responseStream: true, requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same };
    host.addService({ attachMultiplexed: method }, { attachMultiplexed: fake });
    const port = await new Promise<number>((resolve, reject) => host.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))));
    endpoint = `127.0.0.1:${port}`;
  });
  afterEach(() => {
    host.forceShutdown();
    streams.length = 0;
  });

  const attach = (signal?: AbortSignal): Promise<AttachedConsole> => attachConsole({ endpoint, sessionId: 's-1', attachSecret: SECRET, byteConnection: true, signal });
  async function attachSeveral(count: number): Promise<{ readonly stream: FakeStream; readonly attached: readonly Promise<AttachedConsole>[] }> {
    const attached = Array.from({ length: count }, () => attach());
    for (const each of attached) each.catch(() => {});
    await until(() => streams[0]?.heard.length === count);
    return { stream: streams[0]!, attached };
  }

  it('number them in their order, on one stream', async () => {
    const { stream } = await attachSeveral(3);
    assert.deepEqual(stream.heard.map(({ call }) => call), [1, 2, 3]);
    assert.equal(streams.length, 1);
  });

  it('all end when their connection is lost, and the next is opened on another', async () => {
    const between: Socket[] = [];
    const direct = parseAddress(endpoint);
    const relay = createServer((from) => {
      const to = connect({ ...direct, noDelay: true });
      between.push(...[from, to].map((socket) => socket.on('error', () => {})));
      from.pipe(to).pipe(from);
    }).listen(0, '127.0.0.1');
    await once(relay, 'listening');
    endpoint = `127.0.0.1:${(relay.address() as AddressInfo).port}`;
    const { attached } = await attachSeveral(3);
    for (const socket of between.splice(0)) socket.resetAndDestroy();
    for (const each of attached) await assert.rejects(each, failsWith('UNAVAILABLE', /./));
    attach().catch(() => {});
    await until(() => streams[1]?.heard.length === 1);
    for (const socket of between) socket.destroy();
    relay.close();
  });

  it('are lost to a host that ends the stream under them, and the next console has another one', async () => {
    const { stream, attached } = await attachSeveral(2);
    stream.end();
    for (const each of attached) await assert.rejects(each, failsWith('UNAVAILABLE', /ended the stream/));
    attach().catch(() => {});
    await until(() => streams[1]?.heard.length === 1);
    assert.equal(streams[1]?.heard[0]?.call, 1);
  });

  it('are asked for again after the last console at a host that knew of no such stream: it may have been upgraded', async () => {
    const { stream, attached } = await attachSeveral(2);
    // Nor does this host know calls of their own.
    stream.refuse();
    for (const each of attached) await assert.rejects(each);
    attach().catch(() => {});
    await until(() => streams[1]?.heard.length === 1);
  });

  it('end one by one, each with the status that was meant for it', async () => {
    const { stream, attached } = await attachSeveral(3);
    stream.say({ call: 2, what: { code: 9, details: 'since noon', errorCode: 'PORT_IN_USE' } });
    await assert.rejects(attached[1]!, failsWith('PORT_IN_USE', /since noon/));
    stream.say({ call: 3, what: { code: 99, details: '', errorCode: 'of another version' } });
    await assert.rejects(attached[2]!, failsWith('INTERNAL', /gRPC status 99/));
    // Of one that is over already.
    stream.say({ call: 2, what: data });
    stream.say({ call: 1, what: { code: 0, details: '', errorCode: '' } });
    await assert.rejects(attached[0]!, failsWith('INTERNAL', /before it opened the console/));
  });

  it('take no bytes in the call, and not before a ticket either', async () => {
    const { stream, attached } = await attachSeveral(2);
    stream.say({ call: 1, what: data });
    await assert.rejects(attached[0]!, failsWith('INTERNAL', /did not begin with Opened/));
    stream.say({ call: 2, what: opened });
    await assert.rejects(attached[1]!, failsWith('INTERNAL', /no ticket/));
    await until(() => stream.heard.filter(({ what }) => what === 'cancel').length === 2);
  });

  for (const [name, bytes, code, words] of [
    ['speaks of a call that nobody has opened', encodeMultiplexedResponse({ call: 3, what: opened }), 'INTERNAL', /a call 3 that nobody has opened/],
    ['sends what is no message', Buffer.from([0xff]), 'INVALID_ARGUMENT', /not a message/],
  ] as const) {
    it(`all fail, with these words, at a host that ${name}`, async () => {
      const { stream, attached } = await attachSeveral(2);
      stream.sayBytes(bytes);
      for (const each of attached) await assert.rejects(each, failsWith(code, words));
      await until(() => stream.isOver);
    });
  }

  it('are left one by one while they are opened, and the stream soon after the last', async () => {
    const gone = new AbortController();
    const { stream } = await attachSeveral(1);
    const left = attach(gone.signal);
    await until(() => stream.heard.length === 2);
    gone.abort();
    await assert.rejects(left);
    await until(() => stream.heard.length === 3);
    assert.deepEqual(stream.heard[2], { call: 2, what: 'cancel' });
    stream.say({ call: 1, what: { code: 0, details: '', errorCode: '' } });
    await until(() => stream.isOver);
    assert.equal(streams.length, 1);
  });
});
