/**
 * Acknowledgements of one channel, gathered for a turn: a run of requests that are all done is acknowledged as one
 * (`multiple`), and those done out of order one by one. Each frame that is not sent is one that the broker need not
 * read.
 */
import type { Channel, ConsumeMessage } from 'amqplib';

export class AckBatch {
  readonly #channel: Channel;
  /** Delivery tags not acknowledged yet, in the order of delivery, to their message, which is null until it is done. */
  readonly #open = new Map<number, ConsumeMessage | null>();
  #done = 0;
  #newest = 0;
  #sweptUpTo = 0;
  #isScheduled = false;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  delivered(message: ConsumeMessage): void {
    this.#newest = message.fields.deliveryTag;
    this.#open.set(message.fields.deliveryTag, null);
  }

  done(message: ConsumeMessage): void {
    if (!this.#open.has(message.fields.deliveryTag)) return;
    this.#open.set(message.fields.deliveryTag, message);
    this.#done += 1;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // After every handler that ends in this turn, and before the turn's writes leave.
    process.nextTick(() => this.flush());
  }

  /**
   * Acknowledges what was delivered before the last call of this and is not done yet; returns how many. To be called
   * in long intervals: the broker closes the channel of a consumer that keeps a message for too long.
   */
  sweep(): number {
    let swept = 0;
    for (const [tag, message] of this.#open) {
      if (tag > this.#sweptUpTo) break;
      if (message !== null) continue;
      this.#open.delete(tag);
      this.#acknowledge({ fields: { deliveryTag: tag } } as ConsumeMessage, false);
      swept += 1;
    }
    this.#sweptUpTo = this.#newest;
    return swept;
  }

  flush(): void {
    this.#isScheduled = false;
    let last: ConsumeMessage | null = null;
    for (const [tag, message] of this.#open) {
      if (message === null) break;
      last = message;
      this.#open.delete(tag);
      this.#done -= 1;
    }
    if (last !== null) this.#acknowledge(last, true);
    if (this.#done === 0) return;
    for (const [tag, message] of this.#open) {
      if (message === null) continue;
      this.#open.delete(tag);
      this.#done -= 1;
      this.#acknowledge(message, false);
    }
  }

  #acknowledge(message: ConsumeMessage, allUpTo: boolean): void {
    settle(() => this.#channel.ack(message, allUpTo));
  }
}

/** On a channel that has ended, the broker has taken its messages back already. */
function settle(acknowledge: () => void): void {
  try {
    acknowledge();
  } catch {
    // as said
  }
}
