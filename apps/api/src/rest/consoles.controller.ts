import { All, Body, Controller, HttpCode, HttpStatus, Inject, Param, Post } from '@nestjs/common';
import { ServiceError } from '@gatehouse/errors/service-error';
import { Consoles } from '../consoles.ts';
import { Call } from './api-call.ts';
import type { ApiCall } from './api-call.ts';
import type { JsonObject, JsonValue } from './json.ts';
import { API_PREFIXES } from './prefixes.ts';
import { remoteConsoleBody } from './server-schemas.ts';

/** The actions of console-actions.ts gave consoles before this microversion. */
const REMOTE_CONSOLES = 6;

@Controller(API_PREFIXES.map((prefix) => `${prefix}/servers/:id`))
export class ConsolesController {
  readonly #consoles: Consoles;

  constructor(@Inject(Consoles) consoles: Consoles) {
    this.#consoles = consoles;
  }

  @Post('remote-consoles')
  @HttpCode(HttpStatus.OK)
  async remoteConsole(@Call() call: ApiCall, @Param('id') id: string, @Body() body: JsonValue): Promise<JsonObject> {
    if (call.version < REMOTE_CONSOLES) throw new ServiceError('NOT_FOUND', 'The resource could not be found.');
    const { protocol, type, access } = remoteConsoleBody(call.version)(body).remote_console;
    const url = await this.#consoles.open(call.context, id, { protocol, type, access });
    return { remote_console: { protocol, type, ...(access === undefined ? {} : { access }), url } };
  }

  /** Nova had consoles of another hypervisor here, and says since that they are gone. */
  @All(['consoles', 'consoles/:console'])
  goneConsoles(): never {
    throw new ServiceError('NOT_FOUND', 'This resource is no longer available.  No forwarding address is given.', { details: { status: HttpStatus.GONE } });
  }
}
