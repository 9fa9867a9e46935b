/**
 * The serving side over AMQP: a topic's queues, their requests, the answers.
 *
 * A request is acknowledged when it has been answered, so that one whose server is lost goes to another at once
 * instead of vanishing. What comes a second time that way is marked `redelivered`, or dropped here while this process
 * works on it (its connection was cut, not the process). One that has ended here is not dropped where a caller waits:
 * its answer may have been lost with the connection. The channel is set up again, from the declarations on, whenever
 * it ends: connection lost, closed by the broker, a queue deleted under its consumer.
 */
import type { Channel, ConsumeMessage, Message, Options } from 'amqplib';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import { AckBatch } from './ack-batch.ts';
import type { AmqpConnection } from './amqp-connection.ts';
import { backoffMs, problemOf } from './amqp-connection.ts';
import { declareServerQueues, DIRECT_REPLY, fanoutExchange, properties } from './amqp-topology.ts';
import type { TopologyOptions } from './amqp-topology.ts';
import { encodeAnswer, refusalReply } from './answer.ts';
import { CONTENT_TYPE, decodeRequest, encodeDirectReply, encodeReply } from './envelope.ts';
import type { DecodedRequest, MessageAddress } from './envelope.ts';
import { KnownRequests } from './known-requests.ts';
import type { Listener, Listening, Reply, RpcLog } from './transport.ts';

/** Answers that wait for the way back: the connection, or a reply queue that its client has yet to make again. */
const WAITING_ANSWERS_MAX = 1_000;
const RETURNED_TRIES_MAX = 6;
const RETURNED_PAUSE_MS = 250;
/** A channel that ends sooner than this counts as a failure, so that it is not made again in a tight loop. */
const STEADY_MS = 1_000;
const TRY_HEADER = 'x-gatehouse-try';

interface Answer {
  readonly key: string;
  readonly body: Buffer;
  readonly options: Options.Publish;
}

/** Resolves when requests arrive. */
export async function listenOn(connection: AmqpConnection, topology: TopologyOptions, listener: Listener, log: RpcLog): Promise<Listening> {
  const listening = new AmqpListener(connection, topology, listener, log);
  await listening.start();
  return listening;
}

class AmqpListener implements Listening {
  readonly #connection: AmqpConnection;
  readonly #topology: TopologyOptions;
  readonly #listener: Listener;
  readonly #log: RpcLog;
  readonly #known = new KnownRequests();
  /** Calls at work, by message id: where their answer goes. */
  readonly #atWork = new Map<string, string>();
  readonly #closing = new AbortController();
  #waitingAnswers: Answer[] = [];
  #returnedAnswers = 0;
  #channel: Channel | null = null;
  #acks: AckBatch | null = null;
  #consumerTags: string[] = [];
  #isPaused = false;

  constructor(connection: AmqpConnection, topology: TopologyOptions, listener: Listener, log: RpcLog) {
    this.#connection = connection;
    this.#topology = topology;
    this.#listener = listener;
    this.#log = log;
  }

