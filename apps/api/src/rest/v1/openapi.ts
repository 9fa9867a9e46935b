/**
 * What is served under /v1, as OpenAPI 3.1 (JSON Schema 2020-12): read by programs at /v1/openapi.json, by the api itself
 * for the methods of a path, and by a test that holds real answers against it.
 */
import { SESSION_STATES } from '@gatehouse/contracts/consoleauth';
import { ERROR_CODES } from '@gatehouse/errors/service-error';
import { CONSOLE_TYPES } from '@gatehouse/objects/console-connection';
import { ACCESS_LEVELS } from '@gatehouse/objects/console-session';
import { SESSION_EVENT_KINDS } from '@gatehouse/objects/console-session-event';
import { VERSION } from '@gatehouse/runtime/version';
import type { JsonObject } from '../json.ts';
import { INSTANCE_PATHS, INSTANCE_SCHEMAS } from './openapi-instances.ts';
import { COUNT, ID, MOMENT, TEXT, UUID, json, operation, orNull, record, ref } from './openapi-parts.ts';
import { FILTER } from './parameters.ts';
import type { ParameterName } from './parameters.ts';

const ADMINS_ONLY = ['host', 'port', 'proxy'];

const SCHEMAS: Readonly<Record<string, JsonObject>> = {
  Session: record(
    {
      id: UUID,
      state: { enum: ['open', 'ending', 'ended'], description: '`ending`: somebody asked for its end, and its proxy has not confirmed it yet.' },
      instance_id: UUID,
      console_type: { enum: CONSOLE_TYPES },
      access: { enum: ACCESS_LEVELS },
      user_id: { ...orNull(TEXT), description: 'Who opened it.' },
      project_id: orNull(TEXT),
      client_address: TEXT,
      started_at: MOMENT,
      lease_expires_at: { ...MOMENT, description: 'It counts as over if its proxy has not renewed it by then.' },
      ending_at: orNull(MOMENT),
      ended_at: orNull(MOMENT),
      end_reason: { ...orNull(TEXT), description: 'Why it ends or has ended.' },
      bytes_in: { ...COUNT, description: 'From the client to the instance.' },
      bytes_out: { ...COUNT, description: 'From the instance to the client.' },
      host: { ...TEXT, description: 'Shown to the administrator alone, as port and proxy are.' },
      port: { type: 'integer' },
      proxy: TEXT,
    },
    ADMINS_ONLY,
  ),
  SessionPage: record({
    console_sessions: { type: 'array', items: ref('Session') },
    next_marker: { ...orNull(UUID), description: 'The `marker` of the next page; null on the last one.' },
    links: record({ next: { ...orNull(TEXT), description: 'The address of the next page.' } }),
  }),
  SessionAnswer: record({ console_session: ref('Session') }),
  EndedSessions: record({ console_sessions: { type: 'array', items: ref('Session'), description: 'Each as it is now: `ended`, or still `ending`.' } }),
  Event: record({
    cursor: { ...TEXT, description: 'The place behind this event.' },
    kind: { enum: SESSION_EVENT_KINDS },
    at: MOMENT,
    reason: { ...orNull(TEXT), description: 'Why it ends or has ended; null for the other kinds.' },
    session: { ...ref('Session'), description: 'The session as it is now, which may be later than the event.' },
  }),
  Events: record({ events: { type: 'array', items: ref('Event') }, cursor: { ...TEXT, description: 'Where to go on from: the next `after`.' } }),
  KeyPair: record({
    ...{ name: TEXT, type: { enum: ['ssh', 'x509'] }, user_id: TEXT, public_key: TEXT },
    fingerprint: { ...TEXT, description: 'As Nova shows it: MD5 of an ssh key, SHA-1 of a certificate.' },
    fingerprint_sha256: { ...orNull(TEXT), description: 'As ssh-keygen and openssl show it; null for a key that cannot be read.' },
    algorithm: orNull(TEXT),
    bits: orNull({ type: 'integer' }),
    created_at: MOMENT,
  }),
  KeyPairPage: record({ keypairs: { type: 'array', items: ref('KeyPair') }, next_marker: orNull(TEXT) }),
  KeyPairAnswer: record({ keypair: ref('KeyPair') }),
  ...INSTANCE_SCHEMAS,
  Problem: record({
    type: { const: 'about:blank' },
    title: TEXT,
    status: { type: 'integer' },
    code: { enum: ERROR_CODES, description: 'For programs: stable, one of a closed list.' },
    detail: { ...TEXT, description: 'For people: what was refused, and what would be right.' },
    request_id: TEXT,
  }),
};

