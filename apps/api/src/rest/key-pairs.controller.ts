import { Body, Controller, Delete, Get, HttpStatus, Inject, Param, Post, Res } from '@nestjs/common';
import { KEY_PAIRS_PAGE_MAX, KeyPairs } from '../key-pairs.ts';
import { Call } from './api-call.ts';
import type { ApiCall } from './api-call.ts';
import type { JsonObject, JsonValue } from './json.ts';
import { createKeyPairBody, legacyKeyPairBody, listKeyPairsQuery, oneKeyPairQuery } from './key-pair-schemas.ts';
import type { CreateKeyPairBody, KeyPairQuery } from './key-pair-schemas.ts';
import { createdKeyPair, listedKeyPair, shownKeyPair } from './key-pair-view.ts';
import { API_PREFIXES, LEGACY_PREFIXES } from './prefixes.ts';
import type { Reply } from './reply.ts';
import type { RequestCheck } from './request-schema.ts';

@Controller([...API_PREFIXES, ...LEGACY_PREFIXES].map((prefix) => `${prefix}/os-keypairs`))
export class KeyPairsController {
  readonly #keyPairs: KeyPairs;

  constructor(@Inject(KeyPairs) keyPairs: KeyPairs) {
    this.#keyPairs = keyPairs;
  }

  @Post()
  async create(@Call() call: ApiCall, @Body() body: JsonValue, @Res({ passthrough: true }) reply: Reply): Promise<JsonObject> {
    const { name, type = 'ssh', public_key: publicKey, user_id: asked } = bodyCheck(call)(body).keypair;
    const userId = ownUnless(asked, call);
    const { keyPair, privateKey } = await this.#keyPairs.create(call.context, { userId, name, type, publicKey });
    reply.status(call.version >= 2 ? HttpStatus.CREATED : HttpStatus.OK);
    return createdKeyPair(keyPair, privateKey, call.version);
  }

  @Get()
  async list(@Call() call: ApiCall): Promise<JsonObject> {
    const query = listKeyPairsQuery(call.version)(call.query);
    const isPaged = call.version >= 35;
    const limit = isPaged ? limitOf(query) : KEY_PAIRS_PAGE_MAX;
    const marker = isPaged ? query.marker?.at(-1) : undefined;
    const keyPairs = await this.#keyPairs.list(call.context, userIdOf(call, query), { limit, marker });
    const last = keyPairs.at(-1);
    const isFull = isPaged && last !== undefined && keyPairs.length >= limit;
    const links = isFull ? { keypairs_links: [{ rel: 'next', href: nextPage(call, last.name) }] } : {};
    return { keypairs: keyPairs.map((keyPair) => listedKeyPair(keyPair, call.version)), ...links };
  }

  @Get(':name')
  async show(@Call() call: ApiCall, @Param('name') name: string): Promise<JsonObject> {
    const query = oneKeyPairQuery(call.version)(call.query);
    return shownKeyPair(await this.#keyPairs.show(call.context, userIdOf(call, query), name), call.version);
  }

  @Delete(':name')
  async delete(@Call() call: ApiCall, @Param('name') name: string, @Res({ passthrough: true }) reply: Reply): Promise<void> {
    const query = oneKeyPairQuery(call.version)(call.query);
    await this.#keyPairs.delete(call.context, userIdOf(call, query), name);
    reply.status(call.version >= 2 ? HttpStatus.NO_CONTENT : HttpStatus.ACCEPTED);
  }
}

function bodyCheck({ isLegacy, version }: ApiCall): RequestCheck<CreateKeyPairBody> {
  return isLegacy ? legacyKeyPairBody : createKeyPairBody(version);
}

/** An empty user id is one's own, as in Nova. */
function ownUnless(asked: string | undefined, { context }: ApiCall): string {
  return asked === undefined || asked === '' ? (context.userId ?? '') : asked;
}

/** Another user's keys can be asked for from 2.10 on; before, the parameter was passed over. Of several, Nova takes the first. */
function userIdOf(call: ApiCall, query: KeyPairQuery): string {
  return ownUnless(call.version >= 10 ? query.user_id?.[0] : undefined, call);
}

/** Of several limits Nova takes the last. */
function limitOf(query: KeyPairQuery): number {
  const text = query.limit?.at(-1);
  return text === undefined ? KEY_PAIRS_PAGE_MAX : Math.min(Number(text), KEY_PAIRS_PAGE_MAX);
}

/**
 * The same request from the given name on: a full page always names a next one, which may be empty. The parameters stand
 * in the order of Nova's: by name, a marker that is new at the end.
 */
function nextPage(call: ApiCall, marker: string): string {
  const { limit, user_id: userId, marker: before } = call.query;
  const query = new URLSearchParams();
  if (limit !== undefined) query.append('limit', limit.at(-1) ?? '');
  if (before !== undefined) query.append('marker', marker);
  if (userId !== undefined) query.append('user_id', userId.at(-1) ?? '');
  if (before === undefined) query.append('marker', marker);
  return `${call.rootUrl}${call.prefix}/os-keypairs?${query.toString()}`;
}
