/**
 * Lets clients in: a proxy comes with what its client has shown, and gets the session and the way to its console, or
 * a refusal that its client can read. No bytes flow before the host has said that the console still is this machine's: where
 * a proxy dials it, the host is asked here; where it goes through the host's stream, the host looks for itself when the
 * stream shows its secret (`attach`).
 */
import { ServiceError, isServiceError, toServiceError } from '@gatehouse/errors/service-error';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { consoleConnectionOf } from '@gatehouse/cell-db/console-connections-store';
import { consoleSessionOf } from '@gatehouse/cell-db/console-session-row';
import type { compute } from '@gatehouse/contracts/compute';
import { ATTACH_REFUSAL } from '@gatehouse/contracts/consoleauth';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';
import type { Client } from '@gatehouse/rpc/client';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Audit } from '@gatehouse/runtime/audit';
import type { Attempt, Claim, ConnectRequest, ConsoleClaims } from './console-claims.ts';
import { hashSecret } from './console-token.ts';
import { sessionFacts } from './session-audit.ts';
import type { SessionEnds } from './session-ends.ts';

/** What hosts are asked; of whatever level their agents are. */
export type Hosts = Pick<Client<typeof compute>, 'confirmConsole'>;

export interface AttachAllRequest {
  readonly host: string;
  readonly sessionIds: readonly string[];
  /** Each at the place of its session. */
  readonly attachSecrets: readonly string[];
}

/** A user waits for it. */
const CONFIRM_TIMEOUT_MS = 5_000;

export class ConsoleAdmission {
  readonly #db: CellDb;
  readonly #claims: ConsoleClaims;
  readonly #hosts: Hosts;
  readonly #ends: SessionEnds;
  readonly #audit: Audit;

  constructor(db: CellDb, claims: ConsoleClaims, hosts: Hosts, ends: SessionEnds, audit: Audit) {
    this.#db = db;
    this.#claims = claims;
    this.#hosts = hosts;
    this.#ends = ends;
    this.#audit = audit;
  }

  /**
   * Claims the session of a client that shows a token or a resume grant, and says how to reach its console.
   * @throws ServiceError as ConsoleClaims.claim; NOT_FOUND or UNAVAILABLE when the host denies the console, or does not answer
   */
  async connect(request: ConnectRequest, context: RequestContext): Promise<ConsoleGrant> {
    const attempt: Attempt = { token: null, session: null };
    try {
      this.#audit.check();
      const claim = await this.#claims.claim(request, attempt);
      await this.#confirm(claim, context);
      this.#noteClaim(claim, context);
      return grantOf(claim);
    } catch (error) {
      this.#noteRefusal(request, attempt, error, context);
      throw error;
    }
  }

  /**
   * Spends the one-time secret that a client's stream brought to an agent; the answer is what may be opened. Only the
   * newest connect of a session has a secret that counts.
   * @throws ServiceError UNAUTHENTICATED
   */
  async attach(sessionId: string, attachSecret: string, host: string): Promise<ConsoleConnection> {
    const connection = await this.#db.consoleSessions.useAttachSecret(sessionId, hashSecret(attachSecret), host);
    if (connection === null) throw new ServiceError('UNAUTHENTICATED', ATTACH_REFUSAL);
    return consoleConnectionOf(connection);
  }

  /**
   * `attach` for several sessions in one message to the database, and one COMMIT.
   * @returns session id to what may be opened, for those whose secret counts
   * @throws ServiceError INVALID_ARGUMENT: not a secret for each session, or a session twice
   */
  async attachAll({ host, sessionIds, attachSecrets }: AttachAllRequest): Promise<Readonly<Record<string, ConsoleConnection>>> {
    const shown = sessionIds.map((id, index) => ({ id: id.toLowerCase(), secret: attachSecrets[index] ?? '' }));
    if (attachSecrets.length !== shown.length || new Set(shown.map(({ id }) => id)).size < shown.length) {
      throw new ServiceError('INVALID_ARGUMENT', 'session_ids: expected each session once, and as many attach_secrets');
    }
    // In the order of their ids, in which all lock them.
    shown.sort((a, b) => (a.id < b.id ? -1 : 1));
    let opened: Record<string, ConsoleConnection> = {};
    await this.#db.consoleTransaction(async () => {}, ({ consoleSessions }) => {
      opened = {}; // what an attempt before has found was taken back
      return Promise.all(shown.map(async ({ id, secret }) => {
        const connection = await consoleSessions.useAttachSecret(id, hashSecret(secret), host);
        if (connection !== null) opened[id] = consoleConnectionOf(connection);
      }));
    });
    return opened;
  }

  /** @throws ServiceError unless the host says that what is about to be dialled is this instance's console; the session is over then */
  async #confirm(claim: Claim, context: RequestContext): Promise<void> {
    const { connection } = claim;
    // Of a machine that is not known here nobody can be asked.
    if (claim.endpoint !== null || connection.id === null) return;
    const refusal = await this.#askHost(consoleConnectionOf(connection), context);
    if (refusal === null) return;
    await this.#claims.giveBack(claim, refusal.code === 'NOT_FOUND' ? 'console_gone' : 'host_unreachable');
    throw refusal;
  }

  async #askHost(connection: ConsoleConnection, context: RequestContext): Promise<ServiceError | null> {
    try {
      const isTheirs = await this.#hosts.confirmConsole({ connection }, context, { server: connection.host, timeoutMs: CONFIRM_TIMEOUT_MS });
      return isTheirs ? null : new ServiceError('NOT_FOUND', 'the machine no longer has this console; ask for a new link');
    } catch (error) {
      // An agent of an earlier release cannot say; what it last reported holds, as it did then.
      if (isServiceError(error) && error.code === 'UNIMPLEMENTED') return null;
      return new ServiceError('UNAVAILABLE', `host ${connection.host} does not say whether this console is the machine's; try again`, { cause: error });
    }
  }

  #noteClaim({ session, former }: Claim, context: RequestContext): void {
    this.#audit.write(former === null ? 'connected' : 'resumed', { ...sessionFacts(session), requestId: context.requestId });
    // A proxy that carries both knows by itself; another one that does not hear of it now is told when it renews.
    if (former !== null && former.proxy !== session.proxy) void this.#ends.tellProxies([former], 'superseded', context);
  }

  #noteRefusal({ proxy, clientAddress }: ConnectRequest, { token, session }: Attempt, error: unknown, { requestId }: RequestContext): void {
    const { code, message } = toServiceError(error);
    const { instanceUuid, consoleType, host, port, userId, projectId, access } = session ?? token ?? {};
    this.#audit.write('refused', {
      ...{ requestId, sessionId: session?.id, proxy, clientAddress, instanceUuid, consoleType, host, port, userId, projectId, access },
      ...{ reason: code, problem: message },
    });
  }
}

function grantOf({ session, connection, former: _, ...rest }: Claim): ConsoleGrant {
  return { ...rest, session: consoleSessionOf(session), connection: consoleConnectionOf(connection) };
}
