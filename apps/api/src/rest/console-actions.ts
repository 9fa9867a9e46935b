/** Actions about consoles: those that gave one before 2.6, when remote-consoles replaced them, and what a console printed. */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Consoles } from '../consoles.ts';
import { bodySchema } from './request-schema.ts';
import type { ServerAction, ServerActions } from './server-action.ts';
import { CONSOLE_ACTIONS, consoleActionBody } from './server-schemas.ts';

const LAST_VERSION = 5;

export function consoleActions(consoles: Consoles): ServerActions {
  const opening = Object.entries(CONSOLE_ACTIONS).map(([name, { protocol }]) => [name, openConsole(consoles, name, protocol)]);
  return { ...Object.fromEntries(opening), [OUTPUT]: showOutput(consoles) };
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

const OUTPUT = 'os-getConsoleOutput';

const outputBody = bodySchema<{ readonly [OUTPUT]: { readonly length?: number | string | null } }>({
  type: 'object',
  properties: {
    [OUTPUT]: {
      type: 'object',
      properties: { length: { type: ['integer', 'string', 'null'], pattern: '^-?[0-9]+$', minimum: -1 } },
      additionalProperties: false,
    },
  },
  required: [OUTPUT],
  additionalProperties: false,
});

/** More lines than anybody keeps. */
const LINES_MAX = 1_000_000_000;
/** What XML could not say, as Nova leaves it out to this day: all below the space but tab and line feed. */
const CONTROL = /[\x00-\x08\x0B-\x1F]/g;

function showOutput(consoles: Consoles): ServerAction {
  return {
    async answer(call, id, body) {
      const { length } = outputBody(body)[OUTPUT];
      const output = await consoles.output(call.context, id, linesOf(length));
      return { status: 200, body: { output: output.replaceAll(CONTROL, '') } };
    },
  };
}

/** Null for all there are: nothing said, null, or -1. */
function linesOf(length: number | string | null | undefined): number | null {
  if (length === undefined || length === null) return null;
  const lines = Number(length);
  if (lines < -1) throw new ServiceError('INVALID_ARGUMENT', `Invalid input for field/attribute length. Value: ${lines}. ${lines} is less than the minimum of -1`);
  return lines === -1 ? null : Math.min(lines, LINES_MAX);
}
