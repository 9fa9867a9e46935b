/**
 * Claims of sessions. A token opens a new one; a resume grant carries an open one on, for a client that was cut off. Each is
 * one transaction that holds the row of the console: who revokes it waits, and then sees the session; who comes when it
 * was revoked finds no row. Whatever the way, one claim of a session counts, the newest.
 *
 * Locks are taken in one order everywhere: instance, token, connection, counts, session.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { CellDb, ConsoleStores } from '@gatehouse/cell-db/cell-db';
import { COUNTED } from '@gatehouse/cell-db/console-openings-store';
import type { Counted, Opening, OpeningQuestion } from '@gatehouse/cell-db/console-openings-store';
import { openSessionOf } from '@gatehouse/cell-db/console-session-row';
import type { NewSession, StoredSession } from '@gatehouse/cell-db/console-session-row';
import type { StoredToken, TokenWithConnection } from '@gatehouse/cell-db/console-tokens-store';
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import type { Clock } from '@gatehouse/runtime/clock';
import type { ConsoleAuthConfig } from './config.ts';
import { hashSecret, mintSecret } from './console-token.ts';
import { reachHistoric } from './historic-tokens.ts';
import type { ReachedConnection } from './historic-tokens.ts';
import { refusePortInUse } from './port-choice.ts';
import { isResumedBy, resumeHashOf } from './resume-grant.ts';
import { agentsSince, endpointOf } from './service-directory.ts';
import { capsOf, refuseOverCap } from './session-caps.ts';
import type { Holder, SessionLeases } from './session-leases.ts';
import type { TokenBackend, UseToken } from './token-backend.ts';

export interface ConnectRequest {
  /** Chosen by the proxy: the claim of this connect, and the id of the session if it makes a new one. */
  readonly sessionId: string;
  readonly token: string;
  readonly proxy: string;
  readonly clientAddress: string;
  /** What the asking page can show; undefined means any. */
  readonly consoleTypes?: readonly ConsoleType[] | undefined;
  readonly resumeGrant?: string | undefined;
}

/** What a connect has won. */
export interface Claim {
  readonly session: StoredSession;
  readonly connection: ReachedConnection;
  readonly instanceName: string;
  readonly leaseSeconds: number;
  /** Of the host's console stream; null where the console is dialled. */
  readonly endpoint: string | null;
  readonly attachSecret: string | null;
  /** Null where the client has it already. */
  readonly resumeGrant: string | null;
  /** The session as the connect before had it; null for a new one. */
  readonly former: StoredSession | null;
}

/** What a connect has shown so far: a refusal says of whom it was. */
export interface Attempt {
  token: StoredToken | null;
  /** That its resume grant belongs to. */
  session: StoredSession | null;
}

type Way = Pick<Claim, 'instanceName' | 'endpoint'>;
/** A claim, and whom it ended on its way. */
interface Opened {
  readonly claim: Claim;
  readonly ended: readonly StoredSession[];
}
type ShownToken = StoredToken & { readonly connection: ReachedConnection };

const NOBODY: Holder = { session: null, ended: [] };
/** Console types as people call them. */
const NOUNS: Partial<Record<ConsoleType, string>> = { novnc: 'screen', serial: 'serial console' };

export class ConsoleClaims {
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
   * By the resume grant where that opens something, else by the token.
   * @throws ServiceError UNAUTHENTICATED, INVALID_ARGUMENT, NOT_FOUND, UNAVAILABLE, RESOURCE_EXHAUSTED or PORT_IN_USE: the
   * first of them that is so, in this order
   */
  async claim(request: ConnectRequest, attempt: Attempt): Promise<Claim> {
    const resumed = await this.#resume(request, attempt);
    if (resumed !== null) return resumed;
    attempt.session = null;
    return this.#open(request, attempt);
  }

