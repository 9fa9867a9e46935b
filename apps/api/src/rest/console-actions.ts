/** The actions that gave consoles before 2.6, when remote-consoles replaced them. */
import type { Consoles } from '../consoles.ts';
import type { ServerAction, ServerActions } from './server-action.ts';
import { CONSOLE_ACTIONS, consoleActionBody } from './server-schemas.ts';

const LAST_VERSION = 5;

export function consoleActions(consoles: Consoles): ServerActions {
  return Object.fromEntries(Object.entries(CONSOLE_ACTIONS).map(([name, { protocol }]) => [name, openConsole(consoles, name, protocol)]));
}

function openConsole(consoles: Consoles, name: string, protocol: string): ServerAction {
  return {
    until: LAST_VERSION,
    async answer(call, id, body) {
      const type = consoleActionBody(name)?.(body)[name]?.type ?? '';
      return { status: 200, body: { console: { type, url: await consoles.open(call.context, id, { protocol, type }) } } };
    },
  };
}
