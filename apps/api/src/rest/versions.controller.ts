/** The documents by which clients find the API; answered without a token. */
import { Controller, Get, Req } from '@nestjs/common';
import { rootUrlOf } from './api-call.ts';
import type { RawRequest } from './api-call.ts';
import type { JsonObject } from './json.ts';
import { NEWEST, OLDEST, versionText } from './microversion.ts';

@Controller()
export class VersionsController {
  @Get()
  all(@Req() request: RawRequest): JsonObject {
    return { versions: [{ ...version21(), links: [self(request)] }] };
  }

  /** Also at `/v2.1/`, which Nest cannot tell from `/v2.1`: see http-edge.ts. */
  @Get('v2.1')
  one(@Req() request: RawRequest): JsonObject {
    return versionDocument(request);
  }
}

export function versionDocument(request: RawRequest): JsonObject {
  const describedBy = { rel: 'describedby', type: 'text/html', href: 'http://docs.openstack.org/' };
  const mediaType = { base: 'application/json', type: 'application/vnd.openstack.compute+json;version=2.1' };
  return { version: { ...version21(), links: [self(request), describedBy], 'media-types': [mediaType] } };
}

function version21(): JsonObject {
  return {
    id: 'v2.1',
    status: 'CURRENT',
    version: versionText(NEWEST),
    min_version: versionText(OLDEST),
    updated: '2013-07-23T11:33:21Z',
  };
}

function self(request: RawRequest): JsonObject {
  return { rel: 'self', href: `${rootUrlOf(request)}/v2.1/` };
}
