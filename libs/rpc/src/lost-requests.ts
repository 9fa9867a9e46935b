/**
 * Requests whose server was lost with them. The broker gives such a one to the next server, and one that kills every
 * server that takes it would go round for ever. The broker does not count on classic queues, so we do: the request goes
 * back into its queue as a copy that says how many servers it has cost, and beyond LOSSES_MAX it is a dead letter.
 *
 * A server that dies holds many requests, and only one of them is to blame. So after the first loss they go back a few
 * at a time, SUSPECTS_MAX at most: what merely waited here when the server died again is not counted, and of those
 * that are, half are cleared each time, and who was counted more than once goes back alone, so that only the guilty one
 * comes to the end of its count.
 */
import type { ConsumeMessage } from 'amqplib';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { problemOf } from './amqp-connection.ts';
import type { ConfirmedPublisher } from './confirmed-publisher.ts';
import type { RpcLog } from './transport.ts';

export const LOSSES_MAX = 5;
const LOSSES_HEADER = 'x-gatehouse-losses';
/** A copy waits for so long before it runs, and here for so long after its original is out: if it kills its server at once, there must be no other. */
export const COPY_HELD_MS = 100;
/** One at first, then twice as many each time. */
const SUSPECTS_MAX = 8;
/** With so many losses before this one a request goes back alone: nothing is counted with it to the end. */
const ALONE_FROM = 2;
/** Between those: long enough for the guilty one to show, and longer on a machine where putting back takes long. */
const APART_MS = 500;
const APART_FACTOR = 5;
const RETURN_MS_MAX = 5_000;

export interface LostRequest {
  readonly message: ConsumeMessage;
  readonly uniqueId: string | null;
  readonly queue: string;
  /** It is out of the queue, or there again as a copy. */
  readonly done: () => void;
  /** Serves it as it is, where it cannot be put back. */
  readonly serve: () => void;
  /** Makes it a dead letter. */
  readonly bury: (losses: number) => Promise<void>;
}

export class LostRequests {
  readonly #publisher: Pick<ConfirmedPublisher, 'publish'>;
  readonly #log: RpcLog;
  /** No longer than what the broker hands over at one time. */
  readonly #suspects: LostRequest[] = [];
  /** Those that are on their way back, by their unique ids, until their originals are out of the queue. */
  readonly #returning = new Map<string, Promise<void>>();
  #isRunning = false;

  constructor(publisher: Pick<ConfirmedPublisher, 'publish'>, log: RpcLog) {
    this.#publisher = publisher;
    this.#log = log;
  }

  take(request: LostRequest): void {
    const losses = lossesOf(request.message) + 1;
    if (losses === 1) return void this.#putBack(request, losses);
    this.#suspects.push(request);
    if (!this.#isRunning) void this.#fewByFew();
  }

  /** Resolves when no original of this request waits here for word of its copy, and the broker has had time to read its acknowledgement. */
  async whenOut(uniqueId: string | null): Promise<void> {
    if (uniqueId !== null) await this.#returning.get(uniqueId);
    // What came in while this process stood still is heard before what it held on to.
    await nextTurn();
  }

  async #fewByFew(): Promise<void> {
    this.#isRunning = true;
    for (let size = 1; this.#suspects.length > 0; size = Math.min(2 * size, SUSPECTS_MAX)) {
      const began = performance.now();
      await Promise.all(this.#takeFew(size).map((each) => this.#judge(each)));
      // Whoever has closed meanwhile is not held up by it.
      await sleep(APART_MS + APART_FACTOR * (performance.now() - began), undefined, { ref: false });
    }
    this.#isRunning = false;
  }

  #takeFew(size: number): readonly LostRequest[] {
    const alone = this.#suspects.findIndex(({ message }) => lossesOf(message) >= ALONE_FROM);
    return this.#suspects.splice(0, alone === -1 ? size : Math.max(1, Math.min(size, alone)));
  }

  async #judge(request: LostRequest): Promise<void> {
    const losses = lossesOf(request.message) + 1;
    if (losses <= LOSSES_MAX) return this.#putBack(request, losses);
    await request.bury(losses);
    request.done();
  }

  async #putBack(request: LostRequest, losses: number): Promise<void> {
    const returning = this.#publishCopy(request, losses);
    const { uniqueId } = request;
    if (uniqueId === null) return returning;
    // The broker must have read the acknowledgement: what a process sent just before it died may be dropped.
    const out = returning.then(() => sleep(COPY_HELD_MS, undefined, { ref: false }));
    this.#returning.set(uniqueId, out);
    void out.then(() => this.#returning.get(uniqueId) === out && this.#returning.delete(uniqueId));
    await returning;
  }

  async #publishCopy({ message, queue, done, serve }: LostRequest, losses: number): Promise<void> {
    const { contentType, contentEncoding, priority, deliveryMode, replyTo, correlationId, expiration, headers } = message.properties as PlainProperties;
    const kept = { contentType, contentEncoding, priority, deliveryMode, replyTo, correlationId, expiration };
    const options = { ...kept, mandatory: true, headers: { ...headers, [LOSSES_HEADER]: losses } };
    try {
      await this.#publisher.publish({ exchange: '', key: queue, body: message.content, options, title: 'a request of a lost server', deadline: Date.now() + RETURN_MS_MAX });
      done();
    } catch (error) {
      this.#log.warn({ queue, problem: problemOf(error) }, 'a request of a lost server could not be put back and runs uncounted');
      serve();
    }
  }
}

/** amqplib types the properties of a delivered message as `any`. */
interface PlainProperties {
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly priority?: number;
  readonly deliveryMode?: number;
  readonly replyTo?: string;
  readonly correlationId?: string;
  readonly expiration?: string;
  readonly headers?: Readonly<Record<string, unknown>>;
}

/** How many servers were lost with this request before it was put back. */
export function lossesOf(message: ConsumeMessage): number {
  const losses: unknown = message.properties.headers?.[LOSSES_HEADER];
  return typeof losses === 'number' && Number.isInteger(losses) && losses > 0 ? losses : 0;
}
