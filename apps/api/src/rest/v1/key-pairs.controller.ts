/**
 * Key pairs with what Nova's shapes have no room for: SHA-256 fingerprints as ssh-keygen and openssl write them today, the
 * algorithm, the strength. They are read from the public key at each request, so old rows have them too.
 */
import { Controller, Get, Inject, Param } from '@nestjs/common';
import { KEY_PAIRS_PAGE_MAX, KeyPairs } from '../../key-pairs.ts';
import { Call } from '../api-call.ts';
import type { ApiCall } from '../api-call.ts';
import type { JsonObject } from '../json.ts';
import { listKeyPairsQuery, oneKeyPairQuery } from '../key-pair-schemas.ts';
import { NEWEST } from '../microversion.ts';
import { keyPairView } from './key-pair-view.ts';

@Controller('v1/keypairs')
export class V1KeyPairsController {
  readonly #keyPairs: KeyPairs;

  constructor(@Inject(KeyPairs) keyPairs: KeyPairs) {
    this.#keyPairs = keyPairs;
  }

  @Get()
  async list(@Call() call: ApiCall): Promise<JsonObject> {
    const { limit: [limit] = [], marker: [marker] = [], user_id: [userId] = [] } = listKeyPairsQuery(NEWEST)(call.query);
    const most = limit === undefined ? KEY_PAIRS_PAGE_MAX : Math.min(Number(limit), KEY_PAIRS_PAGE_MAX);
    const found = await this.#keyPairs.list(call.context, userId ?? call.context.userId ?? '', { limit: most, marker });
    return { keypairs: found.map(keyPairView), next_marker: found.length > 0 && found.length === most ? (found.at(-1)?.name ?? null) : null };
  }

  @Get(':name')
  async show(@Call() call: ApiCall, @Param('name') name: string): Promise<JsonObject> {
    const { user_id: [userId] = [] } = oneKeyPairQuery(NEWEST)(call.query);
    return { keypair: keyPairView(await this.#keyPairs.show(call.context, userId ?? call.context.userId ?? '', name)) };
  }
}
