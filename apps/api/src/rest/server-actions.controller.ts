/** POST servers/{id}/action: whichever of the actions its body names. Each group of them is a table of its own. */
import { Body, Controller, Inject, Param, Post, Res } from '@nestjs/common';
import { ServiceError } from '@gatehouse/errors/service-error';
import { Consoles } from '../consoles.ts';
import { Moves } from '../moves.ts';
import { Power } from '../power.ts';
import { Call } from './api-call.ts';
import type { ApiCall } from './api-call.ts';
import { consoleActions } from './console-actions.ts';
import type { JsonObject, JsonValue } from './json.ts';
import { moveActions } from './move-actions.ts';
import { powerActions } from './power-actions.ts';
import { API_PREFIXES } from './prefixes.ts';
import type { Reply } from './reply.ts';
import type { ServerAction } from './server-action.ts';

@Controller(API_PREFIXES.map((prefix) => `${prefix}/servers/:id/action`))
export class ServerActionsController {
  readonly #actions: ReadonlyMap<string, ServerAction>;

  constructor(@Inject(Consoles) consoles: Consoles, @Inject(Power) power: Power, @Inject(Moves) moves: Moves) {
    this.#actions = new Map(Object.entries({ ...consoleActions(consoles), ...powerActions(power), ...moveActions(moves) }));
  }

  @Post()
  async act(
    @Call() call: ApiCall,
    @Param('id') id: string,
    @Body() body: JsonValue,
    @Res({ passthrough: true }) reply: Reply,
  ): Promise<JsonObject | undefined> {
    const [name, checked] = actionOf(body);
    const action = this.#actions.get(name);
    if (action === undefined) throw new ServiceError('INVALID_ARGUMENT', `There is no such action: ${name.slice(0, 100)}`);
    if (call.version > (action.until ?? call.version)) throw new ServiceError('NOT_FOUND', 'The resource could not be found.');
    const answer = await action.answer(call, id, checked);
    reply.status(answer.status);
    for (const [header, value] of Object.entries(answer.headers ?? {})) reply.header(header, value);
    return answer.body;
  }
}

/** The one property of an action's body. */
function actionOf(body: JsonValue): readonly [name: string, body: JsonObject] {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new ServiceError('INVALID_ARGUMENT', 'Malformed request body');
  const [name, ...others] = Object.keys(body);
  if (name === undefined) throw new ServiceError('INVALID_ARGUMENT', 'Malformed request body');
  if (others.length > 0) throw new ServiceError('INVALID_ARGUMENT', 'Multiple actions in request body: one is accepted');
  return [name, body as JsonObject];
}