  /** What was claimed cannot be used: its session is over. */
  async giveBack({ session }: Claim, reason: string): Promise<void> {
    const { id, claim } = session;
    const ended = await this.#db.consoleSessionEnds.close(id, { reason, claim: claim ?? undefined, at: this.#clock.now() });
    this.#leases.noteEnds(ended === null ? [] : [ended]);
  }

  /** @returns null when the grant opens nothing (any more) */
  async #resume({ resumeGrant, consoleTypes, ...request }: ConnectRequest, attempt: Attempt): Promise<Claim | null> {
    const hash = resumeHashOf(resumeGrant);
    const shown = hash === null ? null : await this.#db.consoleSessionClaims.findByResumeHash(hash);
    if (hash === null || shown?.connectionId == null) return null;
    if (consoleTypes !== undefined && !consoleTypes.includes(shown.consoleType)) return null;
    const { connectionId } = shown;
    attempt.session = shown;
    const attachSecret = mintSecret();
    // The session itself is no further one; its new proxy has one more.
    const question = this.#question(request.proxy, ['proxy']);
    return this.#db.consoleTransaction(async (stores) => {
      const [connection, opening, former] = await Promise.all([
        stores.consoleConnections.lock(connectionId),
        stores.consoleOpenings.look({ instanceUuid: shown.instanceUuid, host: shown.host, userId: null }, question),
        // Only when it is held is it certain whose the session is.
        stores.consoleSessionClaims.lock(shown.id),
      ]);
      const now = this.#clock.now();
      if (connection === null || former === null || !isResumedBy(former, hash) || this.#leases.hasRunOut(former, now)) return null;
      const way = wayOf(connection, opening);
      if (former.proxy !== request.proxy) refuseOverCap(opening.counts, question.upTo);
      const session = await stores.consoleSessionClaims.takeOver(former.id, {
        ...{ claim: request.sessionId, proxy: request.proxy, clientAddress: request.clientAddress },
        attachSecretHash: way.endpoint === null ? null : hashSecret(attachSecret),
        leaseExpires: this.#leases.from(now),
      }, now);
      if (session === null) return null;
      return { ...this.#won(way, attachSecret), session, connection, resumeGrant: null, former };
    });
  }

  async #open(request: ConnectRequest, attempt: Attempt): Promise<Claim> {
    const attachSecret = mintSecret();
    const grant = mintSecret();
    const question = this.#question(request.proxy, COUNTED);
    let session: StoredSession | null = null;
    const work: UseToken<Opened> = async (stores, shown, opening) => {
      attempt.token = shown;
      const now = this.#clock.now();
      const token = await this.#validToken(stores, shown, request, now);
      const { connection } = token;
      const way = wayOf(connection, opening);
      refuseOverCap(opening.counts, question.upTo);
      const holder = waitsForOthers(token) ? await this.#leases.holderOf(stores, connection, now) : NOBODY;
      if (waitsForOthers(token)) refusePortInUse({ ...connection, inUseSince: holder.session?.startedAt ?? null }, token, now);

      // A console that no row here stands for cannot be held while its session is carried on.
      const resumeGrant = connection.id === null ? null : grant;
      session = openSessionOf({
        ...sessionOf(token, request, now),
        attachSecretHash: way.endpoint === null ? null : hashSecret(attachSecret),
        resumeHash: resumeHashOf(resumeGrant ?? undefined),
        leaseExpires: this.#leases.from(now),
      });
      return { claim: { ...this.#won(way, attachSecret), session, connection, resumeGrant, former: null }, ended: holder.ended };
    };
    try {
      const { claim, ended } = await this.#tokens.use(hashSecret(request.token, this.#config.consoleTokenHash), work, { opening: question, last: storeOpened });
      this.#leases.noteEnds(ended);
      return claim;
    } catch (error) {
      throw session === null ? error : await this.#db.consoleSessionClaims.inWords(error, session);
    }
  }

  /** What stands in the way of a console, but for who has it. */
  #question(proxy: string, whose: readonly Counted[]): OpeningQuestion {
    const now = this.#clock.now();
    return { proxy, upTo: capsOf(this.#config, whose), liveAfter: this.#leases.liveAfter(now), agentsSince: agentsSince(now) };
  }

  #won(way: Way, attachSecret: string): Pick<Claim, keyof Way | 'attachSecret' | 'leaseSeconds'> {
    return { ...way, attachSecret: way.endpoint === null ? null : attachSecret, leaseSeconds: this.#config.consoleLease };
  }

  async #validToken(stores: ConsoleStores, token: TokenWithConnection | null, { consoleTypes }: ConnectRequest, now: Date): Promise<ShownToken> {
    const connection = token === null || token.expires <= now ? null : await this.#lockConsole(stores, token);
    if (token === null || connection === null) {
      throw new ServiceError('UNAUTHENTICATED', 'this console link is unknown or has expired; ask for a new one');
    }
    if (token.singleUse && token.usedAt !== null) {
      throw new ServiceError('UNAUTHENTICATED', 'this console link was used before and opens its console once only; ask for a new one');
    }
    if (consoleTypes !== undefined && !consoleTypes.includes(token.consoleType)) {
      throw new ServiceError('INVALID_ARGUMENT', `this link opens a ${NOUNS[token.consoleType] ?? token.consoleType}, which this page cannot show`);
    }
    return { ...token, connection };
  }

  /** The console that a token opens, held until the transaction ends; null when it is gone. */
  async #lockConsole(stores: ConsoleStores, token: TokenWithConnection): Promise<ReachedConnection | null> {
    if (token.connectionId !== null) return token.connection;
    const reached = await reachHistoric(stores, token, this.#config.consoleExclusive);
    if (reached?.id == null) return reached;
    const locked = await stores.consoleConnections.lock(reached.id);
    // It may have moved before it was held.
    return locked?.address === reached.address && locked.port === reached.port ? locked : null;
  }
}

