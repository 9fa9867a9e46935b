/** What may stand in the query of a request under /v1: said once, for those who read the documentation and for the check. */
import { Ajv } from 'ajv';
import type { ValidateFunction } from 'ajv';
import { SESSION_STATES, SESSIONS_PAGE_MAX, WATCH_SECONDS_MAX } from '@gatehouse/contracts/consoleauth';
import type { SessionState } from '@gatehouse/contracts/consoleauth';
import { ServiceError } from '@gatehouse/errors/service-error';
import { CONSOLE_TYPES } from '@gatehouse/objects/console-connection';
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import { UNSTORABLE_WORDS, isStorable } from '../../storable-text.ts';
import type { JsonObject } from '../json.ts';

export interface Parameter {
  readonly description: string;
  readonly schema: JsonObject;
}

export interface ParameterValues {
  readonly instance_id: string;
  readonly user_id: string;
  readonly project_id: string;
  readonly host: string;
  readonly proxy: string;
  readonly console_type: ConsoleType;
  readonly state: SessionState;
  readonly limit: number;
  readonly marker: string;
  readonly reason: string;
  readonly after: string;
  readonly wait: number;
}
export type ParameterName = keyof ParameterValues;

/** One less than consoleauth gives, which is asked for one more: so it is known whether another page follows. */
export const PAGE_MAX = SESSIONS_PAGE_MAX - 1;
export const PAGE_DEFAULT = 100;

const NAME: JsonObject = { type: 'string', minLength: 1, maxLength: 255 };
const UUID: JsonObject = { type: 'string', format: 'uuid' };

export const PARAMETERS: Readonly<Record<ParameterName, Parameter>> = {
  instance_id: { description: 'Sessions of this instance.', schema: UUID },
  user_id: { description: 'Sessions that this user opened. Another user than oneself: the administrator alone.', schema: NAME },
  project_id: { description: 'Sessions that were opened in this project. Another project than one\'s own: the administrator alone.', schema: NAME },
  host: { description: 'Sessions on this compute host. The administrator alone.', schema: NAME },
  proxy: { description: 'Sessions that this console proxy carries. The administrator alone.', schema: NAME },
  console_type: { description: 'Sessions of this type of console.', schema: { type: 'string', enum: CONSOLE_TYPES } },
  state: { description: 'Those that have not ended (`open`, also while they are being ended), those that have, or all.', schema: { type: 'string', enum: SESSION_STATES, default: 'open' } },
  limit: { description: 'Sessions in one answer.', schema: { type: 'integer', minimum: 1, maximum: PAGE_MAX, default: PAGE_DEFAULT } },
  marker: { description: 'Begin after this session: `next_marker` of the page before.', schema: UUID },
  reason: { description: 'Why, in words that the session\'s user is shown and that its record keeps.', schema: { type: 'string', minLength: 1, maxLength: 60 } },
  after: { description: 'Begin behind this place: the id of the last event that was read. A Last-Event-ID header counts before it. Without either: from now on.', schema: { type: 'string', minLength: 1, maxLength: 64 } },
  wait: { description: 'With `Accept: application/json`: seconds to wait for an event when there is none.', schema: { type: 'integer', minimum: 0, maximum: WATCH_SECONDS_MAX, default: 0 } },
};

export const FILTER = ['instance_id', 'user_id', 'project_id', 'host', 'proxy'] as const;

const UUID_TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const ajv = new Ajv({ coerceTypes: true, strict: true });
ajv.addFormat('uuid', UUID_TEXT);
const checks = new Map<string, ValidateFunction>(
  Object.entries(PARAMETERS).map(([name, { schema }]) => [name, ajv.compile({ type: 'object', properties: { [name]: schema } })]),
);

/**
 * The parameters that a query holds, of those that its resource knows.
 * @throws ServiceError INVALID_ARGUMENT: another name, one name twice, a value that does not fit
 */
export function readParameters<K extends ParameterName>(query: Readonly<Record<string, readonly string[]>>, known: readonly K[]): { readonly [P in K]?: ParameterValues[P] } {
  const values: Record<string, unknown> = {};
  for (const [name, texts] of Object.entries(query)) {
    const check = (known as readonly string[]).includes(name) ? checks.get(name) : undefined;
    if (check === undefined) throw new ServiceError('INVALID_ARGUMENT', `there is no parameter ${name.slice(0, 60)} here: ${known.length === 0 ? 'none is known' : known.join(', ')}`);
    if (texts.length > 1) throw new ServiceError('INVALID_ARGUMENT', `${name}: say it once`);
    if (!isStorable(texts[0] ?? '')) throw new ServiceError('INVALID_ARGUMENT', `${name}: ${UNSTORABLE_WORDS}`);
    const one: Record<string, unknown> = { [name]: texts[0] };
    // A type that a text cannot be made into is told like any other fault.
    if (!check(one)) throw new ServiceError('INVALID_ARGUMENT', `${name}: ${expected(check)}`);
    values[name] = one[name];
  }
  return values as { readonly [P in K]?: ParameterValues[P] };
}

function expected({ errors }: ValidateFunction): string {
  const [error] = errors ?? [];
  const allowed: unknown = error?.params['allowedValues'];
  return Array.isArray(allowed) ? `must be one of ${allowed.join(', ')}` : (error?.message ?? 'does not fit');
}
