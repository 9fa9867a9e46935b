/**
 * Key pairs with what Nova's shapes have no room for: SHA-256 fingerprints as ssh-keygen and openssl write them today, the
 * algorithm, the strength. They are read from the public key at each request, so old rows have them too.
 */
import { Controller, Get, Inject, Param } from '@nestjs/common';
import type { KeyPair } from '@gatehouse/objects/key-pair';
import { isServiceError } from '@gatehouse/errors/service-error';
import { KEY_PAIRS_PAGE_MAX, KeyPairs } from '../../key-pairs.ts';
import { parseSshPublicKey } from '../../ssh-public-key.ts';
import { parseX509 } from '../../x509-certificate.ts';
import { Call } from '../api-call.ts';
import type { ApiCall } from '../api-call.ts';
import type { JsonObject } from '../json.ts';
import { listKeyPairsQuery, oneKeyPairQuery } from '../key-pair-schemas.ts';
import { NEWEST } from '../microversion.ts';

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
    return { keypairs: found.map(view), next_marker: found.length > 0 && found.length === most ? (found.at(-1)?.name ?? null) : null };
  }

  @Get(':name')
  async show(@Call() call: ApiCall, @Param('name') name: string): Promise<JsonObject> {
    const { user_id: [userId] = [] } = oneKeyPairQuery(NEWEST)(call.query);
    return { keypair: view(await this.#keyPairs.show(call.context, userId ?? call.context.userId ?? '', name)) };
  }
}

function view({ name, type, publicKey, fingerprint, userId, createdAt }: KeyPair): JsonObject {
  const shown = { name, type, user_id: userId ?? null, public_key: publicKey ?? null, fingerprint: fingerprint ?? null };
  return { ...shown, ...read(type, publicKey ?? ''), created_at: createdAt?.toISOString() ?? null };
}

/** Nulls for a key that was stored before keys were read strictly. */
function read(type: string, publicKey: string): JsonObject {
  try {
    if (type === 'x509') return { fingerprint_sha256: parseX509(publicKey).fingerprintSha256, algorithm: 'x509', bits: null };
    const { fingerprintSha256, algorithm, bits } = parseSshPublicKey(publicKey);
    return { fingerprint_sha256: fingerprintSha256, algorithm, bits };
  } catch (error) {
    if (!isServiceError(error)) throw error;
    return { fingerprint_sha256: null, algorithm: null, bits: null };
  }
}