/** With the COMMIT: nobody else can have made it meanwhile but of a console that no row stands for, and then the database says so. */
function storeOpened({ consoleSessionClaims, consoleConnections }: ConsoleStores, { claim: { session, connection } }: Opened): Promise<unknown> {
  const isReserved = connection.id !== null && connection.reservedUntil !== null;
  return Promise.all([consoleSessionClaims.open(session), isReserved && consoleConnections.deleteReservation(connection.id)]);
}

/**
 * What the machine is called, and where the stream of its host is.
 * @throws ServiceError NOT_FOUND when it was deleted meanwhile, UNAVAILABLE when its host's agent is away
 */
function wayOf(connection: ReachedConnection, { instance, agent }: Opening): Way {
  const { id, instanceUuid, host } = connection;
  if (instance === null && id !== null) throw new ServiceError('NOT_FOUND', 'the instance of this console is gone');
  return { instanceName: instance?.displayName ?? instanceUuid, endpoint: isDialled(connection) ? null : endpointOf(agent, host) };
}

/**
 * Whether the console cannot be opened while somebody has it. QEMU's SPICE has one client and lets the one before go: whoever may
 * only look shall not take the screen from a user who works there.
 */
function waitsForOthers({ connection, consoleType, access }: ShownToken): boolean {
  return connection.exclusive || (consoleType === 'spice-html5' && access === 'view');
}

/** By the proxy itself, not through its host's stream. */
function isDialled({ options }: ReachedConnection): boolean {
  return options['transport'] === 'tcp';
}

function sessionOf(token: ShownToken, request: ConnectRequest, now: Date): Omit<NewSession, 'attachSecretHash' | 'resumeHash' | 'leaseExpires'> {
  const { connection, instanceUuid, consoleType, userId, projectId, access } = token;
  return {
    ...{ id: request.sessionId, claim: request.sessionId, connectionId: connection.id, exclusive: connection.exclusive },
    ...{ instanceUuid, host: connection.host, port: connection.port, consoleType },
    ...{ proxy: request.proxy, clientAddress: request.clientAddress },
    ...{ userId, projectId, access, startedAt: now },
  };
}
