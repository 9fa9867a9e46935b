/**
 * Who may open which console: issues tokens and admits the clients that show them.
 *
 * One transaction chooses a port, reserves it and stores a token's hash; another checks a token and claims a session.
 * This process's clock decides what has expired. No RPC runs inside a transaction.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { CellDb, CellStores } from '@gatehouse/cell-db/cell-db';
import { consoleConnectionOf } from '@gatehouse/cell-db/console-connections-store';
import type { StoredConnection } from '@gatehouse/cell-db/console-connections-store';
import { consoleSessionOf } from '@gatehouse/cell-db/console-session-row';
import type { NewSession, StoredSession } from '@gatehouse/cell-db/console-session-row';
import type { TokenWithConnection } from '@gatehouse/cell-db/console-tokens-store';
import type { ConsoleConnection, ConsoleType } from '@gatehouse/objects/console-connection';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';
import type { Access } from '@gatehouse/objects/console-session';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import { accessUrl, accessUrlBase } from './access-url.ts';
import type { ConsoleAuthConfig } from './config.ts';
import { hashSecret, mintSecret, tokenExpiry } from './console-token.ts';
import { reachHistoric } from './historic-tokens.ts';
import type { ReachedConnection } from './historic-tokens.ts';
import { chooseExclusivePort, isExclusive, refusePortInUse } from './port-choice.ts';
import { liveEndpoint } from './service-directory.ts';
import type { SessionLeases } from './session-leases.ts';
import type { TokenBackend } from './token-backend.ts';

export interface AuthorizeRequest {
  /** The ports of one console type of one instance, in order. */
  readonly connections: readonly ConsoleConnection[];
  readonly access: Access;
}

export interface ConnectRequest {
  readonly sessionId: string;
  readonly token: string;
  readonly proxy: string;
  readonly clientAddress: string;
  /** What the asking page can show; undefined means any. */
  readonly consoleTypes?: readonly ConsoleType[] | undefined;
}

type ConnectedToken = Omit<TokenWithConnection, 'connection'> & { readonly connection: ReachedConnection };

/** Console types as people call them. */
const NOUNS: Partial<Record<ConsoleType, string>> = { novnc: 'screen', serial: 'serial console' };

/** Sessions of one instance. */
const SESSIONS_MAX = 10_000;
/** Whose a reservation is when the request named no user. */
const NOBODY = '';

export class ConsoleAuth {
  readonly #db: CellDb;
  readonly #tokens: TokenBackend;
  readonly #leases: SessionLeases;
  readonly #config: ConsoleAuthConfig;
  readonly #clock: Clock;

  constructor(db: CellDb, tokens: TokenBackend, leases: SessionLeases, config: ConsoleAuthConfig, clock: Clock) {
    this.#db = db;
    this.#tokens = tokens;
    this.#leases = leases;
    this.#config = config;
    this.#clock = clock;
  }

