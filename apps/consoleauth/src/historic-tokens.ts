/**
 * Tokens of Nova's own services (RPC 1.0 to 2.1): the caller has made the token and says where its console is dialled.
 * Like ours they are stored by their hash, and a proxy of either kind opens them: ours by `connect`, Nova's by
 * `check_token`, which shows these tokens only and to whoever has one, as Nova did.
 *
 * Nova asked the instance's host whether the port is still the instance's, for a token must not open the console of
 * another machine that got the port later (CVE-2013-0335). Here, of an instance that is known, the address must be one
 * of its consoles. Of an unknown one nobody can say, but the address must not be that of a known instance.
 */
import type { CellDb, ConsoleStores } from '@gatehouse/cell-db/cell-db';
import type { StoredConnection } from '@gatehouse/cell-db/console-connections-store';
import type { StoredToken } from '@gatehouse/cell-db/console-tokens-store';
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import type { JsonObject } from '@gatehouse/objects/field';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import type { ConsoleAuthConfig } from './config.ts';
import { hashSecret, tokenExpiry } from './console-token.ts';
import { isExclusive } from './port-choice.ts';
import type { TokenBackend } from './token-backend.ts';

export interface HistoricConsole {
  readonly token: string;
  readonly consoleType: ConsoleType;
  readonly host: string;
  readonly port: number;
  readonly internalAccessPath: string | null;
  /** Null from callers before RPC 1.2, and from some of 1.2. */
  readonly instanceUuid: string | null;
  readonly accessUrl?: string | null;
}

/** How a console is reached; without an id where its instance is not known here. */
export type ReachedConnection = Omit<StoredConnection, 'id'> & { readonly id: number | null };

export class HistoricTokens {
  readonly #db: CellDb;
  readonly #tokens: TokenBackend;
  readonly #config: ConsoleAuthConfig;
  readonly #clock: Clock;

  constructor(db: CellDb, tokens: TokenBackend, config: ConsoleAuthConfig, clock: Clock) {
    this.#db = db;
    this.#tokens = tokens;
    this.#config = config;
    this.#clock = clock;
  }

  /** Takes the token; one that is known already is replaced. Without an instance it never opens anything, as since Nova's RPC 1.2. */
  async authorize(console: HistoricConsole, { userId, projectId }: RequestContext): Promise<void> {
    const { token, consoleType, host, port, internalAccessPath, instanceUuid, accessUrl = null } = console;
    if (instanceUuid === null) return;
    const createdAt = this.#clock.now();
    const stored = {
      ...{ tokenHash: this.#hash(token), connectionId: null, instanceUuid, consoleType, host, port, internalAccessPath, userId, projectId, createdAt },
      ...{ access: 'full' as const, singleUse: false, expires: tokenExpiry(createdAt, this.#config.consoleTokenTtl) },
      accessUrlBase: accessUrl && withoutToken(accessUrl, token),
    };
    await this.#tokens.issue(async () => ({ token: stored, answer: undefined }), { replaces: true });
  }

  /** What Nova's check_token answered; null for what is unknown, expired or must not be opened (any more). */
  async check(token: string): Promise<JsonObject | null> {
    const stored = await this.#tokens.find(this.#hash(token));
    if (stored === null || stored.connectionId !== null || stored.expires <= this.#clock.now()) return null;
    if ((await reachHistoric(this.#db, stored, this.#config.consoleExclusive)) === null) return null;
    const { instanceUuid, consoleType, host, port, internalAccessPath, accessUrlBase, createdAt } = stored;
    return {
      ...{ token, host, port },
      instance_uuid: instanceUuid,
      console_type: consoleType,
      internal_access_path: internalAccessPath,
      access_url: accessUrlBase && withToken(accessUrlBase, token),
      last_activity_at: createdAt.getTime() / 1_000,
    };
  }

  /** Revokes every token of the instance. As in Nova, consoles that are open stay open. */
  async deleteForInstance(instanceUuid: string): Promise<void> {
    await this.#tokens.revoke(instanceUuid, async () => {});
  }

  #hash(token: string): string {
    return hashSecret(token, this.#config.consoleTokenHash);
  }
}

/** The console of a token that names no connection; null when the token must not open it. */
export async function reachHistoric(
  { instances, consoleConnections }: Pick<ConsoleStores, 'instances' | 'consoleConnections'>,
  { instanceUuid, consoleType, host, port, internalAccessPath, createdAt }: StoredToken,
  exclusive: readonly ConsoleType[],
): Promise<ReachedConnection | null> {
  const known = await consoleConnections.findByAddress(host, port);
  if (known !== null) return known.instanceUuid === instanceUuid && known.consoleType === consoleType ? known : null;
  if ((await instances.find(instanceUuid)) !== null || (await instances.isDeleted(instanceUuid))) return null;
  return {
    ...{ id: null, instanceUuid, consoleType, host, port, address: host, createdAt },
    ...{ exclusive: isExclusive(consoleType, exclusive), reservedBy: null, reservedUntil: null, reservedTokenHash: null },
    options: { transport: 'tcp', address: host, ...(internalAccessPath === null ? {} : { internal_access_path: internalAccessPath }) },
  };
}

/** What stands for a token in a stored URL: characters that no URL has. */
const PLACES: readonly (readonly [place: string, text: (token: string) => string])[] = [
  ['{token}', (token) => token],
  ['{encoded token}', encodeURIComponent],
];

function withoutToken(url: string, token: string): string {
  return PLACES.reduce((text, [place, textOf]) => text.replaceAll(textOf(token), place), url);
}

function withToken(url: string, token: string): string {
  return PLACES.reduce((text, [place, textOf]) => text.replaceAll(place, () => textOf(token)), url);
}
