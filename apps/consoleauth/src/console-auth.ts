/**
 * Who may open which console: issues tokens, and takes them back. One transaction chooses a port, reserves it and stores a
 * token's hash. Who comes with a token meets console-admission.ts.
 */
import { ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import type { CellDb, ConsoleStores } from '@gatehouse/cell-db/cell-db';
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
import { inWords, listDisplaced, removeConsoles } from './displaced-consoles.ts';
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

/** Tells proxies of sessions that must end. */
type Tell = (sessions: readonly StoredSession[]) => Promise<unknown>;

/** Sessions of one instance. */
const SESSIONS_MAX = 10_000;

export class ConsoleAuth {
  readonly #db: CellDb;
  readonly #tokens: TokenBackend;
  readonly #leases: SessionLeases;
  readonly #config: ConsoleAuthConfig;
  readonly #audit: Audit;
  readonly #clock: Clock;

  constructor(db: CellDb, tokens: TokenBackend, leases: SessionLeases, config: ConsoleAuthConfig, audit: Audit, clock: Clock) {
    this.#db = db;
    this.#tokens = tokens;
    this.#leases = leases;
    this.#config = config;
    this.#audit = audit;
    this.#clock = clock;
  }

  /**
   * A connection of the instance with its access URL, the only place where the clear token ever stands.
   * @throws ServiceError NO_PORT_FREE when no exclusive port is free, NOT_FOUND when the instance is gone, FAILED_PRECONDITION when
   * it has no console, ALREADY_EXISTS when another instance's is at its place
   */
  async authorize(request: AuthorizeRequest, context: RequestContext): Promise<ConsoleConnection> {
    const { requestId, userId, projectId } = context;
    const [first] = request.connections;
    const who = { requestId, userId, projectId, instanceUuid: first?.instanceUuid, consoleType: first?.consoleType, access: request.access };
    try {
      this.#audit.check();
      const issued = await this.#issue(request, context).catch(async (error: unknown) => {
        throw await inWords(error, this.#db.consoleConnections, request.connections);
      });
      this.#audit.write('authorized', { ...who, host: issued.host, port: issued.port });
      return issued;
    } catch (error) {
      const { code, message } = toServiceError(error);
      this.#audit.write('refused', { ...who, host: first?.host, reason: code, problem: message });
      throw error;
    }
  }

  /** Revokes an instance's tokens and notes that its sessions must end. `tell` never rejects. @returns those that are open still */
  async revokeInstance(instanceUuid: string, reason: string, tell: Tell = async () => {}): Promise<readonly StoredSession[]> {
    let telling: Promise<unknown> = Promise.resolve();
    const work = async (stores: ConsoleStores): Promise<readonly StoredSession[]> => {
      await stores.consoleConnections.deleteForInstance(instanceUuid);
      await stores.consoleSessionEnds.mark({ instanceUuid }, reason, this.#clock.now(), SESSIONS_MAX);
      return stores.consoleSessions.listOpenByInstance(instanceUuid);
    };
    // Their users see the end within a second, also while a cache of tokens does not answer.
    const open = await this.#tokens.revoke(instanceUuid, work, (sessions) => (telling = tell(sessions)));
    await telling;
    return open;
  }

  async #issue({ connections, access }: AuthorizeRequest, { userId, projectId }: RequestContext): Promise<ConsoleConnection> {
    const { instanceUuid, consoleType } = oneConsole(connections);
    const token = mintSecret();
    const tokenHash = hashSecret(token, this.#config.consoleTokenHash);
    const url = accessUrl(this.#config, consoleType, token);

    return this.#tokens.issue(async (stores) => {
      const now = this.#clock.now();
      // Locked, so that a deletion or a revocation that comes meanwhile waits, and then finds this token.
      const [instance, held] = await Promise.all([
        stores.instances.lock(instanceUuid),
        stores.consoleConnections.lockForInstance(instanceUuid, consoleType),
      ]);
      if (instance === null) throw new ServiceError('NOT_FOUND', `Instance ${instanceUuid} could not be found.`);
      const exclusive = isExclusive(consoleType, this.#config.consoleExclusive);
      // Of a host that is gone: their proxies hear of it when they renew.
      await removeConsoles(stores, await listDisplaced(stores, connections, now), now);
      const ports = await stores.consoleConnections.upsertAll(connections, { exclusive, at: now, known: held });
      const chosen = exclusive ? await this.#reserve(stores, ports, { userId, tokenHash }, now) : firstOf(ports);

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
  async #reserve(stores: ConsoleStores, ports: readonly StoredConnection[], { userId, tokenHash }: Asker, now: Date): Promise<StoredConnection> {
    const live = await this.#leases.listLive(stores, firstOf(ports).instanceUuid, now);
    const inUse = new Map(live.map(({ connectionId, startedAt }) => [connectionId, startedAt]));
    const chosen = chooseExclusivePort(ports.map((port) => ({ ...port, inUseSince: inUse.get(port.id) ?? null })), userId, now);
    const { consoleReservation, consoleTokenTtl } = this.#config;
    const until = new Date(now.getTime() + Math.min(consoleReservation, consoleTokenTtl) * 1_000);
    const isReserved = await stores.consoleConnections.reserve(chosen.id, { by: userId, tokenHash, until }, now);
    if (!isReserved) throw new ServiceError('INTERNAL', 'a port that was chosen under its lock could not be reserved');
    return chosen;
  }
}

function firstOf([first]: readonly StoredConnection[]): StoredConnection {
  if (first === undefined) throw new ServiceError('INTERNAL', 'a console was asked for and none was stored');
  return first;
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
