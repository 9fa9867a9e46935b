/**
 * Finds out that nobody is left to answer. `mandatory` tells of a queue that was never made, but a queue outlives the
 * servers that consumed from it, and a request would lie in it until its deadline. So where calls wait for longer than
 * a moment, the broker is asked how many consumers their queue has; none, three times in a row, and the calls reject: a server
 * that lost its connection, and no more, is mostly back by then.
 *
 * A server that drains has left its queue and still works: it says so (a reply with ending false) to those it will
 * answer, and they wait on.
 */
import type { Channel } from 'amqplib';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { AmqpConnection } from './amqp-connection.ts';
import { addressOf } from './pending-calls.ts';
import type { PendingCall, PendingCalls } from './pending-calls.ts';

const PERIOD_MS = 400;
/** Rounds in which a queue had no consumer, one after the other, before its calls are given up. */
const DESERTED_ROUNDS = 3;
/** Queues asked about in one round. */
const QUEUES_MAX = 100;
const NOT_FOUND = 404;

export class ConsumerWatch {
  readonly #connection: AmqpConnection;
  readonly #calls: PendingCalls;
  readonly #stopping = new AbortController();
  /** Queues that had no consumer in the last round, and for how many rounds. */
  #deserted = new Map<string, number>();
  #channel: Channel | null = null;
  #isRunning = false;

  constructor(connection: AmqpConnection, calls: PendingCalls) {
    this.#connection = connection;
    this.#calls = calls;
  }

  /** Watches for as long as calls wait. */
  start(): void {
    if (this.#isRunning || this.#stopping.signal.aborted) return;
    this.#isRunning = true;
    void this.#run().finally(() => (this.#isRunning = false));
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (this.#calls.size > 0) {
      await sleep(PERIOD_MS, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      await this.#round();
    }
    this.#deserted.clear();
  }

  async #round(): Promise<void> {
    const deserted = new Map<string, number>();
    // Their servers may have lost the broker together with us.
    if (this.#connection.isJustBack) return this.#deserted.clear();
    for (const [queue, calls] of this.#waitingByQueue()) {
      if (!this.#connection.connected) return;
      if ((await this.#consumersOf(queue)) !== 0) continue;
      const rounds = (this.#deserted.get(queue) ?? 0) + 1;
      if (rounds === DESERTED_ROUNDS) for (const { msgId } of calls) this.#calls.reject(msgId, nobodyLeft(queue));
      else deserted.set(queue, rounds);
    }
    this.#deserted = deserted;
  }

  #waitingByQueue(): ReadonlyMap<string, readonly PendingCall[]> {
    const queues = new Map<string, PendingCall[]>();
    const before = Date.now() - PERIOD_MS;
    for (const call of this.#calls.values()) {
      if (call.since > before || call.isAtWork) continue;
      const queue = addressOf(call.request);
      const calls = queues.get(queue);
      if (calls !== undefined) calls.push(call);
      else if (queues.size < QUEUES_MAX) queues.set(queue, [call]);
    }
    return queues;
  }

  /** Null when the broker could not be asked. */
  async #consumersOf(queue: string): Promise<number | null> {
    try {
      this.#channel ??= await this.#openChannel();
      return (await this.#channel.checkQueue(queue)).consumerCount;
    } catch (error) {
      this.#channel = null;
      return (error as { code?: unknown }).code === NOT_FOUND ? 0 : null;
    }
  }

  async #openChannel(): Promise<Channel> {
    const channel = await (await this.#connection.model(Date.now() + PERIOD_MS)).createChannel();
    // A queue that is gone closes the channel; the question's own answer says so.
    channel.on('error', () => {});
    channel.on('close', () => {
      if (this.#channel === channel) this.#channel = null;
    });
    return channel;
  }
}

/** The request lies in the queue, or a server took it and was lost: which of the two cannot be told from here. */
function nobodyLeft(queue: string): ServiceError {
  return new ServiceError('UNAVAILABLE', `nobody serves ${queue} any more; the request may have run`);
}
