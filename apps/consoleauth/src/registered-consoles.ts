/**
 * Which consoles a guest has now, as the agent of its host says it: after it made, found, started or moved the guest, and of
 * every guest at its own start. What is not named is gone, with its tokens; sessions on it end.
 *
 * Where the instance is placed decides whose word holds for other hosts: the agent that the instance is placed on speaks for
 * all of it, another one (the source of a move that comes back late, or its destination before the move is done) only for what is
 * on its own host. And a port of a host has one owner: who is said to have it now displaces on that host whoever had it, and
 * on another host whoever is no more (displaced-consoles.ts).
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { CellDb, ConsoleStores } from '@gatehouse/cell-db/cell-db';
import type { StoredConnection } from '@gatehouse/cell-db/console-connections-store';
import type { StoredSession } from '@gatehouse/cell-db/console-session-row';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import type { ConsoleAuthConfig } from './config.ts';
import { inWords, listDisplaced, removeConsoles } from './displaced-consoles.ts';
import { isExclusive } from './port-choice.ts';
import type { SessionEnds } from './session-ends.ts';

export interface Registration {
  readonly host: string;
  readonly instanceUuid: string;
  readonly connections: readonly ConsoleConnection[];
}

/** Sessions of one console, or of one instance. */
const SESSIONS_MAX = 10_000;

export class RegisteredConsoles {
  readonly #db: CellDb;
  readonly #ends: SessionEnds;
  readonly #config: Pick<ConsoleAuthConfig, 'consoleExclusive'>;
  readonly #clock: Clock;

  constructor(db: CellDb, ends: SessionEnds, config: Pick<ConsoleAuthConfig, 'consoleExclusive'>, clock: Clock) {
    this.#db = db;
    this.#ends = ends;
    this.#config = config;
    this.#clock = clock;
  }

  /**
   * May be said again at any time. Of an instance that is unknown or deleted nothing is kept.
   * @returns how many sessions have to end
   * @throws ServiceError INVALID_ARGUMENT: a console of another instance or host
   * @throws ServiceError ALREADY_EXISTS: a host that lives has another instance's console at the same address and port
   */
  async register(registration: Registration, context: RequestContext): Promise<number> {
    const { host, instanceUuid, connections } = registration;
    if (connections.some((each) => each.host !== host || !isSameUuid(each.instanceUuid, instanceUuid))) {
      throw new ServiceError('INVALID_ARGUMENT', `connections: expected consoles of instance ${instanceUuid} on host ${host}`);
    }
    const ending = await this.#store(registration);
    await this.#ends.tellProxies(ending, 'console_gone', context);
    return ending.length;
  }

  async #store(registration: Registration): Promise<readonly StoredSession[]> {
    try {
      return await this.#db.consoleTransaction((stores) => this.#replace(stores, registration));
    } catch (error) {
      throw await inWords(error, this.#db.consoleConnections, registration.connections);
    }
  }

  /** @returns the sessions that must end now */
  async #replace(stores: ConsoleStores, { host, instanceUuid, connections }: Registration): Promise<readonly StoredSession[]> {
    const now = this.#clock.now();
    const instance = await stores.instances.lock(instanceUuid);
    const named = new Set(instance === null ? [] : connections.map(keyOf));
    const speaksForAll = instance === null || instance.host === host;
    const known = await stores.consoleConnections.listByInstance(instanceUuid);
    const unnamed = known.filter((row) => !named.has(keyOf(row)) && (speaksForAll || row.host === host));
    const displaced = instance === null ? [] : await listDisplaced(stores, connections, now, host);
    const ending = await removeConsoles(stores, [...unnamed, ...displaced], now);
    if (instance === null) return [...ending, ...(await stores.consoleSessionEnds.mark({ instanceUuid }, 'instance_deleted', now, SESSIONS_MAX))];
    for (const exclusive of [true, false]) {
      const some = connections.filter(({ consoleType }) => isExclusive(consoleType, this.#config.consoleExclusive) === exclusive);
      await stores.consoleConnections.upsertAll(some, { exclusive, at: now });
    }
    return ending;
  }
}

function keyOf({ host, consoleType, port }: Pick<StoredConnection, 'host' | 'consoleType' | 'port'>): string {
  return JSON.stringify([host, consoleType, port]);
}

function isSameUuid(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
