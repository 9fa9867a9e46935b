/** The RPC edge of a compute agent: each method of the contract is one call of the application. */
import type { compute } from '@gatehouse/contracts/compute';
import type { Handlers } from '@gatehouse/rpc/server';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ComputeAgent } from './compute-agent.ts';

export function computeHandlers(agent: ComputeAgent): Handlers<typeof compute> {
  return {
    getConsole: ({ instanceUuid, consoleType, access }, context) => agent.getConsole(instanceUuid, consoleType, access, context),
    createInstance: ({ instance }) => agent.createInstance(instance),
    deleteInstance: ({ instanceUuid }) => agent.deleteInstance(instanceUuid),
    stopInstance: unimplemented,
    receiveInstance: unimplemented,
    startInstance: unimplemented,
    rebootInstance: unimplemented,
    rebuildInstance: unimplemented,
    confirmConsole: unimplemented,
    consoleOutput: unimplemented,
  };
}

function unimplemented(): never {
  throw new ServiceError('UNIMPLEMENTED', 'this is being built');
}
