/**
 * The asking side over AMQP: calls and their answers, casts and their confirmations.
 *
 * Calls share one channel. Each offers two ways back: direct reply-to, which our own servers take (no queue, and an
 * answer to a lost caller vanishes by itself), and the plain reply queue `_reply_q`, which oslo's servers know. Whoever
 * answers directly is one of ours, and is asked without the envelope from then on.
 * `mandatory` makes the broker return what no queue takes, so "nobody serves this" is known at once. When the channel
 * ends, every call on it rejects: its answer has no way back any more.
 */
import type { Channel, ConfirmChannel, ConsumeMessage, Message } from 'amqplib';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { AmqpConnection } from './amqp-connection.ts';
import { adviceOn, isRefusal, problemOf } from './amqp-connection.ts';
import { cancelKey, DIRECT_REPLY, declareFanoutExchange, declareReplyQueue, declareTopicExchange, fanoutExchange, hexId, properties } from './amqp-topology.ts';
import type { TopologyOptions } from './amqp-topology.ts';
import { ConfirmedPublisher, isNack, queueIsFull, resting, within } from './confirmed-publisher.ts';
import { unpackBody } from './compression.ts';
import { ConsumerWatch } from './consumer-watch.ts';
import { decodeReply, decodeRequest, encodeDirectRequest, encodeRequest, newMessageId } from './envelope.ts';
import { addressOf, cancelled, deadlineExceeded, nobodyListens, PendingCalls, titleOf } from './pending-calls.ts';
import type { PendingCall } from './pending-calls.ts';
import { RecentIds } from './recent-ids.ts';
import type { OutgoingRequest, Reply, RpcLog } from './transport.ts';

/** A server that has not heard by then that a caller gave up need not hear it. */
const CANCEL_MS_MAX = 10_000;
const RETURNED_PAUSE_MS = 250;
const NO_BODY = Buffer.alloc(0);

export class AmqpCaller {
  readonly #connection: AmqpConnection;
  readonly #topology: TopologyOptions;
  readonly #log: RpcLog;
  readonly #calls = new PendingCalls((call) => this.#cancel(call));
  readonly #casts: ConfirmedPublisher;
  readonly #watch: ConsumerWatch;
  readonly #replyQueue = `reply_${hexId()}`;
  /** Addresses whose last answer came directly. */
  readonly #ours = new RecentIds();
  #callChannel: ConfirmChannel | null = null;
  #callChannelOpening: Promise<ConfirmChannel> | null = null;
  #isClosed = false;

  constructor(connection: AmqpConnection, topology: TopologyOptions, log: RpcLog) {
    this.#connection = connection;
    this.#topology = topology;
    this.#log = log;
    this.#casts = new ConfirmedPublisher(connection, log, (channel) => declareTopicExchange(channel, topology));
    this.#watch = new ConsumerWatch(connection, this.#calls);
  }

