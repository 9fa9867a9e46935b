/**
 * Tokens in a cache beside the database, which may forget any of them at any moment: what is forgotten opens nothing.
 *
 *   gatehouse:token:<hash>            the token, with its instance's generation when it was issued
 *   gatehouse:spent:<hash>            the same of a single-use token that was used, for the words to who shows it again
 *   gatehouse:generation:<instance>   random; who removes it revokes all tokens of the instance
 *
 * A token opens its console while its instance has its generation (missing means revoked) and while the row of its
 * connection, which is locked until the session is stored, is there. So a revocation holds also for who read the token
 * just before, and while the cache is away. A single-use token is spent by deleting it, which a cache lets one of all who
 * try do.
 *
 * The cache is called before and after transactions, never within one.
 */
import { randomBytes } from 'node:crypto';
import type { CellDb, ConsoleStores } from '@gatehouse/cell-db/cell-db';
import type { StoredConnection } from '@gatehouse/cell-db/console-connections-store';
import { NOTHING_KNOWN } from '@gatehouse/cell-db/console-openings-store';
import type { NewToken, StoredToken, TokenWithConnection } from '@gatehouse/cell-db/console-tokens-store';
import { ServiceError, isServiceError } from '@gatehouse/errors/service-error';
import type { Clock } from '@gatehouse/runtime/clock';
import { cachedTokenOf, cachedTokenText } from './cached-token.ts';
import type { CachedToken } from './cached-token.ts';
import type { Issued, TokenBackend, UseOptions, UseToken } from './token-backend.ts';
import type { TokenCache } from './token-cache.ts';

/** Longer than any token lives (a day at most): a generation must not go before its tokens. */
const GENERATION_SECONDS = 2 * 86_400;
const GENERATION_BYTES = 16;
/** Beyond `expires`, which consoleauth's clock judges: the cache's may run a little faster. */
const SLACK_SECONDS = 5;
/** How often a generation that is evicted as soon as it is made is made again. */
const GENERATION_TRIES_MAX = 3;

export class CachedTokens implements TokenBackend {
  readonly name: TokenCache['name'];
  readonly #cache: TokenCache;
  readonly #db: CellDb;
  readonly #clock: Clock;

  constructor(cache: TokenCache, db: CellDb, clock: Clock) {
    this.name = cache.name;
    this.#cache = cache;
    this.#db = db;
    this.#clock = clock;
  }

  async issue<T>(work: (stores: ConsoleStores) => Promise<Issued<T>>, { replaces } = { replaces: false }): Promise<T> {
    const { token, answer } = await this.#db.consoleTransaction(work);
    await this.#keep(token, replaces);
    return answer;
  }

  async use<T>(tokenHash: string, work: UseToken<T>, options: UseOptions<T> = {}): Promise<T> {
    const cached = await this.#read(tokenHash);
    if (cached === null || !cached.token.singleUse) return this.#open(cached?.token ?? null, work, options);
    const spent = await this.#spend(cached);
    if (!spent) return this.#open({ ...cached.token, usedAt: cached.token.usedAt ?? this.#clock.now() }, work, options);
    return this.#openOnce(cached, work, options);
  }

