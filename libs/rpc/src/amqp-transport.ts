/**
 * RPC over RabbitMQ, on oslo.messaging's wire (its envelope, exchanges, queues and reply conventions): Python services
 * call ours and are called by ours. One connection a process, three channels for asking and one for each listener.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import { AmqpCaller } from './amqp-caller.ts';
import { AmqpConnection } from './amqp-connection.ts';
import { AmqpDeadLetters } from './amqp-dead-letters.ts';
import { listenOn } from './amqp-listener.ts';
import type { ListenerMeans } from './amqp-listener.ts';
import type { QueueKind } from './amqp-topology.ts';
import { ConfirmedPublisher } from './confirmed-publisher.ts';
import { SILENT } from './transport.ts';
import type { Listener, Listening, OutgoingRequest, Reply, RpcLog, Transport } from './transport.ts';

export interface AmqpTransportOptions {
  /** amqp://user:password@host:5672/vhost; several hosts between commas are tried in turn, from any of them on. */
  readonly url: string;
  /** The topic exchange, oslo's control_exchange. */
  readonly exchange: string;
  /** Shown by the broker beside the connection. */
  readonly connectionName: string;
  /** The same as the other services of its topics have, or the broker refuses them; transient unless told, as in oslo. */
  readonly queues?: QueueKind;
  /** For quorum queues, oslo's rabbit_quorum_delivery_limit; none unless told. */
  readonly deliveryLimit?: number;
  /** A request that runs for longer (up to twice as long) is acknowledged before its end, 10 minutes unless told. */
  readonly acknowledgeAfterMs?: number;
  readonly log?: RpcLog;
}

/** Well below RabbitMQ's consumer_timeout of 30 minutes. */
const ACKNOWLEDGE_AFTER_MS = 600_000;

/**
 * Connects when first used, and waits for a broker that is not there.
 * @throws ServiceError INVALID_ARGUMENT for a URL or an exchange that cannot be one
 */
export function createAmqpTransport(options: AmqpTransportOptions): Transport {
  const { url, exchange, connectionName, queues = 'transient', deliveryLimit = 0, acknowledgeAfterMs = ACKNOWLEDGE_AFTER_MS, log = SILENT } = options;
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/.test(exchange)) {
    throw new ServiceError('INVALID_ARGUMENT', 'exchange: expected up to 255 letters, digits, dots, - and _');
  }
  const connection = new AmqpConnection(url, connectionName, log);
  return new AmqpTransport({
    connection,
    topology: { exchange, queues, deliveryLimit },
    publisher: new ConfirmedPublisher(connection, log, async () => {}),
    deadLetters: new AmqpDeadLetters(connection, log),
    acknowledgeAfterMs,
    log,
  });
}

class AmqpTransport implements Transport {
  readonly #means: ListenerMeans;
  readonly #caller: AmqpCaller;
  readonly #listening = new Set<Listening>();

  constructor(means: ListenerMeans) {
    this.#means = means;
    this.#caller = new AmqpCaller(means.connection, means.topology, means.log);
  }

  get connected(): boolean {
    return this.#means.connection.connected;
  }

  request(request: OutgoingRequest): Promise<Reply | null> {
    return request.kind === 'call' ? this.#caller.call(request) : this.#caller.cast(request).then(() => null);
  }

  async listen(listener: Listener): Promise<Listening> {
    const listening = await listenOn(this.#means, listener);
    this.#listening.add(listening);
    const close = async (): Promise<void> => {
      this.#listening.delete(listening);
      await listening.close();
    };
    return { pause: () => listening.pause(), close };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#listening].map((listening) => listening.close()));
    await this.#caller.close();
    await this.#means.connection.close();
  }
}