const SESSION_FILTER: readonly ParameterName[] = FILTER;

const LAST_EVENT_ID: JsonObject = { name: 'Last-Event-ID', in: 'header', required: false, schema: TEXT, description: 'The id of the last event that was read, as browsers send it by themselves.' };

const KEY_PAIR_QUERY: readonly JsonObject[] = ['user_id', 'limit', 'marker'].map((name) => ({ name, in: 'query', required: false, schema: TEXT }));

const PATHS: Readonly<Record<string, Readonly<Record<string, JsonObject>>>> = {
  '/v1/console-sessions': {
    get: operation('listConsoleSessions', {
      summary: `Console sessions, newest first: ${SESSION_STATES.join(', ')}.`,
      parameters: [...SESSION_FILTER, 'console_type', 'state', 'limit', 'marker'],
      answers: { 200: json('One page.', 'SessionPage') },
    }),
    delete: operation('endConsoleSessions', {
      summary: 'Ends all open sessions that the filter names. At least one word of the filter is needed.',
      parameters: [...SESSION_FILTER, 'reason'],
      answers: { 200: json('They have ended, all of them.', 'EndedSessions'), 202: json('Some are still being ended.', 'EndedSessions') },
    }),
  },
  '/v1/console-sessions/events': {
    get: operation('watchConsoleSessions', {
      summary: 'What happens to sessions, as server-sent events; or, for clients that accept application/json alone, what happened after a place.',
      parameters: [...SESSION_FILTER, 'after', 'wait'],
      answers: {
        200: {
          description: 'A stream of events: the id is the place behind the event, the event is its kind, the data an Event as JSON.',
          content: { 'text/event-stream': { schema: TEXT }, 'application/json': { schema: ref('Events') } },
        },
      },
    }, [LAST_EVENT_ID]),
  },
  '/v1/console-sessions/{id}': {
    get: operation('showConsoleSession', { summary: 'One session.', answers: { 200: json('The session.', 'SessionAnswer') } }, [ID]),
    delete: operation('endConsoleSession', {
      summary: 'Ends one session.',
      parameters: ['reason'],
      answers: { 202: json('It is still being ended.', 'SessionAnswer'), 204: { description: 'It has ended.' } },
    }, [ID]),
  },
  '/v1/keypairs': {
    get: operation('listKeyPairs', { summary: 'Key pairs of oneself, or of `user_id` for the administrator, by name; `next_marker` is the `marker` of the next page.', answers: { 200: json('One page.', 'KeyPairPage') } },
      KEY_PAIR_QUERY),
  },
  '/v1/keypairs/{name}': {
    get: operation('showKeyPair', { summary: 'One key pair.', answers: { 200: json('The key pair.', 'KeyPairAnswer') } }, [{ name: 'name', in: 'path', required: true, schema: TEXT }, ...KEY_PAIR_QUERY.slice(0, 1)]),
  },
  ...INSTANCE_PATHS,
  '/v1/openapi.json': {
    get: { operationId: 'openapi', summary: 'This document; needs no token.', security: [], responses: { 200: { description: 'OpenAPI 3.1.', content: { 'application/json': { schema: { type: 'object' } } } } } },
  },
};

export const OPENAPI: JsonObject = {
  openapi: '3.1.1',
  info: { title: 'Gatehouse', version: VERSION, description: 'Console sessions, key pairs, and what instances are told of themselves. What Nova has is served as Nova serves it, under /v2.1.', license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
  servers: [{ url: '/' }],
  security: [{ token: [] }],
  paths: PATHS,
  components: { schemas: SCHEMAS, securitySchemes: { token: { type: 'apiKey', in: 'header', name: 'X-Auth-Token' } } },
};

/** The methods served at a path, in capitals; none where nothing is. */
export function methodsAt(path: string): readonly string[] {
  const [, found] = Object.entries(PATHS).find(([template]) => new RegExp(`^${template.replaceAll('.', '\\.').replace(/\{\w+\}/, '[^/]+')}$`).test(path)) ?? [];
  return Object.keys(found ?? {}).flatMap((method) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]));
}