  async find(tokenHash: string): Promise<TokenWithConnection | null> {
    const cached = await this.#read(tokenHash);
    if (cached === null) return null;
    const { token } = cached;
    return withConnection(token, token.connectionId === null ? null : await this.#db.consoleConnections.find(token.connectionId));
  }

  async revoke<T>(instanceUuid: string, work: (stores: ConsoleStores) => Promise<T>, stored?: (answer: T) => void): Promise<T> {
    const answer = await this.#db.consoleTransaction(async (stores) => {
      // Those of before the cache was chosen: who goes back to the database must not find them alive.
      await stores.consoleTokens.deleteForInstance(instanceUuid);
      return work(stores);
    });
    // Before the cache, which may be away, so that it keeps no session from its end.
    stored?.(answer);
    await this.#cache.delete(generationKey(instanceUuid));
    return answer;
  }

  async check(): Promise<void> {
    await this.#cache.get('gatehouse:check');
  }

  close(): Promise<void> {
    return this.#cache.close();
  }

  async #keep(token: NewToken, replaces: boolean): Promise<void> {
    const text = cachedTokenText({ token: { ...token, usedAt: null }, generation: await this.#generationOf(token.instanceUuid) });
    const [key, seconds] = [tokenKey(token.tokenHash), this.#secondsOf(token)];
    if (replaces) return this.#cache.set(key, text, seconds);
    if (!(await this.#cache.add(key, text, seconds))) throw new ServiceError('ALREADY_EXISTS', 'this console token is known already; ask for another');
  }

  /** That of the instance, made if it has none, and kept for as long as a token issued now can live. */
  async #generationOf(instanceUuid: string): Promise<string> {
    const key = generationKey(instanceUuid);
    for (let tries = 0; tries < GENERATION_TRIES_MAX; tries += 1) {
      const known = await this.#cache.get(key);
      if (known !== null && (await this.#cache.touch(key, GENERATION_SECONDS))) return known;
      // It is compared, never shown: no secret, and not made like one.
      const made = randomBytes(GENERATION_BYTES).toString('base64url');
      if (await this.#cache.add(key, made, GENERATION_SECONDS)) return made;
    }
    throw new ServiceError('UNAVAILABLE', `the token cache (${this.name}) keeps nothing; it needs more memory`);
  }

  async #read(tokenHash: string): Promise<CachedToken | null> {
    const text = (await this.#cache.get(tokenKey(tokenHash))) ?? (await this.#cache.get(spentKey(tokenHash)));
    const cached = text === null ? null : cachedTokenOf(text, tokenHash);
    if (cached === null) return null;
    return (await this.#cache.get(generationKey(cached.token.instanceUuid))) === cached.generation ? cached : null;
  }

  /** @returns false when it was spent before, or another is spending it */
  async #spend(cached: CachedToken): Promise<boolean> {
    const { token } = cached;
    if (token.usedAt !== null || !(await this.#cache.delete(tokenKey(token.tokenHash)))) return false;
    const text = cachedTokenText({ ...cached, token: { ...token, usedAt: this.#clock.now() } });
    await this.#cache.set(spentKey(token.tokenHash), text, this.#secondsOf(token));
    return true;
  }

  /** A token that was spent for a connect which was then refused is given back. */
  async #openOnce<T>(cached: CachedToken, work: UseToken<T>, options: UseOptions<T>): Promise<T> {
    // Whether the transaction was ended by `work` itself: after any other failure it may have been committed.
    let isRefused = false;
    try {
      return await this.#open(cached.token, async (stores, token, opening) => {
        isRefused = true;
        const answer = await work(stores, token, opening);
        isRefused = false;
        return answer;
      }, options);
    } catch (error) {
      // What would be there twice was not committed either.
      if (isRefused || (isServiceError(error) && error.code === 'ALREADY_EXISTS')) await this.#giveBack(cached).catch(() => {}); // the refusal says more than that the cache is away now
      throw error;
    }
  }

  async #giveBack(cached: CachedToken): Promise<void> {
    const { token } = cached;
    await this.#cache.set(tokenKey(token.tokenHash), cachedTokenText(cached), this.#secondsOf(token));
    await this.#cache.delete(spentKey(token.tokenHash));
  }

  #open<T>(token: StoredToken | null, work: UseToken<T>, { opening: question, last }: UseOptions<T>): Promise<T> {
    return this.#db.consoleTransaction(async (stores) => {
      if (token === null) return work(stores, null, NOTHING_KNOWN);
      const { instanceUuid, host, userId } = token;
      const [connection, opening] = await Promise.all([
        token.connectionId === null ? null : stores.consoleConnections.lock(token.connectionId),
        question === undefined ? NOTHING_KNOWN : stores.consoleOpenings.look({ instanceUuid, host, userId }, question),
      ]);
      return work(stores, withConnection(token, connection), opening);
    }, last);
  }

  #secondsOf({ expires }: NewToken): number {
    return Math.max(1, Math.ceil((expires.getTime() - this.#clock.now().getTime()) / 1_000)) + SLACK_SECONDS;
  }
}

/** @returns null when the connection is gone, or is not what the token was issued for */
function withConnection(token: StoredToken, connection: StoredConnection | null): TokenWithConnection | null {
  if (token.connectionId === null) return { ...token, connection: null };
  const isIts = connection !== null && connection.instanceUuid === token.instanceUuid && connection.consoleType === token.consoleType;
  return isIts ? { ...token, connection } : null;
}

function tokenKey(tokenHash: string): string {
  return `gatehouse:token:${tokenHash}`;
}

function spentKey(tokenHash: string): string {
  return `gatehouse:spent:${tokenHash}`;
}

function generationKey(instanceUuid: string): string {
  return `gatehouse:generation:${instanceUuid.toLowerCase()}`;
}
