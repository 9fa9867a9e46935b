import { Body, Controller, Get, Inject, Param, Put, Req, Res } from '@nestjs/common';
import type { StoredInstanceNetwork } from '@gatehouse/cell-db/instance-networks-store';
import { ServiceError } from '@gatehouse/errors/service-error';
import { InstanceNetworks } from '../../instance-networks.ts';
import { instanceNetwork, NETWORK_BODY, NETWORK_BYTES_MAX } from '../../network-data.ts';
import { Call } from '../api-call.ts';
import type { ApiCall, RawRequest } from '../api-call.ts';
import type { JsonObject, JsonValue } from '../json.ts';
import type { Reply } from '../reply.ts';
import { entityTag, readIfMatch } from './entity-tag.ts';
import { readParameters } from './parameters.ts';
import { readBody } from './request-body.ts';

@Controller('v1/instances/:id/network')
export class InstanceNetworkController {
  readonly #networks: InstanceNetworks;

  constructor(@Inject(InstanceNetworks) networks: InstanceNetworks) {
    this.#networks = networks;
  }

  @Get()
  async show(@Call() call: ApiCall, @Param('id') id: string, @Res({ passthrough: true }) reply: Reply): Promise<JsonObject> {
    readParameters(call.query, []);
    return view(await this.#networks.show(call.context, id), reply);
  }

  @Put()
  async replace(@Call() call: ApiCall, @Param('id') id: string, @Body() body: JsonValue, @Req() request: RawRequest, @Res({ passthrough: true }) reply: Reply): Promise<JsonObject> {
    readParameters(call.query, []);
    const bytes = Buffer.byteLength(JSON.stringify(body));
    if (bytes > NETWORK_BYTES_MAX) throw new ServiceError('INVALID_ARGUMENT', `the body: has ${bytes} bytes as JSON; an instance's network has at most ${NETWORK_BYTES_MAX}`);
    return view(await this.#networks.replace(call.context, id, instanceNetwork(readBody(NETWORK_BODY, body)), readIfMatch(request)), reply);
  }
}

function view(network: StoredInstanceNetwork, reply: Reply): JsonObject {
  reply.header('etag', entityTag(network));
  return { network_data: network.data as JsonObject | null, fixed_addresses: network.fixed, floating_addresses: network.floating };
}
