/** Where a console's token leads, for proxies that the administrator runs himself. The token is a part of the path: no log may have it. */
import { Controller, Get, HttpException, Inject, Param } from '@nestjs/common';
import { ServiceError } from '@gatehouse/errors/service-error';
import { Consoles } from '../consoles.ts';
import { Call } from './api-call.ts';
import type { ApiCall } from './api-call.ts';
import type { JsonObject } from './json.ts';
import { API_PREFIXES } from './prefixes.ts';

/** Before this microversion only tokens of RDP consoles were shown. */
const ALL_TYPES = 31;

@Controller(API_PREFIXES.map((prefix) => `${prefix}/os-console-auth-tokens`))
export class ConsoleAuthTokensController {
  readonly #consoles: Consoles;

  constructor(@Inject(Consoles) consoles: Consoles) {
    this.#consoles = consoles;
  }

  @Get(['', ':token'])
  async show(@Call() call: ApiCall, @Param('token') token: string | undefined): Promise<JsonObject> {
    if (token === undefined || token === '') throw new ServiceError('INVALID_ARGUMENT', 'token not provided');
    const { instanceUuid, consoleType, host, port, options } = await this.#consoles.reach(call.context, token);
    // Nova's code for it, although the caller is known.
    if (call.version < ALL_TYPES && consoleType !== 'rdp-html5') throw new HttpException('The requested console type details are not accessible', 401);
    return {
      console: {
        instance_uuid: instanceUuid,
        // Where the console itself is reached, where that is not its compute host.
        host: options['address'] ?? host,
        port,
        internal_access_path: options['internal_access_path'] ?? null,
      },
    };
  }
}