  call(request: OutgoingRequest): Promise<Reply> {
    const msgId = newMessageId();
    const encode = this.#ours.has(addressOf(request)) ? encodeDirectRequest : encodeRequest;
    let body: Buffer;
    try {
      body = encode(request.message, { msgId, replyQueue: this.#replyQueue, monitorTimeoutMs: request.monitorTimeoutMs });
    } catch (error) {
      return Promise.reject(error);
    }
    const answered = this.#calls.wait(msgId, request);
    if (!this.#calls.has(msgId)) return answered;
    if (this.#callChannel !== null) this.#publishCall(this.#callChannel, msgId, request, body);
    else void this.#publishWhenOpen(msgId, request, body);
    return answered;
  }

  /** Resolves when the broker has it. */
  async cast(request: OutgoingRequest): Promise<void> {
    const { topic, deadline, message, kind, signal } = request;
    const body = encodeRequest(message, null);
    if (signal?.aborted) throw cancelled(titleOf(request));
    if (deadline <= Date.now()) throw deadlineExceeded(titleOf(request), 0);
    const options = { mandatory: kind === 'cast' };
    const title = titleOf(request);
    // The fanout exchange goes with its last queue, so it is declared each time.
    const declare = (channel: Channel): Promise<void> => declareFanoutExchange(channel, topic);
    if (kind === 'fanout') await this.#casts.publish({ exchange: fanoutExchange(topic), key: '', body, options, title, deadline, declare });
    else await this.#casts.publish({ exchange: this.#topology.exchange, key: addressOf(request), body, options, title, deadline });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#calls.rejectAll('the transport was closed');
    this.#watch.stop();
    const channel = this.#callChannel;
    this.#callChannel = null;
    // Leave no queue behind; where that fails, it expires.
    await channel?.deleteQueue(this.#replyQueue).catch(() => {});
  }

  async #publishWhenOpen(msgId: string, request: OutgoingRequest, body: Buffer): Promise<void> {
    try {
      const channel = await this.#openCallChannel(request.deadline);
      if (this.#calls.has(msgId)) this.#publishCall(channel, msgId, request, body);
    } catch (cause) {
      const words = `the message broker could not take ${titleOf(request)}: ${problemOf(cause)}${isRefusal(cause) ? `; ${adviceOn(cause)}` : ''}`;
      this.#calls.reject(msgId, cause instanceof ServiceError ? cause : new ServiceError('UNAVAILABLE', words, { cause }));
    }
  }

  #publishCall(channel: ConfirmChannel, msgId: string, request: PendingCall['request'], body: Buffer): void {
    try {
      const address = addressOf(request);
      channel.publish(
        // A queue has its address as its name: where ours have made it, the way past the topic exchange is cheaper.
        this.#ours.has(address) ? '' : this.#topology.exchange,
        address,
        body,
        properties({
          mandatory: true,
          // Worth nothing after its deadline, so not worth a disk either.
          deliveryMode: 1,
          expiration: Math.max(1, Math.ceil(request.deadline - Date.now())),
          replyTo: DIRECT_REPLY,
        }),
        (error: unknown) => {
          if (isNack(error)) this.#calls.reject(msgId, queueIsFull(titleOf(request)));
        },
      );
    } catch (cause) {
      return this.#calls.reject(msgId, new ServiceError('UNAVAILABLE', `the way to the broker was lost; ${titleOf(request)} was not sent`, { cause }));
    }
    this.#watch.start();
  }

  /** Told once, and worth little: a server that does not hear it ends at the request's deadline. */
  #cancel({ msgId, request }: PendingCall): void {
    try {
      const options = properties({ deliveryMode: 1, expiration: CANCEL_MS_MAX, correlationId: msgId });
      this.#callChannel?.publish(this.#topology.exchange, cancelKey(addressOf(request)), NO_BODY, options);
    } catch {
      // The channel is lost, and with it the way to say so.
    }
  }

  #openCallChannel(deadline: number): Promise<ConfirmChannel> {
    this.#callChannelOpening ??= resting(this.#makeCallChannel(), () => (this.#callChannelOpening = null));
    return within(this.#callChannelOpening, deadline);
  }

  async #makeCallChannel(): Promise<ConfirmChannel> {
    // Confirmed, so that a queue which is full and refuses a call does not do so in silence.
    const channel = await (await this.#connection.model()).createConfirmChannel();
    channel.on('error', (error: unknown) => this.#callChannel === channel && this.#log.warn({ problem: problemOf(error) }, 'the channel for calls failed'));
    let isLost = false;
    channel.on('close', () => {
      isLost = true;
      // Before it is in use, nothing was sent on it.
      if (this.#callChannel !== channel) return;
      this.#callChannel = null;
      this.#calls.rejectAll('the way to the broker was lost');
    });
    channel.on('return', (message: Message) => this.#onReturnedCall(message));
    const onReply = (isDirect: boolean) => (message: ConsumeMessage | null) => this.#onReply(channel, message, isDirect);
    await channel.consume(DIRECT_REPLY, onReply(true), { noAck: true });
    await declareReplyQueue(channel, this.#replyQueue);
    await channel.consume(this.#replyQueue, onReply(false), { noAck: true });
    await declareTopicExchange(channel, this.#topology);
    if (this.#isClosed) throw new ServiceError('UNAVAILABLE', 'the transport is closed');
    if (isLost) throw new Error('the channel was closed');
    this.#callChannel = channel;
    return channel;
  }

  #onReply(channel: Channel, message: ConsumeMessage | null, isDirect: boolean): void {
    if (message === null) {
      // Somebody deleted the reply queue: with the channel made anew it comes back.
      void channel.close().catch(() => {});
      return;
    }
    try {
      const { msgId, result, failure, ending } = decodeReply(unpackBody(message.content, message.properties.headers));
      if (!ending) return this.#calls.markAtWork(msgId);
      const call = this.#calls.resolve(msgId, { result, failure });
      if (call !== undefined) this.#remember(addressOf(call.request), isDirect);
    } catch (error) {
      this.#log.warn({ problem: problemOf(error), bytes: message.content.length }, 'an answer that could not be read was dropped');
    }
  }

  #remember(address: string, isOurs: boolean): void {
    if (isOurs === this.#ours.has(address)) return;
    if (isOurs) this.#ours.add(address);
    else this.#ours.delete(address);
  }

  /** Nobody has taken it, so it may be sent again: after a loss of the broker, its servers may be on the way back like us. */
  #onReturnedCall({ fields, content }: Message): void {
    const { msgId } = decodeRequest(content).address;
    if (msgId === null) return;
    if (!this.#connection.isJustBack) return this.#calls.reject(msgId, nobodyListens(fields.routingKey));
    const again = (): void => {
      const call = this.#calls.get(msgId);
      if (call !== undefined && this.#callChannel !== null) this.#publishCall(this.#callChannel, msgId, call.request, content);
    };
    setTimeout(again, RETURNED_PAUSE_MS);
  }
}
