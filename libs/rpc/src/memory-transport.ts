/**
 * RPC inside one process: the same bytes, limits and refusals as over a broker, without the broker.
 *
 * Every message is encoded, handed over on a later turn and decoded again, so that nothing that works here
 * (shared references, synchronous answers, values that are no JSON) fails on a wire.
 */
import { ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import { encodeAnswer, refusalReply } from './answer.ts';
import { decodeReply, decodeRequest, encodeRequest, newMessageId } from './envelope.ts';
import { addressOf, cancelled, nobodyListens, PendingCalls, titleOf } from './pending-calls.ts';
import { TakenRequest } from './taken-request.ts';
import type { Listener, Listening, OutgoingRequest, Reply, Transport } from './transport.ts';

const REPLY_QUEUE = 'memory';

interface Seat {
  readonly listener: Listener;
  taken: number;
}

export function createMemoryTransport(): Transport {
  return new MemoryTransport();
}

class MemoryTransport implements Transport {
  /** Listeners of a topic; the first is the next to be asked. */
  readonly #seats = new Map<string, Seat[]>();
  /** Calls at work, by message id. */
  readonly #atWork = new Map<string, TakenRequest>();
  readonly #calls = new PendingCalls(({ msgId }) => this.#cancel(msgId));
  #isClosed = false;

  get connected(): boolean {
    return !this.#isClosed;
  }

  async request(request: OutgoingRequest): Promise<Reply | null> {
    const { kind, topic, server, message, deadline } = request;
    if (this.#isClosed) throw new ServiceError('UNAVAILABLE', 'the transport is closed');
    if (request.signal?.aborted) throw cancelled(titleOf(request));
    const seats = this.#seatsFor(topic, kind === 'fanout' ? undefined : server, kind === 'fanout');
    if (kind === 'fanout') {
      for (const seat of seats) this.#hand(seat, encodeRequest(message, null), deadline);
      return null;
    }
    const [seat] = seats;
    if (seat === undefined) throw nobodyListens(addressOf(request));
    if (kind === 'cast') {
      this.#hand(seat, encodeRequest(message, null), deadline);
      return null;
    }
    const msgId = newMessageId();
    const body = encodeRequest(message, { msgId, replyQueue: REPLY_QUEUE, monitorTimeoutMs: request.monitorTimeoutMs });
    const answered = this.#calls.wait(msgId, request);
    if (this.#calls.has(msgId)) this.#handOrReject(msgId, seat, body, deadline);
    return answered;
  }

  async listen(listener: Listener): Promise<Listening> {
    const seat: Seat = { listener, taken: 0 };
    this.#seats.set(listener.topic, [...(this.#seats.get(listener.topic) ?? []), seat]);
    const pause = async (): Promise<void> => {
      const left = (this.#seats.get(listener.topic) ?? []).filter((each) => each !== seat);
      this.#seats.set(listener.topic, left);
    };
    return { pause, close: pause };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#seats.clear();
    this.#calls.rejectAll('the transport was closed');
  }

  #seatsFor(topic: string, server: string | undefined, everyone: boolean): readonly Seat[] {
    const seats = this.#seats.get(topic) ?? [];
    if (everyone) return seats;
    const found = seats.find((seat) => server === undefined || seat.listener.server === server);
    if (found === undefined) return [];
    // To the back of the row: the next request asks another.
    this.#seats.set(topic, [...seats.filter((seat) => seat !== found), found]);
    return [found];
  }

  #handOrReject(msgId: string, seat: Seat, body: Buffer, deadline: number): void {
    try {
      this.#hand(seat, body, deadline);
    } catch (error) {
      this.#calls.reject(msgId, toServiceError(error));
    }
  }

  #hand(seat: Seat, body: Buffer, deadline: number): void {
    if (seat.taken >= seat.listener.requestsMax) {
      throw new ServiceError('RESOURCE_EXHAUSTED', `${seat.listener.topic} on ${seat.listener.server} holds ${seat.taken} requests and takes no more`);
    }
    seat.taken += 1;
    setImmediate(() => void this.#deliver(seat, body, deadline).finally(() => (seat.taken -= 1)));
  }

  async #deliver(seat: Seat, body: Buffer, deadline: number): Promise<void> {
    const { address, message } = decodeRequest(body);
    const { msgId, monitorTimeoutMs } = address;
    // Whoever gave up meanwhile need not be served.
    if (msgId !== null && !this.#calls.has(msgId)) return;
    if (message instanceof ServiceError) return this.#answer(msgId, refusalReply(message));
    const taken = new TakenRequest(message, msgId === null ? null : REPLY_QUEUE, false, Math.max(0, deadline - Date.now()));
    if (msgId !== null) this.#atWork.set(msgId, taken);
    const beats = msgId === null || monitorTimeoutMs === null ? undefined : setInterval(() => this.#calls.markAtWork(msgId), monitorTimeoutMs / 2);
    const reply = await seat.listener.handle(taken);
    clearInterval(beats);
    if (msgId !== null) this.#atWork.delete(msgId);
    if (!taken.isCancelled) this.#answer(msgId, reply);
  }

  #answer(msgId: string | null, reply: Reply): void {
    if (msgId === null) return;
    const answer = encodeAnswer(msgId, reply);
    setImmediate(() => {
      const { result, failure } = decodeReply(answer);
      this.#calls.resolve(msgId, { result, failure });
    });
  }

  #cancel(msgId: string): void {
    setImmediate(() => this.#atWork.get(msgId)?.cancel());
  }
}
