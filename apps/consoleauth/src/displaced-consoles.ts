/**
 * A port that proxies dial has one owner. Whoever has it now takes the place of a console of another instance that is no more:
 * the instance was deleted, or its host counts as gone, which is when its machines may be evacuated. Agents of one machine may share its address and a range
 * of ports, and what a dead one left behind must not keep the guests of a living one from their consoles. A console of a
 * living host stays; that is told to who claims its place.
 */
import type { ConsoleStores } from '@gatehouse/cell-db/cell-db';
import type { ConsoleConnectionsStore, StoredConnection } from '@gatehouse/cell-db/console-connections-store';
import type { StoredSession } from '@gatehouse/cell-db/console-session-row';
import { SERVICE_SILENCE_MS_MAX } from '@gatehouse/contracts/consoleauth';
import { ServiceError, isServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';

/** Sessions of one console. */
const SESSIONS_MAX = 10_000;

/** Those in the place of one of these that have to make room; all that are on `host`, whose agent knows better than what was said before. */
export async function listDisplaced(
  { consoleConnections, instances, services }: ConsoleStores, connections: readonly ConsoleConnection[], now: Date, host: string | null = null,
): Promise<readonly StoredConnection[]> {
  const since = new Date(now.getTime() - SERVICE_SILENCE_MS_MAX);
  const displaced: StoredConnection[] = [];
  for (const other of await consoleConnections.listInPlaceOf(connections)) {
    const stays = other.host !== host && (await instances.find(other.instanceUuid)) !== null && (await services.findLive('compute', other.host, since)) !== null;
    if (!stays) displaced.push(other);
  }
  return displaced;
}

/** Tokens before connections, in the order in which whoever connects takes them. @returns the sessions that must end now */
export async function removeConsoles(stores: ConsoleStores, gone: readonly StoredConnection[], now: Date): Promise<readonly StoredSession[]> {
  for (const { id } of gone) await stores.consoleTokens.deleteForConnection(id);
  await stores.consoleConnections.deleteAll(gone.map(({ id }) => id));
  const ending: StoredSession[] = [];
  for (const { id, instanceUuid } of gone) {
    ending.push(...(await stores.consoleSessionEnds.mark({ instanceUuid, connectionId: id }, 'console_gone', now, SESSIONS_MAX)));
  }
  return ending;
}

/** What `error` is when a living console has the place of one of these: it names the two. Any other error is itself. */
export async function inWords(error: unknown, consoleConnections: ConsoleConnectionsStore, connections: readonly ConsoleConnection[]): Promise<unknown> {
  if (!isServiceError(error) || error.code !== 'ALREADY_EXISTS') return error;
  const [other] = await consoleConnections.listInPlaceOf(connections).catch(() => []);
  const claimed = connections.find(({ port }) => port === other?.port);
  if (other === undefined || claimed === undefined) return error;
  const { instanceUuid, host } = claimed;
  const words = `${other.address}:${other.port} is a console of instance ${other.instanceUuid} on host ${other.host}, so it cannot be one of instance ${instanceUuid} on host ${host}`;
  const advice = other.host === host ? 'its agent says which of them has it when it starts' : 'give the two agents ports or addresses that differ';
  return new ServiceError('ALREADY_EXISTS', `${words}: ${advice}`, { cause: error });
}
