/**
 * The serving side over AMQP: a topic's queues, their requests, the answers.
 *
 * A request is acknowledged when it has been answered, so that one whose server is lost goes to another at once
 * instead of vanishing. What comes a second time that way is marked `redelivered`, or dropped here while this process
 * works on it (its connection was cut, not the process). One that has ended here is not dropped where a caller waits:
 * its answer may have been lost with the connection. One that was lost with another server is counted and comes back as a
 * copy (lost-requests.ts). A caller that gives up says so in the topic's fanout queue: its
 * request is aborted, or never run when it is still to come. The channel is set up again, from the declarations on,
 * whenever it ends: connection lost, closed by the broker, a queue deleted under its consumer.
 */
import type { Channel, ConsumeMessage } from 'amqplib';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import { AckBatch } from './ack-batch.ts';
import { AmqpAnswers } from './amqp-answers.ts';
import type { AmqpDeadLetters } from './amqp-dead-letters.ts';
import type { AmqpConnection } from './amqp-connection.ts';
import { adviceOn, backoffMs, problemOf } from './amqp-connection.ts';
import { declareServerQueues, DIRECT_REPLY, fanoutExchange, isCancelKey } from './amqp-topology.ts';
import type { TopologyOptions } from './amqp-topology.ts';
import { refusalReply } from './answer.ts';
import type { ConfirmedPublisher } from './confirmed-publisher.ts';
import { deadLetter } from './dead-letter.ts';
import { unpackBody } from './compression.ts';
import { CONTENT_TYPE, decodeRequest } from './envelope.ts';
import type { DecodedRequest, MessageAddress } from './envelope.ts';
import { KnownRequests } from './known-requests.ts';
import { COPY_HELD_MS, lossesOf, LostRequests } from './lost-requests.ts';
import { RecentIds } from './recent-ids.ts';
import { TakenRequest } from './taken-request.ts';
import { MONITOR_MS_MIN } from './transport.ts';
import type { Listener, Listening, Reply, RpcLog } from './transport.ts';

/** A channel that ends sooner than this counts as a failure, so that it is not made again in a tight loop. */
const STEADY_MS = 1_000;
const ID_LENGTH_MAX = 255;

/** What a listener needs of its process. */
export interface ListenerMeans {
  readonly connection: AmqpConnection;
  readonly topology: TopologyOptions;
  readonly publisher: ConfirmedPublisher;
  readonly deadLetters: AmqpDeadLetters;
  /** A request that runs for longer, up to twice as long, is acknowledged before its end. */
  readonly acknowledgeAfterMs: number;
  readonly log: RpcLog;
}

/** Resolves when requests arrive. */
export async function listenOn(means: ListenerMeans, listener: Listener): Promise<Listening> {
  const listening = new AmqpListener(means, listener);
  await listening.start();
  return listening;
}

class AmqpListener implements Listening {
  readonly #means: ListenerMeans;
  readonly #listener: Listener;
  readonly #log: RpcLog;
  readonly #answers: AmqpAnswers;
  readonly #lost: LostRequests;
  readonly #known = new KnownRequests();
  /** Calls at work, by message id. */
  readonly #atWork = new Map<string, TakenRequest>();
  /** Message ids of calls that were given up before they came. */
  readonly #cancelled = new RecentIds();
  /** Copies of lost requests that wait a moment (COPY_HELD_MS). */
  readonly #held = new Map<NodeJS.Timeout, () => void>();
  readonly #closing = new AbortController();
  #channel: Channel | null = null;
  #acks: AckBatch | null = null;
  #consuming: Promise<void> | null = null;
  #consumerTags: string[] = [];
  #isPaused = false;

  constructor(means: ListenerMeans, listener: Listener) {
    this.#means = means;
    this.#listener = listener;
    this.#log = means.log;
    this.#answers = new AmqpAnswers(listener.topic, means.log);
    this.#lost = new LostRequests(means.publisher, means.log);
  }

