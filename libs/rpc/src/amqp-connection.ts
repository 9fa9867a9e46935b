/**
 * One broker connection a process, kept up: made when first needed, made again whenever it is lost, with a growing
 * and jittered pause so that a fleet does not come back as one wave. What lives on it (channels, consumers) belongs
 * to its users, who ask again for the connection when theirs has ended.
 */
import { connect } from 'amqplib';
import type { ChannelModel, Options } from 'amqplib';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Duplex } from 'node:stream';
import { ServiceError } from '@gatehouse/errors/service-error';
import { brokerAddresses, brokerName } from './amqp-url.ts';
import type { BrokerAddress } from './amqp-url.ts';
import type { RpcLog } from './transport.ts';

const CONNECT_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 2_000;
const PAUSE_MS_MIN = 20;
const SPREAD_MS_MIN = 300;
const SPREAD_MS_MAX = 5_000;
/** As long as it takes the others to be back who lost the broker together with us. */
const JUST_BACK_MS = SPREAD_MS_MAX + 1_000;

/**
 * A pause before the next attempt, by chance alone, so that a fleet that lost its broker in one moment comes back spread
 * evenly: over a third of a second at first, and after each failure over twice as long, up to 5 s.
 */
export function backoffMs(failures: number): number {
  return PAUSE_MS_MIN + Math.random() * Math.min(SPREAD_MS_MAX, SPREAD_MS_MIN * 2 ** Math.min(failures, 20));
}

interface Waiter {
  readonly resolve: (model: ChannelModel) => void;
  readonly reject: (error: ServiceError) => void;
}

export class AmqpConnection {
  readonly #addresses: readonly BrokerAddress[];
  /** Which address is tried next; a fleet begins at different ones. */
  #next: number;
  readonly #name: string;
  readonly #log: RpcLog;
  readonly #closing = new AbortController();
  readonly #waiters = new Set<Waiter>();
  #model: ChannelModel | null = null;
  #isRunning = false;
  #wasLost = false;
  /** Epoch milliseconds of the last reconnection; 0 before any. */
  #backAt = 0;

  /** @throws ServiceError INVALID_ARGUMENT when the URL is none */
  constructor(url: string, name: string, log: RpcLog) {
    this.#addresses = brokerAddresses(url);
    this.#next = Math.trunc(Math.random() * this.#addresses.length);
    this.#name = name;
    this.#log = log;
  }

  get connected(): boolean {
    return this.#model !== null;
  }

  /** Was lost and made again a moment ago: who cannot be found now may be on the way back as well. */
  get isJustBack(): boolean {
    return Date.now() < this.#backAt + JUST_BACK_MS;
  }

