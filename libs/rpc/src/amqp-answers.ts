/**
 * The answers of one listener on their way to the callers. None holds up a handler: an answer that finds no channel
 * waits for the next one, and one whose reply queue is not there is tried a few times more, for its client may be
 * about to make it again.
 */
import type { Channel, Message, Options } from 'amqplib';
import { DIRECT_REPLY, properties } from './amqp-topology.ts';
import { encodeAnswer } from './answer.ts';
import { encodeDirectReply, encodeReply } from './envelope.ts';
import type { Reply, RpcLog } from './transport.ts';

/** Answers that wait for the way back: the connection, or a reply queue that its client has yet to make again. */
const WAITING_ANSWERS_MAX = 1_000;
const RETURNED_TRIES_MAX = 6;
const RETURNED_PAUSE_MS = 250;
const TRY_HEADER = 'x-gatehouse-try';
/** Those dropped meanwhile share a line: a client that dies with thousands of calls must not fill the log. */
const DROPS_TOLD_MS = 1_000;

interface Answer {
  readonly key: string;
  readonly body: Buffer;
  readonly options: Options.Publish;
}

export class AmqpAnswers {
  readonly #topic: string;
  readonly #log: RpcLog;
  readonly #waiting: Answer[] = [];
  #returned = 0;
  /** Since the log was last told. */
  #dropped = 0;
  #channel: Channel | null = null;

  constructor(topic: string, log: RpcLog) {
    this.#topic = topic;
    this.#log = log;
  }

  /** From now on answers take this channel, those first that waited for one. */
  use(channel: Channel): void {
    if (this.#channel === channel) return;
    this.#channel = channel;
    channel.on('return', (message: Message) => this.#onReturned(message));
    for (const answer of this.#waiting.splice(0)) this.#send(answer);
  }

  forget(channel: Channel): void {
    if (this.#channel === channel) this.#channel = null;
  }

  answer(msgId: string, key: string, reply: Reply): void {
    const isDirect = key.startsWith(DIRECT_REPLY);
    // The broker returns direct answers although it delivers them, so only the others are mandatory.
    const body = encodeAnswer(msgId, reply, isDirect ? encodeDirectReply : encodeReply);
    this.#send({ key, body, options: { mandatory: !isDirect, deliveryMode: 1 } });
  }

  /** No answer yet: it is being worked on. */
  signOfLife(msgId: string, key: string): void {
    this.#send({ key, body: encodeReply(msgId, { result: null, failure: null }, false), options: { deliveryMode: 1 } });
  }

  #send(answer: Answer): void {
    try {
      if (this.#channel === null) throw new Error('no channel');
      this.#channel.publish('', answer.key, answer.body, properties(answer.options));
    } catch {
      if (this.#waiting.length < WAITING_ANSWERS_MAX) this.#waiting.push(answer);
      else this.#drop('the broker is away and too many wait', answer.key);
    }
  }

  /** The reply queue is not there. A client that reconnects makes it again within seconds; one that is gone does not. */
  #onReturned({ fields, properties: { headers }, content }: Message): void {
    const tries = Number(headers?.[TRY_HEADER] ?? 0) + 1;
    if (tries > RETURNED_TRIES_MAX) return this.#drop('its client is gone', fields.routingKey);
    if (this.#returned >= WAITING_ANSWERS_MAX) return this.#drop('its client is away and too many wait', fields.routingKey);
    this.#returned += 1;
    const again = (): void => {
      this.#returned -= 1;
      this.#send({ key: fields.routingKey, body: content, options: { mandatory: true, deliveryMode: 1, headers: { [TRY_HEADER]: tries } } });
    };
    setTimeout(again, RETURNED_PAUSE_MS * 2 ** (tries - 1)).unref();
  }

  #drop(reason: string, replyQueue: string): void {
    this.#dropped += 1;
    if (this.#dropped > 1) return;
    const tell = (): void => {
      this.#log.warn({ topic: this.#topic, answers: this.#dropped, replyQueue }, `answers were dropped: ${reason}`);
      this.#dropped = 0;
    };
    setTimeout(tell, DROPS_TOLD_MS).unref();
  }
}