  start(): Promise<void> {
    return new Promise((resolve, reject) => void this.#keepUp(resolve).catch(reject));
  }

  async pause(): Promise<void> {
    this.#isPaused = true;
    const channel = this.#channel;
    if (channel === null) return;
    await Promise.all(this.#consumerTags.splice(0).map((tag) => channel.cancel(tag))).catch(() => {});
    // From now on the queue looks deserted: those who wait for our answer must know better.
    for (const [msgId, key] of this.#atWork) this.#send({ key, body: encodeReply(msgId, { result: null, failure: null }, false), options: { deliveryMode: 1 } });
  }

  async close(): Promise<void> {
    this.#isPaused = true;
    this.#closing.abort();
    const channel = this.#channel;
    this.#channel = null;
    this.#acks?.flush();
    await channel?.close().catch(() => {});
  }

  async #keepUp(onReady: () => void): Promise<void> {
    const { topic, server } = this.#listener;
    for (let failures = 0; !this.#closing.signal.aborted; ) {
      try {
        const { ended } = await this.#setUp();
        const since = Date.now();
        onReady();
        await ended;
        failures = Date.now() - since < STEADY_MS ? failures + 1 : 0;
      } catch (error) {
        // Closed for good, and nobody's request any more.
        if (this.#closing.signal.aborted) return;
        if (error instanceof ServiceError) throw error;
        this.#log.warn({ topic, server, problem: problemOf(error) }, 'the queues could not be served; trying again');
        failures += 1;
      }
      if (failures > 0) await sleep(backoffMs(failures), undefined, { signal: this.#closing.signal }).catch(() => {});
    }
  }

  /** Resolves when a channel serves; `ended` when it no longer does. */
  async #setUp(): Promise<{ readonly ended: Promise<void> }> {
    const channel = await (await this.#connection.model()).createChannel();
    const ended = new Promise<void>((resolve) => channel.on('close', resolve));
    channel.on('error', (error: unknown) => this.#log.warn({ topic: this.#listener.topic, problem: problemOf(error) }, 'the channel for requests failed'));
    channel.on('return', (message: Message) => this.#onReturnedAnswer(message));
    if (!this.#isPaused) await this.#consume(channel);
    this.#channel = channel;
    for (const answer of this.#waitingAnswers.splice(0)) this.#send(answer);
    const forget = (): void => {
      if (this.#channel === channel) this.#channel = null;
      this.#consumerTags = [];
    };
    return { ended: ended.then(forget) };
  }

  async #consume(channel: Channel): Promise<void> {
    const { topic, server, requestsMax } = this.#listener;
    const acks = new AckBatch(channel);
    const queues = await declareServerQueues(channel, this.#topology, topic, server);
    await channel.prefetch(requestsMax);
    // Answers must find their channel from the first request on.
    this.#channel = channel;
    this.#acks = acks;
    for (const queue of queues) {
      const { consumerTag } = await channel.consume(queue, (message) => this.#onMessage(channel, acks, message));
      this.#consumerTags.push(consumerTag);
    }
  }

  #onMessage(channel: Channel, acks: AckBatch, message: ConsumeMessage | null): void {
    if (message === null) {
      this.#log.warn({ topic: this.#listener.topic }, 'a queue was deleted under its consumer; making it again');
      void channel.close().catch(() => {});
      return;
    }
    acks.delivered(message);
    const decoded = this.#decode(acks, message);
    if (decoded === null) return;
    const { uniqueId, msgId } = decoded.address;
    const state = uniqueId === null ? null : this.#known.stateOf(uniqueId);
    const isAnswerLost = state === 'ended' && message.fields.redelivered && msgId !== null;
    if (state !== null && !isAnswerLost) {
      this.#log.debug({ topic: this.#listener.topic, uniqueId }, 'a request came twice');
      return acks.done(message);
    }
    if (uniqueId !== null) this.#known.begin(uniqueId);
    void this.#serve(acks, message, decoded);
  }

  /** Null when it is no message that could be answered: then it is out of the queue, and never comes again. */
  #decode(acks: AckBatch, message: ConsumeMessage): DecodedRequest | null {
    if (message.content.length === 0) {
      acks.done(message);
      return null;
    }
    try {
      const type: unknown = message.properties.contentType;
      if (type !== CONTENT_TYPE) throw new ServiceError('INVALID_ARGUMENT', `the content type is not ${CONTENT_TYPE}`);
      return decodeRequest(message.content);
    } catch (error) {
      const { exchange, routingKey } = message.fields;
      this.#log.error({ exchange, routingKey, bytes: message.content.length, problem: problemOf(error) }, 'a message that is no request was refused');
      acks.reject(message);
      return null;
    }
  }

  async #serve(acks: AckBatch, message: ConsumeMessage, { address, message: request }: DecodedRequest): Promise<void> {
    const { msgId } = address;
    const key = msgId === null ? null : replyKey(message, address);
    const wantsReply = msgId !== null && key !== null;
    if (wantsReply) this.#atWork.set(msgId, key);
    const heartbeat = wantsReply ? this.#monitor(msgId, key, address.monitorTimeoutMs) : undefined;
    const { redelivered, exchange } = message.fields;
    const reply =
      request instanceof ServiceError
        ? refusalReply(request)
        : await this.#listener.handle({
            message: request,
            wantsReply,
            redelivered: redelivered && exchange !== fanoutExchange(this.#listener.topic),
            expirationMs: expirationOf(message),
          });
    clearInterval(heartbeat);
    if (wantsReply) this.#answer(msgId, key, reply);
    acks.done(message);
    if (address.uniqueId !== null) this.#known.end(address.uniqueId);
  }

  #answer(msgId: string, key: string, reply: Reply): void {
    this.#atWork.delete(msgId);
    const isDirect = key.startsWith(DIRECT_REPLY);
    // The broker returns direct answers although it delivers them, so only the others are mandatory.
    const body = encodeAnswer(msgId, reply, isDirect ? encodeDirectReply : encodeReply);
    this.#send({ key, body, options: { mandatory: !isDirect, deliveryMode: 1 } });
  }

  /** Signs of life for a caller that asked for them: twice in the time that it would wait for one. */
  #monitor(msgId: string, key: string, monitorTimeoutMs: number | null): NodeJS.Timeout | undefined {
    if (monitorTimeoutMs === null || monitorTimeoutMs < 2_000) return undefined;
    const beat = (): void => this.#send({ key, body: encodeReply(msgId, { result: null, failure: null }, false), options: { deliveryMode: 1 } });
    return setInterval(beat, monitorTimeoutMs / 2);
  }

  #send(answer: Answer): void {
    try {
      if (this.#channel === null) throw new Error('no channel');
      this.#channel.publish('', answer.key, answer.body, properties(answer.options));
    } catch {
      if (this.#waitingAnswers.length < WAITING_ANSWERS_MAX) this.#waitingAnswers.push(answer);
      else this.#log.warn({ topic: this.#listener.topic }, 'an answer was dropped: the broker is away and too many wait');
    }
  }

  /** The reply queue is not there. A client that reconnects makes it again within seconds; one that is gone does not. */
  #onReturnedAnswer({ fields, properties: { headers }, content }: Message): void {
    const tries = Number(headers?.[TRY_HEADER] ?? 0) + 1;
    if (tries > RETURNED_TRIES_MAX || this.#returnedAnswers >= WAITING_ANSWERS_MAX) {
      this.#log.warn({ topic: this.#listener.topic, replyQueue: fields.routingKey }, 'an answer was dropped: its client is gone');
      return;
    }
    this.#returnedAnswers += 1;
    const again = (): void => {
      this.#returnedAnswers -= 1;
      this.#send({ key: fields.routingKey, body: content, options: { mandatory: true, deliveryMode: 1, headers: { [TRY_HEADER]: tries } } });
    };
    setTimeout(again, RETURNED_PAUSE_MS * 2 ** (tries - 1)).unref();
  }
}

/** Our own clients offer direct reply-to; whoever does not has a reply queue. */
function replyKey(message: ConsumeMessage, address: MessageAddress): string | null {
  const replyTo: unknown = message.properties.replyTo;
  return typeof replyTo === 'string' && replyTo.startsWith(DIRECT_REPLY) ? replyTo : address.replyQueue;
}

function expirationOf(message: ConsumeMessage): number | null {
  const expiration = Number.parseInt(String(message.properties.expiration), 10);
  return Number.isFinite(expiration) && expiration >= 0 ? expiration : null;
}
