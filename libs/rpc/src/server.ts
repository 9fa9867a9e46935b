/**
 * A contract's server: takes requests off a transport, checks them, runs handlers and answers.
 *
 * At most `concurrency` handlers run, as many requests again wait for them, and what comes beyond is refused with
 * RESOURCE_EXHAUSTED at once: a caller learns of an overload before its deadline. (A cast waits.) A request whose deadline has
 * passed is not run. Errors are converted here, once: a ServiceError crosses whole, anything else is logged and
 * becomes INTERNAL.
 */
import { randomUUID } from 'node:crypto';
import { isServiceError, ServiceError } from '@gatehouse/errors/service-error';
import { refusalReply } from './answer.ts';
import type { BackportPeer } from './backport-peer.ts';
import type { Contract, Methods } from './contract.ts';
import { endpoint } from './endpoint.ts';
import type { Endpoint, Handlers } from './endpoint.ts';
import { decodeFailure } from './failure.ts';
import { runRequest } from './run-request.ts';
import type { BackportWay } from './run-request.ts';
import { SILENT } from './transport.ts';
import type { IncomingRequest, Listening, Reply, RequestMessage, RpcLog, Transport } from './transport.ts';

export type { Handler, Handlers } from './endpoint.ts';

export interface ServeOptions<M extends Methods> {
  /** This server's name: requests may be directed to it. */
  readonly server: string;
  readonly handlers: Handlers<Contract<M>>;
  /** What this server answers on the same topic besides: an older major version, another namespace. */
  readonly others?: readonly Endpoint[];
  /** Handlers at work at one time, 64 unless told; as many requests again may wait. */
  readonly concurrency?: number;
  /** Who is asked about objects in arguments that are newer than ours; without a peer they are refused. */
  readonly backportPeer?: BackportPeer | undefined;
  readonly log?: RpcLog;
}

export interface RpcServer {
  /** Resolves when a request to this very server, through its own queue, was answered. @throws ServiceError */
  checkLoop(timeoutMs?: number): Promise<void>;
  /** Takes no more requests, and resolves when those taken have answered or the time (10 s) is over. */
  drain(timeoutMs?: number): Promise<void>;
}

const CONCURRENCY_DEFAULT = 64;
const DRAIN_MS_DEFAULT = 10_000;
const CHECK_MS_DEFAULT = 2_000;
const PING = 'oslo_rpc_server_ping';
/** Of a text that calls itself one, in the log. */
const REQUEST_ID_LENGTH_MAX = 255;
const SERVER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,150}$/;

/**
 * Resolves when requests arrive; waits for a broker that is not there yet.
 * @throws ServiceError INVALID_ARGUMENT when the server's name cannot stand in a queue's name
 */
export async function serve<M extends Methods>(contract: Contract<M>, transport: Transport, options: ServeOptions<M>): Promise<RpcServer> {
  const { server, concurrency = CONCURRENCY_DEFAULT, log = SILENT } = options;
  if (!SERVER_NAME.test(server)) throw new ServiceError('INVALID_ARGUMENT', 'server: expected a name of letters, digits, dot, - and _');
  const endpoints = [endpoint(contract, options.handlers), ...(options.others ?? [])];
  const foreign = endpoints.find((each) => each.contract.topic !== contract.topic);
  if (foreign) throw new ServiceError('INVALID_ARGUMENT', `others: expected contracts of the topic ${contract.topic}, got one of ${foreign.contract.topic}`);
  const backports = options.backportPeer === undefined ? null : { transport, peer: options.backportPeer };
  const dispatcher = new Dispatcher(contract.topic, endpoints, { concurrency, backports, log });
  const listening = await transport.listen({
    topic: contract.topic,
    server,
    // One above what is run and held, so that an overload is seen here and refused.
    requestsMax: 2 * concurrency + 1,
    handle: (request) => dispatcher.handle(request),
  });
  log.info({ topic: contract.topic, server, version: contract.version }, 'serving');
  return {
    checkLoop: (timeoutMs = CHECK_MS_DEFAULT) => ping(contract, transport, server, timeoutMs),
    drain: (timeoutMs = DRAIN_MS_DEFAULT) => drain(dispatcher, listening, timeoutMs),
  };
}

async function drain(dispatcher: Dispatcher, listening: Listening, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)));
  await Promise.race([listening.pause().then(() => dispatcher.idle()), late]);
  clearTimeout(timer);
  await listening.close();
}

async function ping(contract: Contract, transport: Transport, server: string, timeoutMs: number): Promise<void> {
  const message: RequestMessage = { method: PING, args: {}, namespace: contract.namespace, version: contract.version, context: { request_id: `req-${randomUUID()}` } };
  const reply = await transport.request({ kind: 'call', topic: contract.topic, server, message, deadline: Date.now() + timeoutMs });
  if (reply !== null && reply.failure !== null) throw decodeFailure(reply.failure);
}

interface DispatcherOptions {
  readonly concurrency: number;
  readonly backports: BackportWay | null;
  readonly log: RpcLog;
}

class Dispatcher {
  readonly #topic: string;
  readonly #endpoints: readonly Endpoint[];
  readonly #concurrency: number;
  readonly #backports: BackportWay | null;
  readonly #log: RpcLog;
  readonly #waiting: (() => void)[] = [];
  readonly #idleWaiters: (() => void)[] = [];
  #running = 0;

  constructor(topic: string, endpoints: readonly Endpoint[], { concurrency, backports, log }: DispatcherOptions) {
    this.#topic = topic;
    this.#endpoints = endpoints;
    this.#concurrency = concurrency;
    this.#backports = backports;
    this.#log = log;
  }

  async handle(request: IncomingRequest): Promise<Reply> {
    if (request.message.method === PING) return { result: 'pong', failure: null };
    // Nobody would hear that a cast is refused, and it would be lost; it waits, and the transport bounds how many do.
    const busy = request.wantsReply ? this.#busy() : null;
    if (busy !== null) return refusalReply(busy);
    let hasWaited = false;
    if (this.#running < this.#concurrency) this.#running += 1;
    // The place is handed over by leave(), so nobody slips in between.
    else {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
      hasWaited = true;
    }
    try {
      if (hasWaited && request.signal?.aborted) throw new ServiceError('CANCELLED', `the caller of ${request.message.method} gave up before it could run`);
      return { result: await runRequest(this.#endpoints, request, this.#backports), failure: null };
    } catch (error) {
      this.#report(request.message, error);
      return refusalReply(error);
    } finally {
      this.#leave();
    }
  }

  /** Resolves when no handler runs and none waits. */
  async idle(): Promise<void> {
    if (this.#running > 0) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  #busy(): ServiceError | null {
    const [running, waiting] = [this.#running, this.#waiting.length];
    if (running < this.#concurrency || waiting < this.#concurrency) return null;
    return new ServiceError('RESOURCE_EXHAUSTED', `${this.#topic} is busy: ${running} requests run and ${waiting} wait`);
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next !== undefined) return next();
    this.#running -= 1;
    if (this.#running === 0) for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  #report(message: RequestMessage, error: unknown): void {
    const { request_id: requestId } = message.context;
    // What stands there may be anything, and of any size.
    const facts = { topic: this.#topic, method: message.method, requestId: typeof requestId === 'string' ? requestId.slice(0, REQUEST_ID_LENGTH_MAX) : null };
    if (isServiceError(error) && error.code !== 'INTERNAL') this.#log.debug({ ...facts, code: error.code, problem: error.message }, 'request refused');
    else this.#log.error({ ...facts, err: error }, 'request failed');
  }
}
