import { Body, Controller, HttpCode, HttpStatus, Inject, Param, Post } from '@nestjs/common';
import { ServiceError } from '@gatehouse/errors/service-error';
import { Consoles } from '../consoles.ts';
import { Call } from './api-call.ts';
import type { ApiCall } from './api-call.ts';
import type { JsonObject, JsonValue } from './json.ts';
import { API_PREFIXES } from './prefixes.ts';
import { CONSOLE_ACTIONS, consoleActionBody, remoteConsoleBody } from './server-schemas.ts';

/** remote-consoles replaced the actions at this microversion. */
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
    if (call.version < REMOTE_CONSOLES) throw notServed();
    const { protocol, type } = remoteConsoleBody(call.version)(body).remote_console;
    const url = await this.#consoles.open(call.context, id, { protocol, type });
    return { remote_console: { protocol, type, url } };
  }

  @Post('action')
  @HttpCode(HttpStatus.OK)
  async action(@Call() call: ApiCall, @Param('id') id: string, @Body() body: JsonValue): Promise<JsonObject> {
    const name = actionOf(body);
    const check = consoleActionBody(name);
    if (check === undefined) throw new ServiceError('INVALID_ARGUMENT', `There is no such action: ${name.slice(0, 100)}`);
    if (call.version >= REMOTE_CONSOLES) throw notServed();
    const { protocol } = CONSOLE_ACTIONS[name] ?? { protocol: '' };
    const type = check(body)[name]?.type ?? '';
    return { console: { type, url: await this.#consoles.open(call.context, id, { protocol, type }) } };
  }
}

/** The one property of an action's body. */
function actionOf(body: JsonValue): string {
  const names = typeof body === 'object' && body !== null && !Array.isArray(body) ? Object.keys(body) : [];
  if (names.length === 1 && names[0] !== undefined) return names[0];
  throw new ServiceError('INVALID_ARGUMENT', names.length === 0 ? 'Malformed request body' : 'Multiple actions in request body: one is accepted');
}

function notServed(): ServiceError {
  return new ServiceError('NOT_FOUND', 'The resource could not be found.');
}