  start(): Promise<void> {
    return new Promise((resolve, reject) => void this.#keepUp(resolve).catch(reject));
  }

  async pause(): Promise<void> {
    this.#isPaused = true;
    // Consumers that are just being made must not stay behind.
    await this.#consuming?.catch(() => {});
    const channel = this.#channel;
    if (channel !== null) await this.#stopConsuming(channel);
    this.#releaseHeld();
    if (channel !== null) this.#sayAtWork();
  }

  async close(): Promise<void> {
    this.#isPaused = true;
    this.#closing.abort();
    // They have not begun, and go back into their queue with the channel.
    for (const timer of this.#held.keys()) clearTimeout(timer);
    this.#held.clear();
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
        // A connection that was lost is waited for as it is; a second pause would only keep callers waiting.
        failures = this.#means.connection.connected && Date.now() - since < STEADY_MS ? failures + 1 : 0;
      } catch (error) {
        // Closed for good, and nobody's request any more.
        if (this.#closing.signal.aborted) return;
        if (error instanceof ServiceError) throw error;
        // One line when it begins, and one now and then.
        const level = failures % 10 === 0 ? 'warn' : 'debug';
        this.#log[level]({ topic, server, problem: problemOf(error) }, adviceOn(error) ?? 'the queues could not be served; trying again');
        failures += 1;
      }
      if (failures > 0) await sleep(backoffMs(failures), undefined, { signal: this.#closing.signal }).catch(() => {});
    }
  }

  /** Resolves when a channel serves; `ended` when it no longer does. */
  async #setUp(): Promise<{ readonly ended: Promise<void> }> {
    const channel = await (await this.#means.connection.model()).createChannel();
    const ended = new Promise<void>((resolve) => channel.on('close', resolve)).then(() => this.#forget(channel));
    let isSetUp = false;
    // Until then the failure is that of the set-up.
    channel.on('error', (error: unknown) => isSetUp && this.#log.warn({ topic: this.#listener.topic, problem: problemOf(error) }, 'the channel for requests failed'));
    if (!this.#isPaused) {
      this.#consuming = this.#consume(channel);
      await this.#consuming;
    } else if (this.#closing.signal.aborted) await channel.close();
    isSetUp = true;
    this.#use(channel);
    // What was said on the channel before may have been lost with it.
    if (this.#isPaused) this.#sayAtWork();
    return { ended };
  }

  async #consume(channel: Channel): Promise<void> {
    const { topic, server, requestsMax } = this.#listener;
    const acks = new AckBatch(channel);
    const queues = await declareServerQueues(channel, this.#means.topology, topic, server);
    await channel.prefetch(requestsMax);
    // Answers must find their channel from the first request on.
    this.#use(channel);
    this.#acks = acks;
    this.#sweep(channel, acks);
    for (const queue of [queues.topic, queues.server]) await this.#consumeFrom(channel, acks, queue, (message) => this.#onMessage(acks, queue, message));
    await this.#consumeFrom(channel, acks, queues.fanout, (message) => {
      if (isCancelKey(message.fields.routingKey)) this.#onCancel(acks, message);
      else this.#onMessage(acks, queues.fanout, message);
    });
    if (this.#isPaused) await this.#stopConsuming(channel);
  }

  async #consumeFrom(channel: Channel, acks: AckBatch, queue: string, onMessage: (message: ConsumeMessage) => void): Promise<void> {
    if (this.#isPaused) return;
    const { consumerTag } = await channel.consume(queue, (message) => {
      if (message === null) {
        this.#log.warn({ queue }, 'a queue was deleted under its consumer; making it again');
        void channel.close().catch(() => {});
        return;
      }
      acks.delivered(message);
      onMessage(message);
    });
    this.#consumerTags.push(consumerTag);
  }

  /** A broker takes a consumer that keeps a message for half an hour for broken, and closes its channel. */
  #sweep(channel: Channel, acks: AckBatch): void {
    const sweep = (): void => {
      const swept = acks.sweep();
      if (swept > 0) this.#log.info({ topic: this.#listener.topic, requests: swept }, 'requests that run for long were acknowledged before their end');
    };
    const timer = setInterval(sweep, this.#means.acknowledgeAfterMs).unref();
    channel.on('close', () => clearInterval(timer));
  }

  async #stopConsuming(channel: Channel): Promise<void> {
    await Promise.all(this.#consumerTags.splice(0).map((tag) => channel.cancel(tag))).catch(() => {});
  }

  #use(channel: Channel): void {
    this.#channel = channel;
    this.#answers.use(channel);
  }

  #forget(channel: Channel): void {
    this.#answers.forget(channel);
    this.#consumerTags = [];
    if (this.#channel === channel) this.#channel = null;
  }

  /** A queue that its server has left looks deserted: those who wait for our answer must know better. */
  #sayAtWork(): void {
    for (const [msgId, { replyKey: key }] of this.#atWork) if (key !== null) this.#answers.signOfLife(msgId, key);
  }

  #onMessage(acks: AckBatch, queue: string, message: ConsumeMessage): void {
    if (message.content.length === 0) return acks.done(message);
    const decoded = this.#decode(acks, queue, message);
    if (decoded === null) return;
    const { uniqueId, msgId } = decoded.address;
    const isAgain = message.fields.redelivered || lossesOf(message) > 0;
    const state = uniqueId === null ? null : this.#known.stateOf(uniqueId);
    const isAnswerLost = state === 'ended' && isAgain && msgId !== null;
    if (state !== null && !isAnswerLost) {
      this.#log.debug({ topic: this.#listener.topic, uniqueId }, 'a request came twice');
      return acks.done(message);
    }
    if (msgId !== null && this.#cancelled.has(msgId)) {
      this.#log.debug({ topic: this.#listener.topic, msgId }, 'a request was not run: its caller had given up');
      return acks.done(message);
    }
    if (message.fields.redelivered && !isFanout(message, this.#listener)) {
      // No word came of its copy; but where the copy came, that is the one that runs.
      const serve = (): void => (uniqueId !== null && this.#known.stateOf(uniqueId) !== state ? acks.done(message) : this.#serveWaited(acks, queue, message, decoded));
      const bury = (losses: number): Promise<void> => this.#bury(queue, message, `${losses} servers were lost with it`);
      return this.#lost.take({ message, uniqueId, queue, done: () => acks.done(message), serve, bury });
    }
    if (lossesOf(message) === 0) return void this.#serve(acks, queue, message, decoded);
    if (uniqueId !== null) this.#known.begin(uniqueId);
    this.#hold(uniqueId, () => this.#serveWaited(acks, queue, message, decoded));
  }

  /** Its caller may have given up while it waited here. */
  #serveWaited(acks: AckBatch, queue: string, message: ConsumeMessage, decoded: DecodedRequest): void {
    const { msgId, uniqueId } = decoded.address;
    if (msgId === null || !this.#cancelled.has(msgId)) return void this.#serve(acks, queue, message, decoded);
    acks.done(message);
    if (uniqueId !== null) this.#known.end(uniqueId);
  }

  #hold(uniqueId: string | null, serve: () => void): void {
    const release = (): unknown => this.#held.delete(timer) && serve();
    const timer = setTimeout(() => void this.#lost.whenOut(uniqueId).then(release), COPY_HELD_MS);
    this.#held.set(timer, serve);
  }

  /** A server that drains finishes these as well. */
  #releaseHeld(): void {
    for (const [timer, serve] of this.#held) {
      clearTimeout(timer);
      serve();
    }
    this.#held.clear();
  }

  #onCancel(acks: AckBatch, message: ConsumeMessage): void {
    const msgId: unknown = message.properties.correlationId;
    if (typeof msgId === 'string' && msgId.length <= ID_LENGTH_MAX) {
      const taken = this.#atWork.get(msgId);
      if (taken === undefined) this.#cancelled.add(msgId);
      else taken.cancel();
    }
    acks.done(message);
  }

  /** Null when it is no message that could be answered: then it is a dead letter, and never comes again. */
  #decode(acks: AckBatch, queue: string, message: ConsumeMessage): DecodedRequest | null {
    try {
      const type: unknown = message.properties.contentType;
      if (type !== CONTENT_TYPE) throw new ServiceError('INVALID_ARGUMENT', `the content type is not ${CONTENT_TYPE}`);
      return decodeRequest(unpackBody(message.content, message.properties.headers));
    } catch (error) {
      void this.#bury(queue, message, reasonOf(error)).then(() => acks.done(message));
      return null;
    }
  }

  #bury(queue: string, message: ConsumeMessage, reason: string): Promise<void> {
    const { topic, server } = this.#listener;
    const { fields, properties, content } = message;
    const contentType: unknown = properties.contentType;
    const facts = { reason, topic, server, queue, exchange: fields.exchange, contentType, losses: lossesOf(message), at: new Date() };
    return this.#means.deadLetters.put(deadLetter(content, facts));
  }

  async #serve(acks: AckBatch, queue: string, message: ConsumeMessage, { address, message: request }: DecodedRequest): Promise<void> {
    const { msgId, uniqueId } = address;
    const isAgain = lossesOf(message) > 0 || (message.fields.redelivered && !isFanout(message, this.#listener));
    const key = msgId === null ? null : replyKey(message, address, isAgain);
    if (uniqueId !== null) this.#known.begin(uniqueId);
    if (!(request instanceof ServiceError)) {
      const taken = new TakenRequest(request, key, isAgain, expirationOf(message));
      if (msgId !== null && key !== null) await this.#answer(msgId, key, taken, address.monitorTimeoutMs);
      else await this.#listener.handle(taken);
    } else if (msgId !== null && key !== null) this.#answers.answer(msgId, key, refusalReply(request));
    else await this.#bury(queue, message, request.message);
    acks.done(message);
    if (uniqueId !== null) this.#known.end(uniqueId);
  }

  async #answer(msgId: string, key: string, taken: TakenRequest, monitorTimeoutMs: number | null): Promise<void> {
    this.#atWork.set(msgId, taken);
    const beats = this.#beat(msgId, key, monitorTimeoutMs);
    let reply: Reply;
    try {
      reply = await this.#listener.handle(taken);
    } finally {
      clearInterval(beats);
      this.#atWork.delete(msgId);
    }
    if (!taken.isCancelled) this.#answers.answer(msgId, key, reply);
  }

  /** Signs of life for a caller that asked for them: twice in the time that it would wait for one. */
  #beat(msgId: string, key: string, monitorTimeoutMs: number | null): NodeJS.Timeout | undefined {
    if (monitorTimeoutMs === null || monitorTimeoutMs < MONITOR_MS_MIN) return undefined;
    return setInterval(() => this.#answers.signOfLife(msgId, key), monitorTimeoutMs / 2);
  }
}

/**
 * Our own clients offer direct reply-to; whoever does not has a reply queue. To a direct address that is a forgery
 * RabbitMQ answers by closing our connection, and we get the request again: so what comes again is answered by its queue.
 */
function replyKey(message: ConsumeMessage, { replyQueue }: MessageAddress, isAgain: boolean): string | null {
  const replyTo: unknown = message.properties.replyTo;
  if (!isAgain && typeof replyTo === 'string' && replyTo.startsWith(DIRECT_REPLY)) return replyTo;
  return replyQueue?.startsWith(DIRECT_REPLY) ? null : replyQueue;
}

function isFanout({ fields }: ConsumeMessage, { topic }: Listener): boolean {
  return fields.exchange === fanoutExchange(topic);
}

/** Our own words only: others might quote the message. */
function reasonOf(error: unknown): string {
  return error instanceof ServiceError ? error.message : 'it cannot be read';
}

function expirationOf(message: ConsumeMessage): number | null {
  const expiration = Number.parseInt(String(message.properties.expiration), 10);
  return Number.isFinite(expiration) && expiration >= 0 ? expiration : null;
}
