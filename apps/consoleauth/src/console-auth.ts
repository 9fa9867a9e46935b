/**
 * Who may open which console: issues tokens, and takes them back. One transaction chooses a port, reserves it and stores a
 * token's hash. Who comes with a token meets console-admission.ts.
 */
import { ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import type { CellStores } from '@gatehouse/cell-db/cell-db';
import { consoleConnectionOf } from '@gatehouse/cell-db/console-connections-store';
import type { StoredConnection } from '@gatehouse/cell-db/console-connections-store';
import type { StoredSession } from '@gatehouse/cell-db/console-session-row';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import type { Access } from '@gatehouse/objects/console-session';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Audit } from '@gatehouse/runtime/audit';
import type { Clock } from '@gatehouse/runtime/clock';
import { accessUrl, accessUrlBase } from './access-url.ts';
import type { ConsoleAuthConfig } from './config.ts';
import { hashSecret, mintSecret, tokenExpiry } from './console-token.ts';
import { chooseExclusivePort, isExclusive } from './port-choice.ts';
import type { SessionLeases } from './session-leases.ts';
import type { TokenBackend } from './token-backend.ts';

export interface AuthorizeRequest {
  /** The ports of one console type of one instance, in order. */
  readonly connections: readonly ConsoleConnection[];
  readonly access: Access;
}

/** For whom a port is asked, and with which token it will be opened. */
interface Asker {
  readonly userId: string | null;
  readonly tokenHash: string;
}

/** Sessions of one instance. */
const SESSIONS_MAX = 10_000;

export class ConsoleAuth {
  readonly #tokens: TokenBackend;
  readonly #leases: SessionLeases;
  readonly #config: ConsoleAuthConfig;
  readonly #audit: Audit;
  readonly #clock: Clock;

  constructor(tokens: TokenBackend, leases: SessionLeases, config: ConsoleAuthConfig, audit: Audit, clock: Clock) {
    this.#tokens = tokens;
    this.#leases = leases;
    this.#config = config;
    this.#audit = audit;
    this.#clock = clock;
  }

  /**
   * A connection of the instance with its access URL, the only place where the clear token ever stands.
   * @throws ServiceError NO_PORT_FREE when no exclusive port is free, NOT_FOUND when the instance is gone, FAILED_PRECONDITION when
   * it has no console or another instance's is at its place
   */
  async authorize(request: AuthorizeRequest, context: RequestContext): Promise<ConsoleConnection> {
    const { requestId, userId, projectId } = context;
    const [first] = request.connections;
    const who = { requestId, userId, projectId, instanceUuid: first?.instanceUuid, consoleType: first?.consoleType, access: request.access };
    try {
      this.#audit.check();
      const issued = await this.#issue(request, context);
      this.#audit.write('authorized', { ...who, host: issued.host, port: issued.port });
      return issued;
    } catch (error) {
      const { code, message } = toServiceError(error);
      this.#audit.write('refused', { ...who, host: first?.host, reason: code, problem: message });
      throw error;
    }
  }

  /** Revokes an instance's tokens and notes that its sessions must end. @returns those that are open still */
  async revokeInstance(instanceUuid: string, reason: string): Promise<readonly StoredSession[]> {
    return this.#tokens.revoke(instanceUuid, async (stores) => {
      await stores.consoleConnections.deleteForInstance(instanceUuid);
      await stores.consoleSessionEnds.mark({ instanceUuid }, reason, this.#clock.now(), SESSIONS_MAX);
      return stores.consoleSessions.listOpenByInstance(instanceUuid);
    });
  }

  async #issue({ connections, access }: AuthorizeRequest, { userId, projectId }: RequestContext): Promise<ConsoleConnection> {
    const { instanceUuid, consoleType } = oneConsole(connections);
    const token = mintSecret();
    const tokenHash = hashSecret(token, this.#config.consoleTokenHash);
    const url = accessUrl(this.#config, consoleType, token);

    return this.#tokens.issue(async (stores) => {
      const now = this.#clock.now();
      // Locked, so that a deletion that comes meanwhile waits and then finds this token.
      if ((await stores.instances.lock(instanceUuid)) === null) throw new ServiceError('NOT_FOUND', `Instance ${instanceUuid} could not be found.`);
      const exclusive = isExclusive(consoleType, this.#config.consoleExclusive);
      const known = await stores.consoleConnections.upsertAll(connections, { exclusive, at: now });
      const chosen = exclusive ? await this.#reserve(stores, known, { userId, tokenHash }, now) : known[0];
      if (chosen === undefined) throw new ServiceError('INTERNAL', 'the console connection was not stored');

      const expires = tokenExpiry(now, this.#config.consoleTokenTtl);
      const { host, port, options } = chosen;
      const stored = {
        ...{ tokenHash, connectionId: chosen.id, instanceUuid, consoleType, host, port },
        ...{ access, singleUse: this.#config.consoleTokenSingleUse, expires, createdAt: now, userId, projectId },
        internalAccessPath: options['internal_access_path'] ?? null,
        accessUrlBase: accessUrlBase(this.#config, consoleType),
      };
      return { token: stored, answer: consoleConnectionOf(chosen, { tokenHash, accessUrl: url, expires }) };
    });
  }

  /** Under the lock of the instance, which keeps others who choose away, and of its ports, which keeps those who connect away. */
  async #reserve(stores: CellStores, known: readonly StoredConnection[], { userId, tokenHash }: Asker, now: Date): Promise<StoredConnection> {
    const locked = new Map((await stores.consoleConnections.lockAll(known.map(({ id }) => id))).map((row) => [row.id, row]));
    const live = await this.#leases.listLive(stores, known[0]?.instanceUuid ?? '', now);
    const inUse = new Map(live.map(({ connectionId, startedAt }) => [connectionId, startedAt]));
    const ports = known.flatMap(({ id }) => locked.get(id) ?? []).map((row) => ({ ...row, inUseSince: inUse.get(row.id) ?? null }));
    const chosen = chooseExclusivePort(ports, userId, now);
    const { consoleReservation, consoleTokenTtl } = this.#config;
    const until = new Date(now.getTime() + Math.min(consoleReservation, consoleTokenTtl) * 1_000);
    const isReserved = await stores.consoleConnections.reserve(chosen.id, { by: userId, tokenHash, until }, now);
    if (!isReserved) throw new ServiceError('INTERNAL', 'a port that was chosen under its lock could not be reserved');
    return chosen;
  }
}

/** @throws ServiceError unless the connections are ports of one console type of one instance */
function oneConsole(connections: readonly ConsoleConnection[]): ConsoleConnection {
  const [first] = connections;
  if (first === undefined) throw new ServiceError('FAILED_PRECONDITION', 'the instance has no console of this type');
  if (connections.some((each) => each.instanceUuid !== first.instanceUuid || each.consoleType !== first.consoleType)) {
    throw new ServiceError('INVALID_ARGUMENT', 'connections: expected ports of one console type of one instance');
  }
  return first;
}
