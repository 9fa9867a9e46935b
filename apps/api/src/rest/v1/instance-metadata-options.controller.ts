import { Body, Controller, Get, Inject, Param, Put, Req, Res } from '@nestjs/common';
import { InstanceMetadataOptions } from '../../instance-metadata-options.ts';
import type { MetadataOptions } from '../../instance-metadata-options.ts';
import { Call } from '../api-call.ts';
import type { ApiCall, RawRequest } from '../api-call.ts';
import type { JsonObject, JsonValue } from '../json.ts';
import type { Reply } from '../reply.ts';
import { entityTag, readIfMatch } from './entity-tag.ts';
import { METADATA_OPTIONS_BODY } from './instance-bodies.ts';
import { readParameters } from './parameters.ts';
import { readBody } from './request-body.ts';

@Controller('v1/instances/:id/metadata-options')
export class InstanceMetadataOptionsController {
  readonly #options: InstanceMetadataOptions;

  constructor(@Inject(InstanceMetadataOptions) options: InstanceMetadataOptions) {
    this.#options = options;
  }

  @Get()
  async show(@Call() call: ApiCall, @Param('id') id: string, @Res({ passthrough: true }) reply: Reply): Promise<JsonObject> {
    readParameters(call.query, []);
    return view(await this.#options.show(call.context, id), reply);
  }

  @Put()
  async replace(@Call() call: ApiCall, @Param('id') id: string, @Body() body: JsonValue, @Req() request: RawRequest, @Res({ passthrough: true }) reply: Reply): Promise<JsonObject> {
    readParameters(call.query, []);
    const { tokens } = readBody(METADATA_OPTIONS_BODY, body);
    return view(await this.#options.replace(call.context, id, tokens, readIfMatch(request)), reply);
  }
}

function view(options: MetadataOptions, reply: Reply): JsonObject {
  reply.header('etag', entityTag(options));
  return { tokens: options.tokens };
}