  /**
   * A connection of the instance with its access URL, the only place where the clear token ever stands.
   * @throws ServiceError PORT_IN_USE when no exclusive port is free, NOT_FOUND when the instance is gone, FAILED_PRECONDITION when it has no console
   */
  async authorize(request: AuthorizeRequest, context: RequestContext): Promise<ConsoleConnection> {
    const { instanceUuid, consoleType } = oneConsole(request.connections);
    const token = mintSecret();
    const tokenHash = hashSecret(token, this.#config.consoleTokenHash);
    const url = accessUrl(this.#config, consoleType, token);

    return this.#tokens.issue(async (stores) => {
      const now = this.#clock.now();
      // Locked, so that a deletion that comes meanwhile waits and then finds this token.
      if ((await stores.instances.lock(instanceUuid)) === null) throw new ServiceError('NOT_FOUND', `Instance ${instanceUuid} could not be found.`);
      const exclusive = isExclusive(consoleType);
      const known = await stores.consoleConnections.upsertAll(request.connections, { exclusive, at: now });
      const chosen = exclusive ? await this.#reserve(stores, instanceUuid, known, context.userId, tokenHash, now) : known[0];
      if (chosen === undefined) throw new ServiceError('INTERNAL', 'the console connection was not stored');

      const expires = tokenExpiry(now, this.#config.consoleTokenTtl);
      const { host, port, options } = chosen;
      const stored = {
        ...{ tokenHash, connectionId: chosen.id, instanceUuid, consoleType, host, port },
        ...{ access: request.access, singleUse: this.#config.consoleTokenSingleUse, expires, createdAt: now },
        ...{ userId: context.userId, projectId: context.projectId },
        internalAccessPath: options['internal_access_path'] ?? null,
        accessUrlBase: accessUrlBase(this.#config, consoleType),
      };
      return { token: stored, answer: consoleConnectionOf(chosen, { tokenHash, accessUrl: url, expires }) };
    });
  }

  /**
   * Claims the session of a client that shows a token, and says how to reach its console.
   * @throws ServiceError UNAUTHENTICATED, NOT_FOUND, PORT_IN_USE, UNAVAILABLE, INVALID_ARGUMENT, as the contract says
   */
  async connect(request: ConnectRequest): Promise<ConsoleGrant> {
    const attachSecret = mintSecret();
    const tokenHash = hashSecret(request.token, this.#config.consoleTokenHash);
    let ended: readonly StoredSession[] = [];
    const grant = await this.#tokens.use(tokenHash, async (stores, shown) => {
      const now = this.#clock.now();
      const token = await this.#validToken(stores, shown, request, now);
      const { connection } = token;
      const instanceName = await nameOf(stores, connection);
      const viaAgent = connection.options['transport'] !== 'tcp';
      const endpoint = viaAgent ? await liveEndpoint(stores.services, connection.host, now) : null;
      ended = connection.exclusive ? await this.#refuseIfTaken(stores, connection, token.userId, now) : [];

      const stored = await stores.consoleSessionClaims.open({
        ...sessionOf(token, request, now),
        attachSecretHash: viaAgent ? hashSecret(attachSecret) : null,
        leaseExpires: this.#leases.from(now),
      });
      if (connection.id !== null) await stores.consoleConnections.deleteReservation(connection.id);
      return {
        session: consoleSessionOf(stored),
        connection: consoleConnectionOf(connection),
        instanceName,
        endpoint,
        attachSecret: viaAgent ? attachSecret : null,
        leaseSeconds: this.#config.consoleLease,
        resumeGrant: null,
      };
    });
    this.#leases.noteEnds(ended);
    return grant;
  }

  /**
   * Spends the one-time secret that a client's stream brought to an agent; the answer is what may be opened.
   * @throws ServiceError UNAUTHENTICATED
   */
  async attach(sessionId: string, attachSecret: string, host: string): Promise<ConsoleConnection> {
    const session = await this.#db.consoleSessions.useAttachSecret(sessionId, hashSecret(attachSecret), host);
    const connection = session?.connectionId == null ? null : await this.#db.consoleConnections.find(session.connectionId);
    if (connection === null) {
      throw new ServiceError('UNAUTHENTICATED', 'this session is not open here, or its attach secret was used before; connect again');
    }
    return consoleConnectionOf(connection);
  }

  /** Revokes an instance's tokens and notes that its sessions must end. @returns those that are open still */
  async revokeInstance(instanceUuid: string, reason: string): Promise<readonly StoredSession[]> {
    return this.#tokens.revoke(instanceUuid, async (stores) => {
      await stores.consoleConnections.deleteForInstance(instanceUuid);
      await stores.consoleSessionEnds.mark({ instanceUuid }, reason, this.#clock.now(), SESSIONS_MAX);
      return stores.consoleSessions.listOpenByInstance(instanceUuid);
    });
  }

  async #reserve(
    stores: CellStores,
    instanceUuid: string,
    known: readonly StoredConnection[],
    userId: string | null,
    tokenHash: string,
    now: Date,
  ): Promise<StoredConnection> {
    const locked = new Map((await stores.consoleConnections.listByInstance(instanceUuid)).map((row) => [row.id, row]));
    const inUse = new Map((await this.#leases.listLive(stores, instanceUuid, now)).map((session) => [session.connectionId, session.startedAt]));
    const ports = known.flatMap(({ id }) => locked.get(id) ?? []).map((row) => ({ ...row, inUseSince: inUse.get(row.id) ?? null }));
    const chosen = chooseExclusivePort(ports, userId ?? NOBODY, now);
    const { consoleReservation, consoleTokenTtl } = this.#config;
    const until = new Date(now.getTime() + Math.min(consoleReservation, consoleTokenTtl) * 1_000);
    const reserved = await stores.consoleConnections.reserve(chosen.id, { by: userId ?? NOBODY, tokenHash, until }, now);
    if (!reserved) throw new ServiceError('PORT_IN_USE', 'this port was just promised to another user; try again in a minute');
    return chosen;
  }

  async #validToken(
    stores: CellStores,
    stored: TokenWithConnection | null,
    { consoleTypes }: ConnectRequest,
    now: Date,
  ): Promise<ConnectedToken> {
    const connection = stored === null || stored.expires <= now ? null : stored.connectionId === null ? await reachHistoric(stores, stored) : stored.connection;
    if (stored === null || connection === null) {
      throw new ServiceError('UNAUTHENTICATED', 'this console link is unknown or has expired; ask for a new one');
    }
    if (stored.singleUse && stored.usedAt !== null) {
      throw new ServiceError('UNAUTHENTICATED', 'this console link was used before and opens its console once only; ask for a new one');
    }
    if (consoleTypes !== undefined && !consoleTypes.includes(stored.consoleType)) {
      throw new ServiceError('INVALID_ARGUMENT', `this link opens a ${NOUNS[stored.consoleType] ?? stored.consoleType}, which this page cannot show`);
    }
    return { ...stored, connection };
  }

  /** @returns who held it with a lease that had run out, and has been ended */
  async #refuseIfTaken(stores: CellStores, connection: ReachedConnection, userId: string | null, now: Date): Promise<readonly StoredSession[]> {
    const { session: holder, ended } = await this.#leases.holderOf(stores, connection, now);
    refusePortInUse({ ...connection, inUseSince: holder?.startedAt ?? null }, userId ?? NOBODY, now);
    return ended;
  }
}

/** What a session's user reads as the machine's name. @throws ServiceError NOT_FOUND when it was deleted meanwhile */
async function nameOf({ instances }: CellStores, { id, instanceUuid }: ReachedConnection): Promise<string> {
  const instance = await instances.find(instanceUuid);
  if (instance === null && id !== null) throw new ServiceError('NOT_FOUND', 'the instance of this console is gone');
  return instance?.displayName ?? instanceUuid;
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

function sessionOf(token: ConnectedToken, request: ConnectRequest, now: Date): Omit<NewSession, 'attachSecretHash' | 'leaseExpires'> {
  const { connection, instanceUuid, consoleType, userId, projectId, access } = token;
  return {
    ...{ id: request.sessionId, claim: request.sessionId, connectionId: connection.id, exclusive: connection.exclusive },
    ...{ instanceUuid, host: connection.host, port: connection.port, consoleType },
    ...{ proxy: request.proxy, clientAddress: request.clientAddress },
    ...{ userId, projectId, access, resumeHash: null, startedAt: now },
  };
}
