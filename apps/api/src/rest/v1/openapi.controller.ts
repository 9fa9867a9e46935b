import { Controller, Get } from '@nestjs/common';
import type { JsonObject } from '../json.ts';
import { OPENAPI } from './openapi.ts';

@Controller('v1/openapi.json')
export class OpenApiController {
  @Get()
  document(): JsonObject {
    return OPENAPI;
  }
}
