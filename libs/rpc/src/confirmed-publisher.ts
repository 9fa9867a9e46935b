/**
 * Messages that the broker must say it has: one channel in confirm mode, made when first needed and again when lost.
 * Nothing is silent here: not taken by any queue, refused by a full one, not confirmed in time, or the way lost, each
 * is an error of its own.
 */
import type { Channel, ConfirmChannel, Message, Options } from 'amqplib';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { AmqpConnection } from './amqp-connection.ts';
import { adviceOn, isRefusal, problemOf } from './amqp-connection.ts';
import { properties } from './amqp-topology.ts';
import { newMessageId } from './envelope.ts';
import { nobodyListens } from './pending-calls.ts';
import type { RpcLog } from './transport.ts';

/** Messages that wait for the broker's confirmation; beyond, RESOURCE_EXHAUSTED. */
const UNCONFIRMED_MAX = 1_000;
const RETURNED_PAUSE_MS = 250;
const REFUSED_REST_MS = 1_000;
const TIMER_MS_MAX = 2_147_483_647;

export interface ConfirmedMessage {
  readonly exchange: string;
  readonly key: string;
  readonly body: Buffer;
  readonly options: Options.Publish;
  /** For the words of an error. */
  readonly title: string;
  /** Epoch milliseconds. */
  readonly deadline: number;
  /** What must be declared before each of these messages. */
  readonly declare?: (channel: Channel) => Promise<void>;
}

export class ConfirmedPublisher {
  readonly #connection: AmqpConnection;
  readonly #log: RpcLog;
  readonly #setUp: (channel: Channel) => Promise<void>;
  #channel: Promise<ConfirmChannel> | null = null;
  /** Messages the broker returned, by their mark, until their confirmation comes (right after). */
  readonly #returned = new Set<string>();
  #unconfirmed = 0;
  #open: ConfirmChannel | null = null;

  /** `setUp` declares what every message needs. */
  constructor(connection: AmqpConnection, log: RpcLog, setUp: (channel: Channel) => Promise<void>) {
    this.#connection = connection;
    this.#log = log;
    this.#setUp = setUp;
  }

  /**
   * Resolves when the broker has it.
   * @throws ServiceError UNAVAILABLE (no queue takes it, or the way was lost), RESOURCE_EXHAUSTED (the queue is full, or
   * too many wait for the broker), DEADLINE_EXCEEDED
   */
  async publish(message: ConfirmedMessage): Promise<void> {
    const { title, deadline } = message;
    if (this.#unconfirmed >= UNCONFIRMED_MAX) {
      throw new ServiceError('RESOURCE_EXHAUSTED', `${UNCONFIRMED_MAX} messages wait for the broker; ${title} was not sent`);
    }
    this.#unconfirmed += 1;
    try {
      this.#channel ??= resting(this.#make(), (isOpen) => {
        if (!isOpen) this.#channel = null;
      });
      const channel = await within(this.#channel, deadline);
      await message.declare?.(channel);
      while (!(await within(this.#confirmed(channel, message), deadline))) {
        // Nobody has taken it, so it may be sent again: after a loss of the broker, its servers may be on the way back like us.
        if (!this.#connection.isJustBack || Date.now() + RETURNED_PAUSE_MS >= deadline) throw nobodyListens(message.key);
        await sleep(RETURNED_PAUSE_MS);
      }
    } catch (cause) {
      if (cause instanceof ServiceError) throw cause;
      if (isNack(cause)) throw queueIsFull(title);
      if (isRefusal(cause)) throw new ServiceError('UNAVAILABLE', `${title} was not sent: ${problemOf(cause)}; ${adviceOn(cause)}`, { cause });
      throw new ServiceError('UNAVAILABLE', `the way to the broker was lost while ${title} was sent; it may have been taken`, { cause });
    } finally {
      this.#unconfirmed -= 1;
    }
  }

  async #make(): Promise<ConfirmChannel> {
    const channel = await (await this.#connection.model()).createConfirmChannel();
    let isClosed = false;
    // What goes wrong here is told to those who publish.
    channel.on('error', (error: unknown) => this.#log.debug({ problem: problemOf(error) }, 'a channel for confirmed messages failed'));
    channel.on('close', () => {
      isClosed = true;
      this.#returned.clear();
      if (this.#open === channel) this.#channel = this.#open = null;
    });
    channel.on('return', (message: Message) => this.#returned.add(String(message.properties.messageId)));
    await this.#setUp(channel);
    if (isClosed) throw new Error('the channel was closed');
    this.#open = channel;
    return channel;
  }

  /** False when no queue takes it. */
  #confirmed(channel: ConfirmChannel, { exchange, key, body, options }: ConfirmedMessage): Promise<boolean> {
    const messageId = newMessageId();
    return new Promise<boolean>((resolve, reject) => {
      channel.publish(exchange, key, body, properties({ deliveryMode: 2, ...options, messageId }), (error: unknown) => {
        if (this.#returned.delete(messageId)) resolve(false);
        else if (error) reject(error instanceof Error ? error : new Error('not confirmed'));
        else resolve(true);
      });
    });
  }
}

/** The broker's refusal of one message, as amqplib words it. */
export function isNack(error: unknown): boolean {
  return error instanceof Error && error.message === 'message nacked';
}

export function queueIsFull(title: string): ServiceError {
  return new ServiceError('RESOURCE_EXHAUSTED', `the queue of ${title} is full, or the broker could not keep the message; it was not taken`);
}

/** The promise, and word of its end; where the broker refused, that word comes a while later, lest it be asked in a tight loop. */
export function resting<T>(opening: Promise<T>, onEnd: (isOpen: boolean) => void): Promise<T> {
  const onFailure = (error: unknown): void => void (isRefusal(error) ? setTimeout(onEnd, REFUSED_REST_MS, false).unref() : onEnd(false));
  opening.then(() => onEnd(true), onFailure);
  return opening;
}

/** The promise, or DEADLINE_EXCEEDED; what comes later is dropped. */
export function within<T>(promise: Promise<T>, deadline: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(new ServiceError('DEADLINE_EXCEEDED', 'the message broker did not take the request before its deadline'));
    const timer = setTimeout(late, Math.max(0, Math.min(deadline - Date.now(), TIMER_MS_MAX)));
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
