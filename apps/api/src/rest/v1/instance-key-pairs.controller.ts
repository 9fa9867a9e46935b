import { Body, Controller, Get, Inject, Param, Put, Req, Res } from '@nestjs/common';
import { InstanceKeyPairs } from '../../instance-key-pairs.ts';
import type { CarriedKeyPairs } from '../../instance-key-pairs.ts';
import { Call } from '../api-call.ts';
import type { ApiCall, RawRequest } from '../api-call.ts';
import type { JsonObject, JsonValue } from '../json.ts';
import type { Reply } from '../reply.ts';
import { entityTag, readIfMatch } from './entity-tag.ts';
import { INSTANCE_KEY_PAIRS_BODY } from './instance-bodies.ts';
import { keyPairView } from './key-pair-view.ts';
import { readParameters } from './parameters.ts';
import { readBody } from './request-body.ts';

@Controller('v1/instances/:id/keypairs')
export class InstanceKeyPairsController {
  readonly #keyPairs: InstanceKeyPairs;

  constructor(@Inject(InstanceKeyPairs) keyPairs: InstanceKeyPairs) {
    this.#keyPairs = keyPairs;
  }

  @Get()
  async show(@Call() call: ApiCall, @Param('id') id: string, @Res({ passthrough: true }) reply: Reply): Promise<JsonObject> {
    readParameters(call.query, []);
    return view(await this.#keyPairs.show(call.context, id), reply);
  }

  @Put()
  async replace(@Call() call: ApiCall, @Param('id') id: string, @Body() body: JsonValue, @Req() request: RawRequest, @Res({ passthrough: true }) reply: Reply): Promise<JsonObject> {
    const { user_id: userId } = readParameters(call.query, ['user_id']);
    const { keypairs: names } = readBody(INSTANCE_KEY_PAIRS_BODY, body);
    return view(await this.#keyPairs.replace(call.context, id, { names, userId }, readIfMatch(request)), reply);
  }
}

function view(carried: CarriedKeyPairs, reply: Reply): JsonObject {
  reply.header('etag', entityTag(carried));
  return { keypairs: carried.keyPairs.map(keyPairView), source: carried.source };
}
