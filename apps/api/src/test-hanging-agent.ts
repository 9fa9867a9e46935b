/** A compute agent that reports itself and never answers. */
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { compute } from '@gatehouse/contracts/compute';
import { serve } from '@gatehouse/rpc/server';
import type { RpcServer } from '@gatehouse/rpc/server';
import { someHandlers } from '@gatehouse/rpc/some-handlers';
import type { Transport } from '@gatehouse/rpc/transport';

export async function serveHangingAgent(cellDb: CellDb, transport: Transport, host: string): Promise<RpcServer> {
  const never = (): Promise<never> => new Promise(() => {});
  await cellDb.services.report({ binary: 'gatehouse-compute-agent', host, topic: compute.topic, version: '1.0', endpoint: null, lastSeenAt: new Date() });
  return serve(compute, transport, {
    server: host,
    handlers: someHandlers(compute, { createInstance: never, stopInstance: never, rebootInstance: never, rebuildInstance: never, receiveInstance: never, deleteInstance: never }),
  });
}
