/** Which agents are there: each reports every few seconds, and counts as gone after some silence. */
import { SERVICE_SILENCE_MS_MAX } from '@gatehouse/contracts/consoleauth';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { StoredService } from '@gatehouse/cell-db/services-store';

/** Agents that were seen at or after this are there. */
export function agentsSince(now: Date): Date {
  return new Date(now.getTime() - SERVICE_SILENCE_MS_MAX);
}

/**
 * Where the agent of a host serves its console stream, host:port.
 * @throws ServiceError UNAVAILABLE when it has not reported lately
 */
export function endpointOf(agent: Pick<StoredService, 'endpoint'> | null, host: string): string {
  if (agent === null) throw new ServiceError('UNAVAILABLE', `host ${host} does not answer; its compute agent has not reported lately`);
  if (agent.endpoint === null) throw new ServiceError('UNAVAILABLE', `the compute agent of host ${host} serves no console stream`);
  return agent.endpoint;
}
