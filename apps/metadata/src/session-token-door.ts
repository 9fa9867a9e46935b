/**
 * Session tokens at the edge: `PUT /latest/api/token` gives one, and readers show theirs. Each instance has its rule, or the
 * service's. off: there are no tokens, and the path is not found, as with Nova. optional: who shows one must show a good one,
 * who shows none reads too. required: nobody reads without. A request that somebody passed on for the guest gets no token.
 */
import type { MetadataTokens } from '@gatehouse/cell-db/instance-facts-store';
import { ServiceError } from '@gatehouse/errors/service-error';
import { TEXT, notFound } from '@gatehouse/instance-metadata/metadata-tree';
import type { Answer } from '@gatehouse/instance-metadata/metadata-tree';
import type { Asker } from './identification.ts';
import { valuesOf } from './metadata-request.ts';
import type { MetadataRequest } from './metadata-request.ts';
import { notAllowed } from './refusal.ts';
import { TOKEN_TTL_SECONDS_MAX, TOKEN_TTL_SECONDS_MIN } from './session-tokens.ts';
import type { SessionTokens } from './session-tokens.ts';

export const TOKEN_HEADER = 'X-aws-ec2-metadata-token';
export const TTL_HEADER = 'X-aws-ec2-metadata-token-ttl-seconds';

const TOKEN_NAME = TOKEN_HEADER.toLowerCase();

type Headers = Readonly<Record<string, string>>;

/** What of an instance decides. */
export interface Guarded {
  readonly uuid: string;
  readonly metadataTokens: MetadataTokens | null;
}

export interface TokenAnswer extends Answer {
  readonly headers: Headers;
}

const NO_HEADERS: Headers = {};

export class SessionTokenDoor {
  readonly #tokens: SessionTokens;
  /** For instances without a rule of their own. */
  readonly #rule: MetadataTokens;

  constructor(tokens: SessionTokens, rule: MetadataTokens) {
    this.#tokens = tokens;
    this.#rule = rule;
  }

  /** @throws ServiceError NOT_FOUND: no tokens for this one; INVALID_ARGUMENT: another method than PUT, or no TTL that is allowed; PERMISSION_DENIED: passed on */
  issue(request: MetadataRequest, asker: Asker, instance: Guarded): TokenAnswer {
    if (this.#ruleOf(instance) === 'off') throw notFound();
    if (request.method !== 'PUT') throw notAllowed('PUT');
    if (asker.isForwarded) throw new ServiceError('PERMISSION_DENIED', 'A request that was passed on (X-Forwarded-For) gets no session token.');
    const ttlSeconds = ttlIn(request);
    const headers = { [TTL_HEADER.toLowerCase()]: String(ttlSeconds), 'cache-control': 'no-store' };
    return { type: TEXT, content: this.#tokens.issue(instance.uuid, ttlSeconds), headers };
  }

  /**
   * Lets readers through. @returns headers for the answer: how long the token is still good, where one was shown
   * @throws ServiceError UNAUTHENTICATED: none was shown and one is required, or it is not good
   */
  admit(request: MetadataRequest, instance: Guarded): Headers {
    if (this.admitsAnyone(request, instance)) return NO_HEADERS;
    const [token, ...others] = valuesOf(request, TOKEN_HEADER);
    const secondsLeft = token === undefined || others.length > 0 ? null : this.#tokens.secondsLeft(instance.uuid, token);
    if (secondsLeft !== null) return { [TTL_HEADER.toLowerCase()]: String(secondsLeft) };
    const problem = token === undefined ? `${TOKEN_HEADER} header is missing from request.` : 'The session token is not of this instance, or no longer good.';
    throw new ServiceError('UNAUTHENTICATED', `${problem} PUT /latest/api/token with ${TTL_HEADER} gives one.`);
  }

  /** Nothing about tokens is to be decided: there are none, or none was shown and none is needed. */
  admitsAnyone({ headers }: Pick<MetadataRequest, 'headers'>, instance: Guarded): boolean {
    const rule = this.#ruleOf(instance);
    return rule === 'off' || (rule === 'optional' && headers[TOKEN_NAME] === undefined);
  }

  #ruleOf({ metadataTokens }: Guarded): MetadataTokens {
    return metadataTokens ?? this.#rule;
  }
}

export function isTokenPath(steps: readonly string[]): boolean {
  return steps.length === 3 && steps[0] === 'latest' && steps[1] === 'api' && steps[2] === 'token';
}

function ttlIn(request: MetadataRequest): number {
  const [text = '', ...others] = valuesOf(request, TTL_HEADER);
  const seconds = others.length === 0 && /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (seconds >= TOKEN_TTL_SECONDS_MIN && seconds <= TOKEN_TTL_SECONDS_MAX) return seconds;
  throw new ServiceError('INVALID_ARGUMENT', `${TTL_HEADER} must say once for how long: ${TOKEN_TTL_SECONDS_MIN} to ${TOKEN_TTL_SECONDS_MAX} seconds.`);
}
