/**
 * oslo.messaging's exchanges and queues: what is declared by whom, under which name and with which flags. Whoever
 * shares a topic must declare the same, or the broker refuses the second with 406.
 */
import type { Channel, Options } from 'amqplib';
import { randomUUID } from 'node:crypto';
import { CONTENT_ENCODING, CONTENT_TYPE } from './envelope.ts';
import { addressOf } from './pending-calls.ts';

export interface TopologyOptions {
  /** The topic exchange; oslo's control_exchange. */
  readonly exchange: string;
  readonly queues: QueueKind;
  /** oslo's rabbit_quorum_delivery_limit; 0 sets none. */
  readonly deliveryLimit: number;
}

/**
 * A topic's queues, as oslo's options make them. transient: gone with the broker, oslo's default. durable: they outlive
 * it (amqp_durable_queues). quorum: and the loss of one of its nodes too (rabbit_quorum_queue). Fanout and reply queues
 * are transient in any case, as in oslo.
 */
export type QueueKind = (typeof QUEUE_KINDS)[number];
export const QUEUE_KINDS = ['transient', 'durable', 'quorum'] as const;

/** The plain reply queue lives this long without its client, so that late answers have a place to go. */
const REPLY_QUEUE_EXPIRES_MS = 60_000;

const CANCEL_PREFIX = 'gatehouse:cancel:';

export const DIRECT_REPLY = 'amq.rabbitmq.reply-to';

export function hexId(): string {
  return randomUUID().replaceAll('-', '');
}

export function fanoutExchange(topic: string): string {
  return `${topic}_fanout`;
}

/**
 * Under this key in the topic exchange our servers hear that the caller of a request has given up; no name of a topic
 * looks like it. Whoever is not ours binds nothing to it, so that the broker drops what is said there.
 */
export function cancelKey(address: string): string {
  return `${CANCEL_PREFIX}${address}`;
}

export function isCancelKey(key: string): boolean {
  return key.startsWith(CANCEL_PREFIX);
}

export async function declareTopicExchange(channel: Channel, { exchange, queues }: TopologyOptions): Promise<void> {
  await channel.assertExchange(exchange, 'topic', { durable: queues !== 'transient', autoDelete: false });
}

export async function declareFanoutExchange(channel: Channel, topic: string): Promise<void> {
  await channel.assertExchange(fanoutExchange(topic), 'fanout', { durable: false, autoDelete: true });
}

function topicQueue({ queues, deliveryLimit }: TopologyOptions): Options.AssertQueue {
  const limit = deliveryLimit > 0 ? { 'x-delivery-limit': deliveryLimit } : {};
  const quorum = { arguments: { 'x-queue-type': 'quorum', ...limit } };
  return { durable: queues !== 'transient', autoDelete: false, ...(queues === 'quorum' ? quorum : {}) };
}

export interface ServerQueues {
  readonly topic: string;
  readonly server: string;
  readonly fanout: string;
}

/** A server's queues, in oslo's order; returns their names. */
export async function declareServerQueues(channel: Channel, options: TopologyOptions, topic: string, server: string): Promise<ServerQueues> {
  const directed = addressOf({ topic, server });
  const queues = [topic, directed];
  for (const queue of queues) {
    await declareTopicExchange(channel, options);
    await channel.assertQueue(queue, topicQueue(options));
    await channel.bindQueue(queue, options.exchange, queue);
  }
  // Nobody else declares this one: it may go with its connection, and leaves nothing behind.
  const fanout = `${fanoutExchange(topic)}_${hexId()}`;
  await declareFanoutExchange(channel, topic);
  await channel.assertQueue(fanout, { durable: false, exclusive: true, autoDelete: true });
  await channel.bindQueue(fanout, fanoutExchange(topic), topic);
  for (const queue of queues) await channel.bindQueue(fanout, options.exchange, cancelKey(queue));
  return { topic, server: directed, fanout };
}

export async function declareReplyQueue(channel: Channel, name: string): Promise<void> {
  await channel.assertQueue(name, { durable: false, autoDelete: false, expires: REPLY_QUEUE_EXPIRES_MS });
}

/** The properties that oslo gives every message, and those of this one. */
export function properties(own: Options.Publish): Options.Publish {
  return { contentType: CONTENT_TYPE, contentEncoding: CONTENT_ENCODING, priority: 0, ...own };
}