  /** The live connection, waited for until the deadline. @throws ServiceError DEADLINE_EXCEEDED, UNAVAILABLE (closed) */
  async model(deadline = Infinity): Promise<ChannelModel> {
    if (this.#closing.signal.aborted) throw closed();
    if (this.#model !== null) return this.#model;
    if (!this.#isRunning) void this.#keepUp();
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        resolve: (model) => finish(() => resolve(model)),
        reject: (error) => finish(() => reject(error)),
      };
      const finish = (outcome: () => void): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        outcome();
      };
      const late = (): void => waiter.reject(new ServiceError('DEADLINE_EXCEEDED', 'the message broker was not reached before the deadline'));
      const timer = deadline === Infinity ? undefined : setTimeout(late, Math.max(0, deadline - Date.now()));
      this.#waiters.add(waiter);
    });
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    for (const waiter of [...this.#waiters]) waiter.reject(closed());
    const model = this.#model;
    this.#model = null;
    if (model === null) return;
    // A broker that does not say goodbye must not hold us up.
    await Promise.race([model.close(), sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false })]).catch(() => {});
    socketOf(model)?.destroy();
  }

  async #keepUp(): Promise<void> {
    this.#isRunning = true;
    for (let failures = 0; !this.#closing.signal.aborted; ) {
      const address = this.#addresses[this.#next % this.#addresses.length] as BrokerAddress;
      // Whether it cannot be reached or is lost later: the next host is more likely to be there.
      this.#next += 1;
      try {
        const model = await connect(connectOptions(address), {
          noDelay: true,
          timeout: CONNECT_TIMEOUT_MS,
          clientProperties: { connection_name: this.#name },
        });
        failures = 0;
        await this.#use(model, brokerName(address));
      } catch (error) {
        // One line when it begins, and one now and then.
        const level = failures % 10 === 0 ? 'warn' : 'debug';
        this.#log[level]({ broker: brokerName(address), problem: problemOf(error) }, 'the message broker cannot be reached; trying again');
        failures += 1;
      }
      await sleep(backoffMs(failures), undefined, { signal: this.#closing.signal }).catch(() => {});
    }
    this.#isRunning = false;
  }

  /** Resolves when the connection has ended. */
  async #use(model: ChannelModel, broker: string): Promise<void> {
    if (this.#closing.signal.aborted) return model.close();
    const ended = new Promise<string>((resolve) => {
      let reason = 'it was closed';
      model.on('error', (error: unknown) => (reason = problemOf(error)));
      model.on('close', (error: unknown) => resolve(error === undefined ? reason : problemOf(error)));
    });
    model.on('handler-error', (error: unknown, event: unknown) => this.#log.error({ err: error, event }, 'a broker event was handled badly'));
    model.on('blocked', (reason) => this.#log.warn({ broker, reason }, 'the broker takes nothing for now'));
    model.on('unblocked', () => this.#log.info({ broker }, 'the broker takes messages again'));
    coalesceWrites(model);
    this.#model = model;
    if (this.#wasLost) this.#backAt = Date.now();
    this.#log.info({ broker, name: this.#name }, 'connected to the message broker');
    for (const waiter of [...this.#waiters]) waiter.resolve(model);
    const reason = await ended;
    this.#model = null;
    this.#wasLost = true;
    if (!this.#closing.signal.aborted) this.#log.warn({ broker, reason }, 'the connection to the message broker was lost');
  }
}

/**
 * amqplib writes each message by itself; at many calls a turn the system calls cost more than the messages. The
 * socket is corked from the first write of a turn to its end. (`connection.stream` is not in amqplib's types: where
 * it is missing, writes stay as they are.)
 */
function coalesceWrites(model: ChannelModel): void {
  const socket = socketOf(model);
  if (socket === null) return;
  const write = socket.write.bind(socket) as (chunk: unknown) => boolean;
  let isCorked = false;
  const uncork = (): void => {
    isCorked = false;
    socket.uncork();
  };
  socket.write = (chunk: unknown): boolean => {
    if (!isCorked) {
      isCorked = true;
      socket.cork();
      process.nextTick(uncork);
    }
    return write(chunk);
  };
}

function connectOptions({ host, port, isTls, username, password, vhost, heartbeatSeconds }: BrokerAddress): Options.Connect {
  // amqplib decodes the virtual host, and nothing else.
  return { protocol: isTls ? 'amqps' : 'amqp', hostname: host, port, username, password, vhost: encodeURIComponent(vhost), heartbeat: heartbeatSeconds };
}

function socketOf(model: ChannelModel): Duplex | null {
  const { stream } = model.connection as unknown as { readonly stream?: Duplex };
  return typeof stream?.cork === 'function' ? stream : null;
}

function closed(): ServiceError {
  return new ServiceError('UNAVAILABLE', 'the transport is closed');
}

export function problemOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Node joins the failures of a name's several addresses without words of its own.
  const { code } = error as { code?: unknown };
  return error.message !== '' ? error.message : String(code ?? error.name);
}

/** Whether the broker understood and refuses: asking again at once is no use. */
export function isRefusal(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === 403 || code === 406;
}

/** What an operator should know and do. */
export function adviceOn(error: unknown): string | null {
  const { code } = error as { code?: unknown };
  if (code === 403) return "the broker user may not do this: give it the permissions to configure, write and read that RPC needs";
  if (code !== 406) return null;
  if (/ for exchange '[^']*_fanout'/.test(problemOf(error))) {
    return "somebody declared this fanout exchange otherwise, as oslo's rabbit_transient_quorum_queue does: turn that off there, or use another virtual host here";
  }
  return 'somebody declared this queue or exchange otherwise: set GATEHOUSE_RPC_QUEUES as the other services that share it are set, or delete it when none uses it';
}
