/**
 * The dead letters' queue: a note about each message that could not be served, and none of its secrets. It is our own
 * queue, so that no argument of oslo's queues changes; it is bounded, the oldest notes go first; and we never read
 * from it, so nothing goes round. Where it cannot be written, the note goes to the log and service goes on.
 */
import type { Channel } from 'amqplib';
import type { JsonObject } from '@gatehouse/objects/field';
import type { AmqpConnection } from './amqp-connection.ts';
import { problemOf } from './amqp-connection.ts';
import { ConfirmedPublisher } from './confirmed-publisher.ts';
import type { RpcLog } from './transport.ts';

export const DEAD_LETTER_QUEUE = 'gatehouse.dead-letters';
export const DEAD_LETTERS_MAX = 10_000;
const DEAD_LETTER_BYTES_MAX = 32 * 1024 * 1024;
const PUT_MS_MAX = 5_000;
/** After a failure the queue is left alone for so long. */
const REST_MS = 30_000;

export class AmqpDeadLetters {
  readonly #publisher: ConfirmedPublisher;
  readonly #log: RpcLog;
  #restsUntil = 0;

  constructor(connection: AmqpConnection, log: RpcLog) {
    this.#publisher = new ConfirmedPublisher(connection, log, declareDeadLetterQueue);
    this.#log = log;
  }

  /** Resolves when the letter is kept, or cannot be: never rejects. */
  async put(letter: JsonObject): Promise<void> {
    this.#log.error(letter, 'a message that cannot be served was taken out of its queue');
    const now = Date.now();
    if (now < this.#restsUntil) return;
    const body = Buffer.from(JSON.stringify(letter));
    const options = { mandatory: true, type: 'dead-letter' };
    try {
      await this.#publisher.publish({ exchange: '', key: DEAD_LETTER_QUEUE, body, options, title: 'a dead letter', deadline: now + PUT_MS_MAX });
    } catch (error) {
      this.#restsUntil = Date.now() + REST_MS;
      this.#log.error({ queue: DEAD_LETTER_QUEUE, problem: problemOf(error) }, 'dead letters cannot be kept and are only logged for a while');
    }
  }
}

async function declareDeadLetterQueue(channel: Channel): Promise<void> {
  const bounds = { 'x-max-length': DEAD_LETTERS_MAX, 'x-max-length-bytes': DEAD_LETTER_BYTES_MAX };
  await channel.assertQueue(DEAD_LETTER_QUEUE, { durable: true, autoDelete: false, arguments: bounds });
}
