/** The RPC edge of a compute agent: each method of the contract is one call of the application. */
import type { compute } from '@gatehouse/contracts/compute';
import type { Handlers } from '@gatehouse/rpc/server';
import type { ComputeAgent } from './compute-agent.ts';
import { endReasonOf } from './guest-consoles.ts';

export function computeHandlers(agent: ComputeAgent): Handlers<typeof compute> {
  return {
    getConsole: ({ instanceUuid, consoleType, access }, context) => agent.getConsole(instanceUuid, consoleType, access, context),
    createInstance: ({ instance }) => agent.createInstance(instance),
    deleteInstance: ({ instanceUuid, reason }) => agent.deleteInstance(instanceUuid, endReasonOf(reason)),
    stopInstance: ({ instanceUuid, reason }) => agent.stopInstance(instanceUuid, endReasonOf(reason)),
    startInstance: ({ instance }) => agent.startInstance(instance),
    rebootInstance: ({ instance }) => agent.rebootInstance(instance),
    rebuildInstance: ({ instance }) => agent.rebuildInstance(instance),
    receiveInstance: ({ instance, live }) => agent.receiveInstance(instance, live),
    confirmConsole: ({ connection }) => agent.confirmConsole(connection),
    consoleOutput: ({ instanceUuid, length }) => agent.consoleOutput(instanceUuid, length),
  };
}
