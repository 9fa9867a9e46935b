// The message broker as every app that speaks RPC is told of it: the same settings, and the transport they make.
import { createAmqpTransport } from '@gatehouse/rpc/amqp-transport';
import { QUEUE_KINDS } from '@gatehouse/rpc/amqp-topology';
import type { QueueKind } from '@gatehouse/rpc/amqp-topology';
import type { RpcLog, Transport } from '@gatehouse/rpc/transport';
import { brokerUrl, choice, integer, name } from './settings.ts';

export const brokerSettings = {
  transportUrl: brokerUrl(),
  rpcExchange: name('gatehouse'),
  /** As the Python services that share a topic have them: amqp_durable_queues, rabbit_quorum_queue, or neither. */
  rpcQueues: choice(QUEUE_KINDS, 'transient'),
  /** Their rabbit_quorum_delivery_limit; 0 for none. */
  rpcDeliveryLimit: integer({ min: 0, max: 1_000_000, fallback: 0 }),
};

export interface BrokerConfig {
  readonly transportUrl: string;
  readonly rpcExchange: string;
  readonly rpcQueues: QueueKind;
  readonly rpcDeliveryLimit: number;
}

/** `connectionName` is shown by the broker. Connects when first used. */
export function brokerTransport(config: BrokerConfig, connectionName: string, log: RpcLog): Transport {
  const { transportUrl: url, rpcExchange: exchange, rpcQueues: queues, rpcDeliveryLimit: deliveryLimit } = config;
  return createAmqpTransport({ url, exchange, queues, deliveryLimit, connectionName, log });
}
